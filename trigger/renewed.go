package trigger

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/systole-run/systole/internal/logkey"
)

// filesFresh is how old a look at files may be that others renew. Those who do, such as cert-manager, the kubelet or an ACME
// client, give nobody a signal.
const filesFresh = 10 * time.Second

// renewed is what was made of files, which are looked at again when it is asked for and the last look is older than
// filesFresh. So files that are renewed count within that time, and nothing runs while nobody asks. While they cannot be
// used, as when one of them is written already and another is not, the last value serves on. Safe for concurrent use.
type renewed[T any] struct {
	files  []string
	load   func(contents [][]byte) (*T, error)
	logger *slog.Logger
	now    func() time.Time

	value atomic.Pointer[T]

	mu       sync.Mutex // of the one who looks; others go on with the value that is there
	looked   time.Time
	contents [][]byte // at the last look, whether they could be used or not
}

// newRenewed reads the files for the first time, and fails where they cannot be used.
func newRenewed[T any](logger *slog.Logger, load func([][]byte) (*T, error), files ...string) (*renewed[T], error) {
	r := &renewed[T]{files: files, load: load, logger: orDiscard(logger), now: time.Now, contents: make([][]byte, len(files))}
	r.looked = r.now()
	_, err := r.look()
	return r, err
}

func (r *renewed[T]) current() *T {
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		if now := r.now(); now.Sub(r.looked) >= filesFresh {
			r.looked = now
			r.renew()
		}
	}
	return r.value.Load()
}

// renew tells of what it finds once for each change of the files.
func (r *renewed[T]) renew() {
	files := strings.Join(r.files, " ")
	switch changed, err := r.look(); {
	case err != nil:
		r.logger.Warn("renewed files cannot be used, what they held before serves on", logkey.File, files, logkey.Error, err)
	case changed:
		r.logger.Info("renewed files taken over", logkey.File, files)
	}
}

// look takes over what the files hold, if that is something else than at the last look.
func (r *renewed[T]) look() (changed bool, err error) {
	var errs []error
	for i, file := range r.files {
		content, err := os.ReadFile(file)
		errs = append(errs, err)
		if !bytes.Equal(content, r.contents[i]) {
			r.contents[i], changed = content, true
		}
	}
	if !changed && r.value.Load() != nil {
		return false, nil
	}
	if err := errors.Join(errs...); err != nil {
		return changed, err
	}
	value, err := r.load(r.contents)
	if err != nil {
		return changed, fmt.Errorf("load %s: %w", strings.Join(r.files, " with "), err)
	}
	r.value.Store(value)
	return changed, nil
}
