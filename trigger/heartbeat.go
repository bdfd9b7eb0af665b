package trigger

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/systole-run/systole/internal/logkey"
)

// Statuses of an Outcome.
const (
	StatusAccepted = "accepted" // stored; nobody asked to wait
	StatusDraining = "draining" // stored; the wait ended before the beat had settled
	StatusSettled  = "settled"  // everything that was due has been run
)

// Outcome is what is known of a beat when HeartbeatEvent returns. In every case it is stored.
type Outcome struct {
	Status     string // StatusAccepted, StatusDraining or StatusSettled
	BeatID     string
	Group      string
	AcceptedAt time.Time
	Duplicate  bool    // the same id had been stored before, and this beat changed nothing
	Settled    Settled // with StatusSettled only
}

// HeartbeatEvent takes a heartbeat in: the one way for every method, and for programs that have the gateway in them.
// It returns when JetStream has stored the beat and, with a wait above 0, once the beat has settled or the wait, ctx
// or the server has come to an end. A beat that is stored is never an error, whatever becomes of the wait.
// The error is an InvalidError, or ErrUnavailable; sending the same id again is then safe.
func (g *Gateway) HeartbeatEvent(ctx context.Context, beat Beat, wait time.Duration) (Outcome, error) {
	orDefault(&beat.Group, DefaultGroup)
	if err := g.validateBeat(beat, wait); err != nil {
		return Outcome{}, err
	}
	waitCtx, cancel := waitContext(ctx, wait)
	defer cancel()
	watch, release := g.watch(ctx, beat.Group, wait) // before publishing, or the event could be missed
	defer release()
	// Whoever hangs up after sending a beat still meant it.
	ack, err := g.beats.PublishBeat(context.WithoutCancel(ctx), beat)
	if err != nil {
		return Outcome{}, fmt.Errorf("take heartbeat of group %s: %w", beat.Group, err)
	}
	outcome := Outcome{Status: StatusAccepted, BeatID: ack.ID, Group: beat.Group, AcceptedAt: time.Now().UTC(), Duplicate: ack.Duplicate}
	if wait == 0 {
		return outcome, nil
	}
	outcome.Status = StatusDraining
	if watch != nil {
		outcome.await(waitCtx, watch)
	}
	return outcome, nil
}

func (g *Gateway) validateBeat(beat Beat, wait time.Duration) error {
	if wait < 0 || wait > g.cfg.MaxWait {
		return InvalidError{{Field: "wait", Found: wait.String(), Allowed: fmt.Sprintf("0 to %s", g.cfg.MaxWait)}}
	}
	return beat.Validate()
}

// await waits for the beat to settle.
func (o *Outcome) await(ctx context.Context, watch *SettledWatch) {
	settled, err := watch.Wait(ctx, o.BeatID)
	if err != nil {
		return // the wait has ended, or the connection: either way the beat is still being drained
	}
	o.Status, o.Settled = StatusSettled, settled
}

// waitContext ends with ctx, after wait, or when the server that ctx comes from begins to shut down.
func waitContext(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	stop := context.AfterFunc(closing(ctx), cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// watch begins to watch for beats of the group to settle. It gives nil where that cannot be: the beat is still worth
// sending, and the answer then says that it is draining.
func (g *Gateway) watch(ctx context.Context, group string, wait time.Duration) (watch *SettledWatch, release func()) {
	none := func() {}
	if wait == 0 || g.events == nil {
		return nil, none
	}
	select {
	case g.waiting <- struct{}{}:
	default:
		g.cfg.Logger.WarnContext(ctx, "too many requests wait; this one is answered at once", logkey.Group, group)
		return nil, none
	}
	watch, err := g.events.WatchSettled(group)
	if err != nil {
		<-g.waiting
		g.cfg.Logger.WarnContext(ctx, "cannot wait for the beat to settle", logkey.Group, group, logkey.Error, err)
		return nil, none
	}
	g.metrics.waiting.Inc()
	return watch, func() {
		watch.Close()
		g.metrics.waiting.Dec()
		<-g.waiting
	}
}

// heartbeat answers GET and POST alike.
func (g *Gateway) heartbeat(w http.ResponseWriter, r *http.Request, c *call) error {
	beat, wait, err := g.readHeartbeat(w, r, c)
	if err != nil {
		return err
	}
	if c.group = beat.Group; !c.principal.Allowed(ScopeBeat, beat.Group) {
		return ErrForbidden
	}
	allowTime(w, wait)
	outcome, err := g.HeartbeatEvent(r.Context(), beat, wait)
	if err != nil {
		return err
	}
	c.note(slog.String(logkey.BeatID, outcome.BeatID), slog.String(logkey.Group, outcome.Group), slog.Bool(logkey.Duplicate, outcome.Duplicate))
	status := http.StatusAccepted
	if outcome.Status == StatusSettled {
		status = http.StatusOK
	}
	writeJSON(w, "application/json", status, outcome.answer())
	return nil
}
