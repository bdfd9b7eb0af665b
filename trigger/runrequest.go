package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/systole-run/systole/internal/strictjson"
)

// MaxParams bounds the parameters of a run request, in bytes.
const MaxParams = 64 << 10

// RunRequest asks for one run of a flow now. The same ID within the duplicate window asks only once.
type RunRequest struct {
	ID          string          // message id; "<seq>-<unix nanoseconds>" where the sender gave none
	Group, Flow string          // which flow
	Params      json.RawMessage // empty, or one JSON object of up to MaxParams bytes
	Seq         uint64          // sequence in the stream; 0 until stored
	StoredAt    time.Time       // the NATS server's clock when it was stored; zero until stored
	Signed      string          // id of the signature that it came with; empty if there was none
	TraceParent string          // W3C traceparent of who sent it; empty if there is none
}

// Place tells the request from all others: a time and a number. It is that in the stream, and of a signed request, which
// somebody may have kept and sent again, that of its signature, whatever its ID: then a repeat has the place of the first one,
// even if the NATS server was restarted in between and took it for another.
func (r RunRequest) Place() (at time.Time, number uint64) {
	if signed := signedIDPattern.FindStringSubmatch(r.Signed); signed != nil {
		created, err1 := strconv.ParseInt(signed[1], 10, 64)
		sum, err2 := strconv.ParseUint(signed[2], 16, 64)
		if err1 == nil && err2 == nil {
			return time.Unix(created, 0).UTC(), sum
		}
	}
	return r.StoredAt, r.Seq
}

// Validate reports everything that would make the consumer refuse the request, as an InvalidError.
func (r RunRequest) Validate() error {
	var invalid InvalidError
	if r.ID != "" && !ValidID(r.ID) {
		invalid.add("id", quote(r.ID), idAllowed)
	}
	if !ValidName(r.Group) {
		invalid.add("group", quote(r.Group), nameAllowed)
	}
	if !ValidName(r.Flow) {
		invalid.add("flow", quote(r.Flow), nameAllowed)
	}
	invalid.checkParams(r.Params)
	return invalid.orNil()
}

func (e *InvalidError) checkParams(params json.RawMessage) {
	if len(params) > MaxParams {
		e.add("params", fmt.Sprintf("%d bytes", len(params)), fmt.Sprintf("up to %d bytes", MaxParams))
		return
	}
	if len(params) == 0 {
		return
	}
	var object map[string]json.RawMessage
	err := strictjson.Decode(params, &object)
	if err == nil && object == nil {
		e.add("params", "null", "nothing, or one JSON object")
	}
	if err != nil {
		e.merge("params", err)
	}
}

var errAnswer = errors.New("the payload is JetStream's acknowledgement of another message; allowed is nothing, or one JSON object")

// isAnswer reports whether a message is the acknowledgement of another one. The server sends it to the subject that the
// sender of that one names, whether he may publish there or not: who may only send heartbeats could else start flows.
func (s Subjects) isAnswer(m stored) bool {
	var ack struct {
		Stream   string  `json:"stream"`
		Sequence *uint64 `json:"seq"`
	}
	return len(m.header) == 0 && json.Unmarshal(m.data, &ack) == nil && ack.Sequence != nil &&
		slices.Contains([]string{s.BeatStream(), s.RunStream(), s.EventStream(), s.DeadStream()}, ack.Stream)
}

// runOf reads a stored message as a run request, or says what is wrong with it.
func (s Subjects) runOf(m stored) (RunRequest, *fault) {
	tokens := s.tokens("run", m.subject)
	if len(tokens) != 2 || !ValidName(tokens[0]) || !ValidName(tokens[1]) {
		return RunRequest{}, &fault{faultSubject, badSubject(m.subject, s.Run("<group>", "<flow>"), "group and flow: "+nameAllowed)}
	}
	if s.isAnswer(m) {
		return RunRequest{}, &fault{faultBody, errAnswer}
	}
	run := RunRequest{
		ID: m.id(), Group: tokens[0], Flow: tokens[1], Params: m.data,
		Seq: m.seq, StoredAt: m.at, Signed: m.header.Get(headerSigned), TraceParent: m.traceParent(),
	}
	if err := run.Validate(); err != nil {
		bad := faultOf(m.data, MaxParams, err)
		return RunRequest{}, &bad
	}
	return run, nil
}
