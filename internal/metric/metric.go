// Package metric holds what every package that counts its doings needs: registering twice without harm, and labels that
// cannot grow without bound.
package metric

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Other is the label of all values beyond the bound of a Label.
const Other = "other"

// Register gives the collector to r, or the one of the same name that r has already: several roles, or several workers,
// may share a process and its registry. With a nil r the collector counts all the same.
func Register[C prometheus.Collector](r prometheus.Registerer, collector C) C {
	if r == nil {
		return collector
	}
	err := r.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return collector
}

// Label bounds how many values of one label are told apart: names of groups and flows come from outside. It is safe for
// concurrent use.
type Label struct {
	most int

	mu   sync.Mutex
	seen map[string]bool
}

// NewLabel makes a Label that tells the first most values apart.
func NewLabel(most int) *Label { return &Label{most: most, seen: make(map[string]bool)} }

// Of gives the value, or Other once too many have been seen.
func (l *Label) Of(value string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.seen[value] {
		if len(l.seen) >= l.most {
			return Other
		}
		l.seen[value] = true
	}
	return value
}
