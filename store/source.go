package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

// MaxSource is how many bytes the name of a source may have.
const MaxSource = 200

// maxLooked bounds how many names one page of FlowsFrom looks at.
const maxLooked = 10 * maxPage

// FlowRef names a flow.
type FlowRef struct {
	Group string `json:"group"`
	Name  string `json:"name"`
}

// CheckSource reports what is wrong with the name of a source, as an InvalidError, or nil.
func CheckSource(source string) error {
	var invalid InvalidError
	if len(source) > MaxSource || !utf8.ValidString(source) || strings.ContainsFunc(source, unicode.IsControl) {
		invalid.add("source", fmt.Sprintf("%d bytes: %.80q", len(source), source), fmt.Sprintf("up to %d bytes of text without control characters", MaxSource))
	}
	return invalid.orNil()
}

// FlowsFrom reads a page of the flows of some groups that were applied from source. A page may hold fewer than limit, or
// none, and not be the last: next is empty only there, else it is what to give as after. The groups are gone through in
// order; within a group, the order says nothing.
func (s *Store) FlowsFrom(ctx context.Context, groups []string, source string, limit int, after string) (flows []FlowRef, next string, err error) {
	flows = []FlowRef{}
	at, err := readSourceCursor(after)
	if err != nil || source == "" {
		return flows, "", err
	}
	limit = pageSize(limit)
	looked := 0
	for _, group := range slices.Sorted(slices.Values(groups)) {
		for _, p := range s.Partitions(group) {
			name := ""
			switch {
			case group < at.p.Group, group == at.p.Group && p.N < at.p.N:
				continue
			case p == at.p:
				name = at.name
			}
			for more := true; more; {
				var found []FlowRef
				count := limit - len(flows)
				if found, name, more, err = s.flowsFrom(ctx, p, source, count, name); err != nil {
					return nil, "", err
				}
				if name == "" {
					break
				}
				flows, looked = append(flows, found...), looked+count
				// Half a page will do: to fill it, ever smaller pieces would have to be read.
				if 2*len(flows) >= limit || looked >= maxLooked {
					return flows, sourceCursor{p, name}.String(), nil
				}
			}
		}
	}
	return flows, "", nil
}

// flowsFrom looks at the next names of a partition; last is the last of them, "" if there was none.
func (s *Store) flowsFrom(ctx context.Context, p Partition, source string, limit int, after string) (found []FlowRef, last string, more bool, err error) {
	names, err := s.redis.ZRangeByLex(ctx, s.key(p, "names"), &redis.ZRangeBy{Min: "(" + after, Max: "+", Count: int64(limit)}).Result()
	if err != nil || len(names) == 0 {
		return nil, "", false, translate(err)
	}
	sources, err := s.redis.HMGet(ctx, s.key(p, "sources"), names...).Result()
	if err != nil {
		return nil, "", false, translate(err)
	}
	for i, name := range names {
		if text(sources[i]) == source {
			found = append(found, FlowRef{p.Group, name})
		}
	}
	return found, names[len(names)-1], len(names) == limit, nil
}

// sourceCursor is the last name that a page has looked at: group/partition/name.
type sourceCursor struct {
	p    Partition
	name string
}

func (c sourceCursor) String() string { return c.p.String() + "/" + c.name }

func readSourceCursor(text string) (sourceCursor, error) {
	if text == "" {
		return sourceCursor{}, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) == 3 {
		if n, err := strconv.Atoi(parts[1]); err == nil {
			return sourceCursor{Partition{parts[0], n}, parts[2]}, nil
		}
	}
	return sourceCursor{}, InvalidError{{Field: "after", Found: fmt.Sprintf("%.80q", text), Allowed: "the next of an earlier page"}}
}
