package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// cursor is a place in a listing that runs from the newest to the oldest.
type cursor struct {
	score  int64 // ms since 1970
	member string
}

// before reports whether c comes before other in the listing. Redis breaks ties the same way.
func (c cursor) before(other cursor) bool {
	if c.score != other.score {
		return c.score > other.score
	}
	return c.member > other.member
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.score, 10) + " " + c.member))
}

func parseCursor(after string) (cursor, error) {
	invalid := InvalidError{{Field: "after", Found: fmt.Sprintf("%.80q", after), Allowed: "the next of an earlier page"}}
	plain, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil {
		return cursor{}, invalid
	}
	scoreText, member, ok := strings.Cut(string(plain), " ")
	score, err := strconv.ParseInt(scoreText, 10, 64)
	if !ok || err != nil {
		return cursor{}, invalid
	}
	return cursor{score: score, member: member}, nil
}
