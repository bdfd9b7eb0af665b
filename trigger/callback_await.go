package trigger

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Outcomes of a report.
const (
	reportAccepted  = "accepted"
	reportDuplicate = "duplicate" // the same was taken before
	reportConflict  = "conflict"  // another was taken before
	reportInvalid   = "invalid"   // it is not what a report may be
	reportNobody    = "nobody"    // nobody waits for it
)

// reportAnswer is what the worker says to a report.
type reportAnswer struct {
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"` // of an invalid one
}

// awaited is one attempt that may be reported on.
type awaited struct {
	callbacks    *Callbacks
	attempt      attempt
	take         func(body []byte) error
	subscription *nats.Subscription
	forget       *time.Timer

	mu      sync.Mutex
	stopped bool
	taken   *[sha256.Size]byte // hash of the report that was taken
}

// callbackRunPattern is what a run id has to be, to be a token of a subject and a segment of a path.
var callbackRunPattern = regexp.MustCompile(`^[0-9A-Za-z_~-]{1,200}$`)

// Await takes one report on an attempt: take is called with its body, from another goroutine, until it has given nil once
// or stop has returned; what it gives an error for goes back to the sender with that error. The attempt has the fencing
// token fence and ends at until, as does the credential in token. When Await returns, a report sent to address
// arrives. Calling stop twice is harmless. The error is ErrUnavailable where it may be tried again.
func (c *Callbacks) Await(group, runID, fence string, until time.Time, take func(body []byte) error) (address, token string, stop func(), err error) {
	var invalid InvalidError
	invalid.name("group", group)
	if !callbackRunPattern.MatchString(runID) {
		invalid.add("run_id", quote(runID), "1 to 200 letters, digits, _, ~ and -")
	}
	if c.cfg.URL == "" {
		invalid.add("url", "none", "where receivers reach the gateway")
	}
	if err := invalid.orNil(); err != nil {
		return "", "", nil, fmt.Errorf("await callback: %w", err)
	}
	a := &awaited{callbacks: c, take: take, attempt: attempt{Group: group, RunID: runID, Fence: fence, Until: until.Unix() + 1}}
	if token, err = c.key().sign(a.attempt); err != nil {
		return "", "", nil, err
	}
	if err := a.listen(); err != nil {
		return "", "", nil, fmt.Errorf("await callback: %w: %w", ErrUnavailable, err)
	}
	return strings.TrimSuffix(c.cfg.URL, "/") + "/" + runID, token, a.stop, nil
}

// listen subscribes, and returns when the server knows of it.
func (a *awaited) listen() (err error) {
	c := a.callbacks
	if !c.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	if a.subscription, err = c.nc.Subscribe(c.subjects.Callback(a.attempt.Group, a.attempt.RunID), a.answer); err != nil {
		return err
	}
	if err := c.nc.FlushTimeout(flushTimeout); err != nil {
		a.close()
		return err
	}
	return nil
}

// answer takes what a gateway hands on. One that hears nothing asks again.
func (a *awaited) answer(msg *nats.Msg) {
	if reply, err := json.Marshal(a.receive(msg)); err == nil {
		_ = msg.Respond(reply)
	}
}

func (a *awaited) receive(msg *nats.Msg) reportAnswer {
	sent, err := a.callbacks.key().open(msg.Header.Get(headerCallbackToken))
	if err != nil || sent != a.attempt {
		return reportAnswer{Outcome: reportNobody}
	}
	sum := sha256.Sum256(msg.Data)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.taken != nil && *a.taken == sum:
		return reportAnswer{Outcome: reportDuplicate}
	case a.taken != nil:
		return reportAnswer{Outcome: reportConflict}
	case a.stopped:
		return reportAnswer{Outcome: reportNobody}
	}
	if err := a.take(msg.Data); err != nil {
		return reportAnswer{Outcome: reportInvalid, Detail: err.Error()}
	}
	a.taken = &sum
	return reportAnswer{Outcome: reportAccepted}
}

// stop ends the taking. A report that was taken is remembered for a while, so that one whose answer was lost gets it.
func (a *awaited) stop() {
	a.mu.Lock()
	again, taken := a.stopped, a.taken != nil
	a.stopped = true
	a.mu.Unlock()
	switch {
	case again:
	case taken:
		a.callbacks.remember(a)
	default:
		a.close()
	}
}

func (a *awaited) close() { _ = a.subscription.Unsubscribe() }
