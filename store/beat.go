package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Arrival is a heartbeat as a worker brings it to the store.
type Arrival struct {
	Key    string // what the beat is known by: its stream sequence and time
	ID     string
	Group  string
	Source string
	Note   string
	Worker string // who brings it
}

// Accepted is what the store makes of an Arrival.
type Accepted struct {
	AsOf time.Time // when Redis first saw the beat; zero-due groups get the present time
	Due  int       // occurrences newly due as of it
	// LatenessMS and GapMS are those of the beat's view, of the whole group.
	LatenessMS, GapMS *int64
	// First is true where this worker brought the beat first, and so is the one to tell of it.
	First bool
	// Empty says that the group has no flows at all.
	Empty bool
	// Settled is set where First is true and nothing was due in the whole group.
	Settled *BeatView
}

type beatNotes struct {
	Source string `json:"source,omitempty"`
	Note   string `json:"note,omitempty"`
}

// AcceptBeat stamps the beat's as-of time, once and the same in every partition of its group, and counts what is due. A
// group without flows is left without a trace. Repeating it changes nothing.
func (s *Store) AcceptBeat(ctx context.Context, a Arrival) (Accepted, error) {
	notes, err := json.Marshal(beatNotes{Source: a.Source, Note: a.Note})
	if err != nil {
		return Accepted{}, fmt.Errorf("encode beat %s: %w", a.ID, err)
	}
	accepted := Accepted{Empty: true}
	var parts []acceptedPart
	var stamp time.Time // of the first partition that has flows: one without has no clock of its own
	for _, p := range s.Partitions(a.Group) {
		part, err := s.acceptPart(ctx, p, a, string(notes), stamp)
		if err != nil {
			return Accepted{}, err
		}
		parts = append(parts, part)
		if accepted.AsOf = part.view.AsOf; part.outcome != "none" {
			stamp = part.view.AsOf
		}
		accepted.Due += part.view.FlowsDue
		accepted.LatenessMS = larger(accepted.LatenessMS, part.view.LatenessMS)
		accepted.GapMS = larger(accepted.GapMS, part.view.GapMS)
		accepted.First = accepted.First || part.outcome == "first"
		accepted.Empty = accepted.Empty && part.outcome == "none"
	}
	if accepted.Empty {
		accepted.First, accepted.Settled = true, &parts[0].view
		return accepted, nil
	}
	for n, part := range parts {
		if part.outcome == "known" || part.view.SettledAt == nil {
			continue
		}
		whole, err := s.settle(ctx, Partition{Group: a.Group, N: n}, a.Key, part.view)
		if err != nil {
			return Accepted{}, err
		}
		if accepted.First && whole != nil {
			accepted.Settled = whole
		}
	}
	return accepted, nil
}

// acceptedPart is one partition's answer to a beat: "first", "known", or "none" where it has no flows.
type acceptedPart struct {
	outcome string
	view    BeatView
}

// acceptPart brings a beat to one partition. asOf is what another one stamped it with, zero for the first.
func (s *Store) acceptPart(ctx context.Context, p Partition, a Arrival, notes string, asOf time.Time) (acceptedPart, error) {
	reply, err := s.run(ctx, p, "accept_beat",
		always(a.Key, escapeID(a.ID), escapeID(a.Worker), notes, s.cfg.Beats, msText(asOf)))
	if err != nil {
		return acceptedPart{}, err
	}
	items, err := list(reply, 2)
	if err != nil {
		return acceptedPart{}, err
	}
	part := acceptedPart{outcome: text(items[0])}
	if part.outcome != "none" {
		part.view, err = decodeBeat(a.Group, text(items[1]))
		return part, err
	}
	now := time.UnixMilli(number(items[1])).UTC()
	part.view = BeatView{ID: a.ID, Group: a.Group, Source: a.Source, Note: a.Note, AsOf: now, SettledAt: &now}
	return part, nil
}

// settle joins what the partitions of a group say of a beat. It gives the whole once every partition has settled.
func (s *Store) settle(ctx context.Context, p Partition, key string, part BeatView) (*BeatView, error) {
	if s.cfg.Partitions == 1 {
		return &part, nil
	}
	const kept = 24 * time.Hour
	first := s.key(Partition{Group: p.Group}, "settle:"+key)
	counts := fmt.Sprintf("%d,%d,%d,%d", part.FlowsDue, part.FlowsTriggered, part.Succeeded, part.Failed)
	reply, err := s.runKeys(ctx, []string{first}, "settle", always(p.N, counts, s.cfg.Partitions, kept.Milliseconds()))
	if err != nil {
		return nil, err
	}
	parts, err := list(reply, 0)
	if err != nil || len(parts) == 0 {
		return nil, err
	}
	part.FlowsDue, part.FlowsTriggered, part.Succeeded, part.Failed = 0, 0, 0, 0
	for _, item := range parts {
		var due, triggered, succeeded, failed int
		if _, err := fmt.Sscanf(text(item), "%d,%d,%d,%d", &due, &triggered, &succeeded, &failed); err != nil {
			return nil, fmt.Errorf("decode settled beat %s: %w", key, err)
		}
		part.FlowsDue += due
		part.FlowsTriggered += triggered
		part.Succeeded += succeeded
		part.Failed += failed
	}
	return &part, nil
}

// settleAll reads the settled beats that claim, complete and release end their replies with.
func (s *Store) settleAll(ctx context.Context, p Partition, reply any) ([]BeatView, error) {
	items, err := list(reply, 0)
	if err != nil {
		return nil, err
	}
	var settled []BeatView
	for i := 0; i+1 < len(items); i += 2 {
		part, err := decodeBeat(p.Group, text(items[i+1]))
		if err != nil {
			return nil, err
		}
		whole, err := s.settle(ctx, p, text(items[i]), part)
		if err != nil {
			return nil, err
		}
		if whole != nil {
			settled = append(settled, *whole)
		}
	}
	return settled, nil
}

func decodeBeat(group, packed string) (BeatView, error) {
	const fields = 12
	parts := strings.SplitN(packed, "|", fields)
	if len(parts) != fields {
		return BeatView{}, fmt.Errorf("decode beat: %d parts, want %d", len(parts), fields)
	}
	var counts [7]int64
	for i := range counts {
		if parts[i] == "" {
			continue // not settled
		}
		n, err := strconv.ParseInt(parts[i], 10, 64)
		if err != nil {
			return BeatView{}, fmt.Errorf("decode beat: %w", err)
		}
		counts[i] = n
	}
	var notes beatNotes
	if err := json.Unmarshal([]byte(parts[11]), &notes); err != nil {
		return BeatView{}, fmt.Errorf("decode beat: %w", err)
	}
	return BeatView{
		ID: unescapeID(parts[8]), Group: group, Source: notes.Source, Note: notes.Note,
		AsOf: time.UnixMilli(counts[0]).UTC(), FlowsDue: int(counts[1]), FlowsTriggered: int(counts[2]),
		Running: int(counts[3]), Succeeded: int(counts[4]), Failed: int(counts[5]), SettledAt: fromMS(counts[6]),
		LatenessMS: optional(parts[9]), GapMS: optional(parts[10]),
	}, nil
}

// optional reads a number that may be left out.
func optional(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// larger is the larger of two numbers, each of which may be left out.
func larger(a, b *int64) *int64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// Beats reads a page of a group's heartbeats, the newest first, after the cursor given. next is empty on the last page.
func (s *Store) Beats(ctx context.Context, group string, limit int, after string) (beats []BeatView, next string, err error) {
	limit = pageSize(limit)
	merged := map[string]*keyedBeat{}
	for _, p := range s.Partitions(group) {
		page, err := s.beatPage(ctx, p, limit+1, after)
		if err != nil {
			return nil, "", err
		}
		for _, beat := range page {
			if known := merged[beat.key]; known != nil {
				known.join(beat.view)
			} else {
				merged[beat.key] = &beat
			}
		}
	}
	ordered := make([]*keyedBeat, 0, len(merged))
	for _, beat := range merged {
		ordered = append(ordered, beat)
	}
	sort.Slice(ordered, func(i, j int) bool { return ordered[i].cursor().before(ordered[j].cursor()) })
	if len(ordered) > limit {
		ordered = ordered[:limit]
		next = ordered[limit-1].cursor().String()
	}
	beats = make([]BeatView, len(ordered))
	for i, beat := range ordered {
		beats[i] = beat.view
	}
	return beats, next, nil
}

type keyedBeat struct {
	key   string
	view  BeatView
	score int64
}

func (b *keyedBeat) cursor() cursor { return cursor{score: b.score, member: b.key} }

// join adds what another partition counted under the same beat.
func (b *keyedBeat) join(other BeatView) {
	b.view.FlowsDue += other.FlowsDue
	b.view.FlowsTriggered += other.FlowsTriggered
	b.view.Running += other.Running
	b.view.Succeeded += other.Succeeded
	b.view.Failed += other.Failed
	b.view.LatenessMS, b.view.GapMS = larger(b.view.LatenessMS, other.LatenessMS), larger(b.view.GapMS, other.GapMS)
	if other.SettledAt == nil || b.view.SettledAt == nil {
		b.view.SettledAt = nil
	} else if other.SettledAt.After(*b.view.SettledAt) {
		b.view.SettledAt = other.SettledAt
	}
}

func (s *Store) beatPage(ctx context.Context, p Partition, count int, after string) ([]keyedBeat, error) {
	members, err := s.newest(ctx, s.key(p, "beatlog"), count, after)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	keys := make([]string, len(members))
	for i, member := range members {
		keys[i] = member.member
	}
	records, err := s.redis.HMGet(ctx, s.key(p, "beats"), keys...).Result()
	if err != nil {
		return nil, translate(err)
	}
	page := make([]keyedBeat, 0, len(keys))
	for i, record := range records {
		if record == nil {
			continue
		}
		view, err := decodeBeat(p.Group, text(record))
		if err != nil {
			return nil, err
		}
		page = append(page, keyedBeat{key: keys[i], view: view, score: members[i].score})
	}
	return page, nil
}

// newest reads members of a sorted set from the highest score down, after a cursor.
func (s *Store) newest(ctx context.Context, key string, count int, after string) ([]cursor, error) {
	highest := "+inf"
	var from cursor
	if after != "" {
		var err error
		if from, err = parseCursor(after); err != nil {
			return nil, err
		}
		highest = strconv.FormatInt(from.score, 10)
	}
	var page []cursor
	for offset := int64(0); len(page) < count; {
		found, err := s.redis.ZRevRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{
			Min: "-inf", Max: highest, Offset: offset, Count: int64(count),
		}).Result()
		if err != nil {
			return nil, translate(err)
		}
		for _, z := range found {
			at := cursor{score: int64(z.Score), member: z.Member.(string)}
			if after == "" || from.before(at) {
				page = append(page, at)
			}
		}
		if len(found) < count {
			break
		}
		offset += int64(len(found))
	}
	return page[:min(len(page), count)], nil
}
