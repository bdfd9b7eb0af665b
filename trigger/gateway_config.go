package trigger

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/time/rate"
)

// Defaults of a GatewayConfig.
const (
	DefaultPath       = "/heartbeat"
	DefaultRunPath    = "/run"
	DefaultCallback   = "/callback"
	DefaultMaxWait    = 5 * time.Minute
	DefaultMaxWaiting = 1000
	DefaultRate       = rate.Limit(50) // requests per second
	DefaultBurst      = 100
)

// Access says who is let in. It can be exchanged while the gateway runs.
type Access struct {
	// Auth knows the tokens. Without it every request is refused, unless AllowAnonymous is set.
	Auth *Authenticator
	// AllowAnonymous lets requests in that carry no credential at all; it cannot be set beside Auth.
	AllowAnonymous bool
	// Allow lists the networks that clients may come from. None means from everywhere.
	Allow []netip.Prefix
}

// GatewayConfig configures a Gateway. Zero fields take their defaults, except that somebody must be let in.
type GatewayConfig struct {
	Access
	Path           string                // of heartbeats; DefaultPath
	RunPath        string                // of run-now requests; DefaultRunPath
	CallbackPath   string                // of callbacks; DefaultCallback
	Callbacks      *Callbacks            // hands callbacks on; nil: there is no path for them
	TrustedProxies []netip.Prefix        // whose X-Forwarded-For is believed; none
	Rate           rate.Limit            // requests per second of one client; DefaultRate, negative for no limit
	Burst          int                   // requests of one client at once; DefaultBurst or Rate, whichever is more
	MaxBody        int64                 // bytes of a heartbeat's body; MaxBody, which is also the most
	MaxWait        time.Duration         // the longest ?wait=; DefaultMaxWait
	MaxWaiting     int                   // requests that may wait at a time; further ones are not held; DefaultMaxWaiting
	Logger         *slog.Logger          // nil: no logs
	Registerer     prometheus.Registerer // nil: no metrics
	TracerProvider trace.TracerProvider  // nil: no spans; a client's traceparent is still passed on
}

func (c GatewayConfig) withDefaults() GatewayConfig {
	orDefault(&c.Path, DefaultPath)
	orDefault(&c.RunPath, DefaultRunPath)
	orDefault(&c.CallbackPath, DefaultCallback)
	orDefault(&c.Rate, DefaultRate)
	orDefault(&c.Burst, max(DefaultBurst, int(min(c.Rate, 1e6))))
	orDefault(&c.MaxBody, MaxBody)
	orDefault(&c.MaxWait, DefaultMaxWait)
	orDefault(&c.MaxWaiting, DefaultMaxWaiting)
	if c.Rate < 0 {
		c.Rate = rate.Inf
	}
	if c.TracerProvider == nil {
		c.TracerProvider = noop.NewTracerProvider()
	}
	c.Logger = orDiscard(c.Logger)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

var pathPattern = regexp.MustCompile(`^(/[0-9A-Za-z._~-]+)+$`)

// Validate reports everything that is wrong with the configuration, as an InvalidError.
func (c GatewayConfig) Validate() error {
	c = c.withDefaults()
	var invalid InvalidError
	c.validatePaths(&invalid)
	if c.Burst < 1 {
		invalid.add("burst", fmt.Sprint(c.Burst), "1 or more")
	}
	if c.MaxBody < 1 || c.MaxBody > MaxBody {
		invalid.add("max_body", fmt.Sprint(c.MaxBody), fmt.Sprintf("1 to %d bytes", MaxBody))
	}
	if c.MaxWait < 0 {
		invalid.add("max_wait", c.MaxWait.String(), "a duration above 0")
	}
	if c.MaxWaiting < 1 {
		invalid.add("max_waiting", fmt.Sprint(c.MaxWaiting), "1 or more")
	}
	c.Access.validate(&invalid)
	if _, err := newPrefixes("trusted_proxies", c.TrustedProxies); err != nil {
		invalid = append(invalid, problemOf(err).Errors...)
	}
	return invalid.orNil()
}

func (c GatewayConfig) validatePaths(invalid *InvalidError) {
	paths := []struct{ field, value string }{{"path", c.Path}, {"run_path", c.RunPath}}
	if c.Callbacks != nil {
		paths = append(paths, struct{ field, value string }{"callback_path", c.CallbackPath})
	}
	for i, p := range paths {
		if !pathPattern.MatchString(p.value) || path.Clean(p.value) != p.value {
			invalid.add(p.field, quote(p.value), "a clean path without a slash at its end, such as /heartbeat")
		}
		for _, other := range paths[:i] {
			if strings.HasPrefix(p.value+"/", other.value+"/") || strings.HasPrefix(other.value+"/", p.value+"/") {
				invalid.add(p.field, quote(p.value), "a path that neither holds nor lies in "+quote(other.value))
			}
		}
	}
}

// callbackPath is empty where no callbacks are taken.
func (c GatewayConfig) callbackPath() string {
	if c.Callbacks == nil {
		return ""
	}
	return c.CallbackPath
}

func (a Access) validate(invalid *InvalidError) {
	if a.Auth == nil && !a.AllowAnonymous {
		invalid.add("auth", "none", "tokens, or in so many words that everybody is let in")
	}
	if a.Auth != nil && a.AllowAnonymous {
		invalid.add("auth", "tokens, and that everybody is let in", "one of the two")
	}
	if _, err := newPrefixes("allow", a.Allow); err != nil {
		*invalid = append(*invalid, problemOf(err).Errors...)
	}
}
