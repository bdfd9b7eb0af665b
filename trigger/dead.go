package trigger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/internal/logkey"
)

// Kinds of faults, as in the metric and in HeaderKind.
const (
	faultSubject   = "subject"   // the subject has a token that names no group or flow
	faultHeader    = "header"    // the headers cannot be read
	faultUnstored  = "unstored"  // published straight to the tick subject, so that no stream holds it
	faultOversized = "oversized" // the payload is too long
	faultBody      = "body"      // the payload is invalid
	faultRejected  = "rejected"  // the handler refused it for good
	faultPoison    = "poison"    // the handler panicked or took its worker down as often as it was delivered
)

var faults = []string{faultSubject, faultHeader, faultUnstored, faultOversized, faultBody, faultRejected, faultPoison}

const (
	maxDeadPayload = 64 << 10 // bytes of a bad payload that are kept
	maxReason      = 512      // bytes of a reason in a header
	deadQueue      = 256      // bad messages that wait to be kept; more are only counted
	deadAttempts   = 5
	logInterval    = time.Minute // between two log lines about the same kind of fault
)

// fault is why a message cannot be accepted.
type fault struct {
	kind   string
	reason error
}

// letter is a bad message on its way to the stream of the dead.
type letter struct {
	stored
	fault
}

// morgue counts bad messages, logs the first of each kind and then one a minute, and keeps them. subject is "beat" or
// "run". Keeping is idempotent: the message id follows from the message, so any number of workers leave one copy.
type morgue struct {
	subject string
	to      string
	store   *storer
	metrics *badMetrics
	logger  *slog.Logger
	waiting chan letter
	logs    map[string]*rate.Sometimes // by kind
}

func newMorgue(subject string, store *storer, metrics *badMetrics, logger *slog.Logger) *morgue {
	m := &morgue{
		subject: subject, to: Subjects{Prefix: store.streams.Prefix}.Dead(subject), store: store, metrics: metrics,
		logger: logger, waiting: make(chan letter, deadQueue), logs: make(map[string]*rate.Sometimes),
	}
	for _, kind := range faults {
		m.logs[kind] = &rate.Sometimes{First: 1, Interval: logInterval}
	}
	return m
}

// note counts and logs. It does not block.
func (m *morgue) note(bad letter) {
	m.metrics.messages.WithLabelValues(m.subject, bad.kind).Inc()
	m.logs[bad.kind].Do(func() {
		m.logger.Warn("bad message refused", logkey.Subject, cut(bad.letterSubject(), longestFound), logkey.Kind, bad.kind,
			logkey.Reason, bad.reasonText(), logkey.Seq, bad.seq)
	})
}

// put notes a bad message and leaves it to run to keep it. It does not block.
func (m *morgue) put(bad letter) {
	m.note(bad)
	select {
	case m.waiting <- bad:
	default:
		m.metrics.lost.Inc()
	}
}

// run keeps what was put until ctx ends.
func (m *morgue) run(ctx context.Context, kept func(context.Context, letter)) {
	for {
		select {
		case <-ctx.Done():
			return
		case bad := <-m.waiting:
			if err := m.persist(ctx, bad); err != nil {
				m.metrics.lost.Inc()
				continue
			}
			kept(ctx, bad)
		}
	}
}

func (m *morgue) persist(ctx context.Context, bad letter) error {
	var err error
	for attempt := range deadAttempts {
		if err = m.keep(ctx, bad); err == nil {
			return nil
		}
		if pause(ctx, backoff(attempt)) != nil {
			return err
		}
	}
	return err
}

// keep stores one bad message; it is kept once however often that is tried.
func (m *morgue) keep(ctx context.Context, bad letter) error {
	_, err := m.store.store(ctx, Subjects{Prefix: m.store.streams.Prefix}.DeadStream(), bad.message(m.to))
	return err
}

func (l letter) message(to string) *nats.Msg {
	msg := nats.NewMsg(to)
	msg.Data = l.data
	if len(l.data) > maxDeadPayload {
		msg.Data = l.data[:maxDeadPayload]
		msg.Header.Set(HeaderSize, strconv.Itoa(len(l.data)))
	}
	msg.Header.Set(HeaderReason, l.reasonText())
	msg.Header.Set(HeaderKind, l.kind)
	msg.Header.Set(HeaderSubject, cut(l.letterSubject(), maxReason))
	msg.Header.Set(headerMessageID, l.deadID())
	if trace := l.traceParent(); trace != "" {
		msg.Header.Set(headerTrace, trace)
	}
	return msg
}

// deadID is the same for everyone who saw the message. What no stream holds is known by its content.
func (l letter) deadID() string {
	if l.seq > 0 {
		return "dead-" + assignedID(l.seq, l.at)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", l.subject, l.data))
	return fmt.Sprintf("dead-%x", sum[:16])
}

func (l letter) letterSubject() string { return oneLine(l.subject) }

func (l letter) reasonText() string { return cut(oneLine(l.reason.Error()), maxReason) }

// faultOf tells the two faults of a payload apart.
func faultOf(data []byte, longest int, err error) fault {
	var invalid InvalidError
	if len(data) > longest && errors.As(err, &invalid) {
		return fault{kind: faultOversized, reason: err}
	}
	return fault{kind: faultBody, reason: err}
}

// oneLine makes text from outside fit for a header: visible ASCII in one line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

func cut(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	return text[:longest-3] + "..."
}
