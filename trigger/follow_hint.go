package trigger

import (
	"errors"

	"github.com/nats-io/nats.go"
)

func (f *Follower) wake(msg *nats.Msg) {
	tokens := f.subjects.tokens("wake", msg.Subject)
	if f.cfg.OnWake != nil && len(tokens) == 1 && ValidName(tokens[0]) && f.follows(tokens[0]) {
		f.cfg.OnWake(tokens[0])
	}
}

// cancel hands over a hint to cancel a run. One that cannot be read is counted and logged like any bad message, and not
// kept: whoever wants the run cancelled has written that into the store.
func (f *Follower) cancel(msg *nats.Msg) {
	tokens := f.subjects.tokens("cancel", msg.Subject)
	from := stored{subject: msg.Subject, header: msg.Header}
	if len(tokens) != 1 || !ValidName(tokens[0]) {
		f.hints.note(letter{from, fault{faultSubject, badSubject(msg.Subject, f.subjects.Cancel("<group>"), "group: "+nameAllowed)}})
		return
	}
	if !f.follows(tokens[0]) {
		return
	}
	if id := string(msg.Data); !validRunID(id) {
		kind := faultBody
		if len(id) > MaxRunID {
			kind = faultOversized
		}
		f.hints.note(letter{from, fault{kind, errors.New("payload: found " + quote(id) + ", allowed is " + runIDAllowed)}})
		return
	}
	if f.cfg.OnCancel != nil {
		f.cfg.OnCancel(tokens[0], string(msg.Data))
	}
}
