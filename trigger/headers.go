package trigger

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of messages that are ours.
const (
	HeaderReason    = "Systole-Reason"  // why a message is a dead letter
	HeaderKind      = "Systole-Kind"    // the same in one word, as in the metric
	HeaderSubject   = "Systole-Subject" // where the dead letter was published
	HeaderSize      = "Systole-Size"    // bytes that its payload had, if not all of them are kept
	headerSigned    = "Systole-Signed"  // the id of the signature that a run-now came with
	headerTrace     = "traceparent"
	headerMessageID = nats.MsgIdHdr
)

// Headers that JetStream sets when it republishes a stored message.
const (
	headerStream   = "Nats-Stream"
	headerOrigin   = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerStored   = "Nats-Time-Stamp"
)

// stored is a message as the stream holds it, however it was read.
type stored struct {
	subject string
	seq     uint64
	at      time.Time
	header  nats.Header
	data    []byte
}

// id is the sender's message id, or the assigned one where there is none that may be used.
func (m stored) id() string {
	if id := m.header.Get(headerMessageID); ValidID(id) {
		return id
	}
	return assignedID(m.seq, m.at)
}

func (m stored) traceParent() string { return validTraceParent(m.header.Get(headerTrace)) }

// fromTick reads what JetStream says in the headers of a republished message. ok is false if it was not JetStream's
// stream that published it: such a message was never stored, and other followers may not have seen it.
func (s Subjects) fromTick(msg *nats.Msg) (m stored, ok bool) {
	tokens := s.tokens("tick", msg.Subject)
	if len(tokens) != 1 {
		return stored{}, false
	}
	m = stored{subject: s.Beat(tokens[0]), header: msg.Header, data: msg.Data}
	seq, err := strconv.ParseUint(last(msg.Header, headerSequence), 10, 64)
	if err != nil || seq == 0 {
		return stored{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, last(msg.Header, headerStored))
	if err != nil || last(msg.Header, headerStream) != s.BeatStream() || last(msg.Header, headerOrigin) != m.subject {
		return stored{}, false
	}
	m.seq, m.at = seq, at.UTC()
	return m, true
}

// last gives the last value of a header. JetStream appends its own to what the sender wrote, so the first value may be
// a forged one.
func last(header nats.Header, name string) string {
	values := header.Values(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
