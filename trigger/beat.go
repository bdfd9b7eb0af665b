package trigger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/systole-run/systole/internal/strictjson"
)

// Bounds of what a beat carries, in bytes.
const (
	MaxBody   = 4096
	MaxSource = 256
	MaxNote   = 1024
	MaxID     = 256
)

// Beat is one heartbeat: it says that the flows of a group which are due now are to run. It carries no time of its
// own; Redis' clock decides what "now" is. Beats are idempotent, and a newer one covers all older ones of its group.
type Beat struct {
	ID          string    // message id; "<seq>-<unix nanoseconds>" where the sender gave none
	Group       string    // whose flows it makes due
	Source      string    // who sent it, by its own account
	Note        string    // free text
	Seq         uint64    // sequence in the stream; 0 until stored
	StoredAt    time.Time // the NATS server's clock when it was stored; zero until stored
	TraceParent string    // W3C traceparent of who sent it; empty if there is none
}

// BeatBody is the optional JSON payload of a beat.
type BeatBody struct {
	Group  string `json:"group,omitempty"`
	Source string `json:"source,omitempty"`
	Note   string `json:"note,omitempty"`
}

// DecodeBeatBody reads the payload of a beat: nothing, or one JSON object with no other keys than those of BeatBody,
// each at most once. The error is an InvalidError that lists everything that is wrong.
func DecodeBeatBody(data []byte) (BeatBody, error) {
	if len(data) == 0 {
		return BeatBody{}, nil
	}
	if len(data) > MaxBody {
		return BeatBody{}, InvalidError{{Found: fmt.Sprintf("%d bytes", len(data)), Allowed: fmt.Sprintf("up to %d bytes", MaxBody)}}
	}
	var body BeatBody
	if err := strictjson.Decode(data, &body); err != nil {
		return BeatBody{}, fromJSON(err)
	}
	if string(bytes.TrimSpace(data)) == "null" {
		return BeatBody{}, InvalidError{{Found: "null", Allowed: "nothing, or one JSON object"}}
	}
	var invalid InvalidError
	if body.Group != "" && !ValidName(body.Group) {
		invalid.add("group", quote(body.Group), nameAllowed)
	}
	invalid.checkText("source", body.Source, MaxSource)
	invalid.checkText("note", body.Note, MaxNote)
	if err := invalid.orNil(); err != nil {
		return BeatBody{}, err
	}
	return body, nil
}

// ParseBeat reads a beat of a group from its payload. A group that the payload names must be the same one.
// The error is an InvalidError.
func ParseBeat(group string, data []byte) (Beat, error) {
	if !ValidName(group) {
		return Beat{}, InvalidError{{Field: "group", Found: quote(group), Allowed: nameAllowed}}
	}
	body, err := DecodeBeatBody(data)
	if err != nil {
		return Beat{}, err
	}
	if body.Group != "" && body.Group != group {
		return Beat{}, InvalidError{{Field: "group", Found: quote(body.Group), Allowed: quote(group) + ", as in the address"}}
	}
	return Beat{Group: group, Source: body.Source, Note: body.Note}, nil
}

// Validate reports everything that would make followers refuse the beat, as an InvalidError.
func (b Beat) Validate() error {
	var invalid InvalidError
	if b.ID != "" && !ValidID(b.ID) {
		invalid.add("id", quote(b.ID), idAllowed)
	}
	if !ValidName(b.Group) {
		invalid.add("group", quote(b.Group), nameAllowed)
	}
	invalid.checkText("source", b.Source, MaxSource)
	invalid.checkText("note", b.Note, MaxNote)
	return invalid.orNil()
}

// payload is empty where the beat says nothing but its group. A valid beat's payload is never longer than MaxBody:
// only quotes, backslashes and two separators grow when they are escaped, to twice their length.
func (b Beat) payload() ([]byte, error) {
	if b.Source == "" && b.Note == "" {
		return nil, nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(BeatBody{Group: b.Group, Source: b.Source, Note: b.Note}); err != nil {
		return nil, fmt.Errorf("encode beat: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

var idPattern = regexp.MustCompile(fmt.Sprintf(`^[!-~]{1,%d}$`, MaxID))

var idAllowed = fmt.Sprintf("1 to %d visible ASCII characters", MaxID)

// ValidID reports whether s may be a message id: 1 to MaxID visible ASCII characters.
func ValidID(s string) bool { return idPattern.MatchString(s) }

// assignedID identifies a stored message whose sender gave it no id. Sequences start over in a recreated stream, so
// the time belongs to it.
func assignedID(seq uint64, at time.Time) string { return fmt.Sprintf("%d-%d", seq, at.UnixNano()) }
