package trigger

import (
	"context"
	"crypto"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/systole-run/systole/internal/logkey"
)

const (
	// keysFresh is how old keys may be before they are fetched again, which is how long one that was taken back still counts.
	keysFresh = 15 * time.Minute
	// keysPause is the least time between two attempts to fetch the keys of an issuer, whoever asks: anybody can make up
	// the name of a key.
	keysPause = 10 * time.Second
	// keysTimeout bounds one attempt.
	keysTimeout = 5 * time.Second
	// maxKeys bounds what an issuer may answer, in bytes.
	maxKeys = 1 << 20
)

// IssuersConfig configures Issuers.
type IssuersConfig struct {
	CAFile    string            // PEM certificates that are trusted beside the system's, looked at again every ten seconds; empty: none
	Transport http.RoundTripper // nil: http.DefaultTransport, or one that trusts those of CAFile; not both
	Logger    *slog.Logger      // nil: no logs
}

// Issuers keeps the signing keys of OpenID Connect issuers. Share one between authenticators that replace each other, so
// that the keys stay where an issuer happens to be away. It fetches when it is asked for keys that it has not, or whose
// age is beyond a quarter of an hour, and never more often than every ten seconds; whoever asks waits for that, five seconds at
// most. Keys that it has serve on for as long as their issuer is away. Safe for concurrent use.
type Issuers struct {
	client *http.Client
	logger *slog.Logger
	now    func() time.Time
	wait   time.Duration // for one attempt

	mu  sync.Mutex
	all map[string]*issuer
}

// NewIssuers makes a keeper of keys that knows none yet. It fails where CAFile cannot be read or holds no certificate.
func NewIssuers(cfg IssuersConfig) (*Issuers, error) {
	transport, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	return &Issuers{
		client: &http.Client{
			Transport:     boundedTransport{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // keys come from the issuer itself
		},
		logger: orDiscard(cfg.Logger), now: time.Now, wait: keysTimeout, all: map[string]*issuer{},
	}, nil
}

func (s *Issuers) of(name string) *issuer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[name] == nil {
		s.all[name] = &issuer{name: name, shared: s}
	}
	return s.all[name]
}

// Check fetches the keys of an issuer now, and says what is wrong if that fails.
func (s *Issuers) Check(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	_, err := s.fetch(ctx, name)
	return err
}

// issuer is one of them, with its keys.
type issuer struct {
	name   string
	shared *Issuers

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time     // when the keys were; zero: never
	tried   time.Time     // when that was tried last
	failed  bool          // whether it failed then
	flight  chan struct{} // closed when the attempt under way ends; nil if there is none
}

// warm begins to fetch the keys, if there are none.
func (i *issuer) warm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fetched.IsZero() {
		i.refresh()
	}
}

// keysFor gives the keys of a name that suit an algorithm. Without one, or where the keys are no longer fresh, it waits for a
// fetch, if it is time for that: a key that its issuer has taken back must not count once more because nobody has asked for
// long. The error is ErrUndecided where there may be such a key and the issuer does not say.
func (i *issuer) keysFor(ctx context.Context, keyID, algorithm string) ([]crypto.PublicKey, error) {
	i.mu.Lock()
	keys := i.matching(keyID, algorithm)
	var flight <-chan struct{}
	if len(keys) == 0 || i.shared.now().Sub(i.fetched) >= keysFresh {
		flight = i.refresh()
	}
	i.mu.Unlock()
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ErrUndecided
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	keys = i.matching(keyID, algorithm)
	if len(keys) == 0 && i.failed {
		return nil, ErrUndecided
	}
	return keys, nil
}

// matching gives the keys that may have signed. A token that names no key may be of any.
func (i *issuer) matching(keyID, algorithm string) (found []crypto.PublicKey) {
	for _, key := range i.keys {
		if (keyID == "" || key.KeyID == keyID) && (key.Algorithm == "" || key.Algorithm == algorithm) && key.Use != "enc" && key.IsPublic() {
			found = append(found, key.Key)
		}
	}
	return found
}

// refresh begins an attempt, unless one is under way or the last one is too recent, in which case it gives nil. It is
// called with the lock held.
func (i *issuer) refresh() <-chan struct{} {
	if i.flight != nil {
		return i.flight
	}
	now := i.shared.now()
	if !i.tried.IsZero() && now.Sub(i.tried) < keysPause {
		return nil
	}
	flight := make(chan struct{})
	i.tried, i.flight = now, flight
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), i.shared.wait)
		defer cancel()
		keys, err := i.shared.fetch(ctx, i.name)
		i.settle(keys, err)
		close(flight)
	}()
	return flight
}

// settle takes over what an attempt brought. If it failed the keys stay as they are.
func (i *issuer) settle(keys []jose.JSONWebKey, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.flight, i.failed = nil, err != nil
	if err != nil {
		i.shared.logger.Warn("the keys of an issuer could not be fetched", logkey.Issuer, i.name, logkey.Error, err, logkey.Count, len(i.keys))
		return
	}
	i.keys, i.fetched = keys, i.shared.now()
}
