package trigger

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/metric"
)

// RefusedMessage is what the line says that stands for one refused request.
const RefusedMessage = "caller refused"

// SuppressedMessage is what the line says that stands for all those that were not written.
const SuppressedMessage = "more callers were refused"

// How many lines are written of refusals: of one client, and of all of them.
const (
	clientRefusals = 5
	clientPause    = 30 * time.Second // until the client's next line
	allRefusals    = 50
	allPause       = 2 * time.Second
	suppressedFor  = time.Minute // after which those that were not written are told of
)

// Refusal is one request that was not let in.
type Refusal struct {
	Client    netip.Addr // found out as the allow list does; the zero value where it is not known
	Principal string     // whose credential it was, if that is proven
	Group     string     // empty if the request names none
	Status    int
	Err       error  // *RefusedError, or one of the errors of this package
	Reason    string // in place of what Err says
}

// Refusals writes one line for each request that was not let in, so that somebody can see who tries, and counts them all.
// The lines are few, however many requests there are: beyond that they are counted, and the next line, or one a minute
// later, says how many were left out. Safe for concurrent use.
type Refusals struct {
	listener string
	logger   *slog.Logger
	counter  *prometheus.CounterVec
	clients  *limiter
	all      *rate.Limiter
	now      func() time.Time

	mu         sync.Mutex
	suppressed int         // since the last line
	timer      *time.Timer // that tells of them; nil if none is set
}

// NewRefusals makes the log of refusals of a listener, such as gateway or console. Both logger and registerer may be nil.
func NewRefusals(listener string, logger *slog.Logger, registerer prometheus.Registerer) *Refusals {
	return &Refusals{
		listener: listener, logger: orDiscard(logger), now: time.Now,
		clients: newLimiter(rate.Every(clientPause), clientRefusals), all: rate.NewLimiter(rate.Every(allPause), allRefusals),
		counter: metric.Register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "systole_refused_total",
			Help: "Requests that were not let in, by listener (gateway, console) and reason.",
		}, []string{"listener", "reason"})),
	}
}

// Refused notes a request that was not let in.
func (l *Refusals) Refused(ctx context.Context, r *http.Request, refusal Refusal) {
	known, _ := refusalOf(refusal.Err)
	orDefault(&refusal.Reason, known.Reason)
	orDefault(&refusal.Principal, known.Name)
	l.counter.WithLabelValues(l.listener, refusal.Reason).Inc()
	now := l.now()
	suppressed, written := l.take(refusal.Client, now)
	if !written {
		return
	}
	attributes := []slog.Attr{
		slog.Int(logkey.Status, refusal.Status), slog.String(logkey.Reason, refusal.Reason), slog.String(logkey.Client, refusal.Client.String()),
		slog.String(logkey.Method, methodClass(r.Method)), slog.String(logkey.Path, cut(r.URL.EscapedPath(), longestFound)),
	}
	for _, optional := range []struct{ key, value string }{
		{logkey.Credential, known.Kind}, {logkey.Principal, refusal.Principal}, {logkey.Claimed, known.Claimed}, {logkey.Group, refusal.Group},
	} {
		if optional.value != "" {
			attributes = append(attributes, slog.String(optional.key, optional.value))
		}
	}
	if suppressed > 0 {
		attributes = append(attributes, slog.Int(logkey.Suppressed, suppressed))
	}
	l.logger.LogAttrs(ctx, slog.LevelWarn, RefusedMessage, attributes...)
}

// take decides whether a line is written. If so it gives how many were not since the last one.
func (l *Refusals) take(client netip.Addr, now time.Time) (suppressed int, written bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.clients.take(client, now); !ok || !l.all.AllowN(now, 1) {
		if l.suppressed++; l.timer == nil {
			l.timer = time.AfterFunc(suppressedFor, l.Flush)
		}
		return 0, false
	}
	return l.reset(), true
}

// reset gives the number of lines that were not written, and counts anew.
func (l *Refusals) reset() int {
	suppressed := l.suppressed
	l.suppressed = 0
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	return suppressed
}

// Flush tells now of what was not written. Call it in the end.
func (l *Refusals) Flush() {
	l.mu.Lock()
	suppressed := l.reset()
	l.mu.Unlock()
	if suppressed > 0 {
		l.logger.Warn(SuppressedMessage, slog.Int(logkey.Suppressed, suppressed))
	}
}
