package secret

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"sync"
)

// Mark stands wherever a secret was.
const Mark = "[redacted]"

// Redactor finds secrets in texts, in each of their Spellings. It is immutable and safe for concurrent use.
type Redactor struct {
	spellings [][]byte
	longest   int
}

// NewRedactor gives a Redactor of these secrets; empty ones are passed over.
func NewRedactor(secrets ...string) *Redactor {
	r := &Redactor{}
	seen := map[string]bool{}
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		for _, spelling := range Spellings(secret) {
			if !seen[spelling] {
				seen[spelling] = true
				r.spellings = append(r.spellings, []byte(spelling))
				r.longest = max(r.longest, len(spelling))
			}
		}
	}
	return r
}

// Text gives the text with Mark in place of each secret.
func (r *Redactor) Text(text string) string {
	found := r.find([]byte(text))
	if len(found) == 0 {
		return text
	}
	return string(replace([]byte(text), found))
}

// Holds reports whether there is a secret in the text.
func (r *Redactor) Holds(text string) bool { return len(r.find([]byte(text))) > 0 }

// span is a part of a text, from start up to end.
type span struct{ start, end int }

// find gives where secrets are, in order, with those that overlap as one.
func (r *Redactor) find(text []byte) []span {
	var found []span
	for _, spelling := range r.spellings {
		for at := 0; ; at++ {
			next := bytes.Index(text[at:], spelling)
			if next < 0 {
				break
			}
			at += next
			found = append(found, span{at, at + len(spelling)})
		}
	}
	return merge(found)
}

func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	merged := spans[:0]
	for _, s := range spans {
		if last := len(merged) - 1; last >= 0 && s.start < merged[last].end {
			merged[last].end = max(merged[last].end, s.end)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

func replace(text []byte, found []span) []byte {
	var out []byte
	at := 0
	for _, s := range found {
		out = append(append(out, text[at:s.start]...), Mark...)
		at = s.end
	}
	return append(out, text[at:]...)
}

// undecided is where the first secret may start that the text has only a part of; the text's length if there is none.
func (r *Redactor) undecided(text []byte) int {
	first := len(text)
	for _, spelling := range r.spellings {
		for at := max(len(text)-len(spelling)+1, 0); at < first; at++ {
			next := bytes.IndexByte(text[at:first], spelling[0])
			if next < 0 {
				break
			}
			if at += next; bytes.HasPrefix(spelling, text[at:]) {
				first = at
			}
		}
	}
	return first
}

// Writer passes on what is written to it, with Mark in place of each secret. It holds back only an end that may be the
// start of a secret. It is safe for concurrent use, but a secret is found only where its parts follow each other: each
// stream needs a Writer of its own.
type Writer struct {
	redactor *Redactor
	next     io.Writer

	mu      sync.Mutex
	held    []byte
	covered int // bytes at the start of held that belong to a secret whose Mark has been written
}

// Writer gives a Writer that passes on to next.
func (r *Redactor) Writer(next io.Writer) *Writer { return &Writer{redactor: r, next: next} }

// Write implements io.Writer. It takes all of p; the error is next's.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	return len(p), w.release(w.redactor.undecided(w.held))
}

// Close passes on what was held back. It leaves next open, and the Writer usable.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.release(len(w.held))
}

// release passes on the first bytes of held, up to end.
func (w *Writer) release(end int) error {
	found := w.redactor.find(w.held)
	if w.covered > 0 {
		found = merge(append(found, span{0, w.covered}))
	}
	var out []byte
	at, covered := 0, 0
	for _, s := range found {
		marked := s.start == 0 && w.covered > 0
		if s.start >= end && !marked {
			break
		}
		out = append(out, w.held[at:s.start]...)
		if !marked {
			out = append(out, Mark...)
		}
		at, covered = min(s.end, end), max(s.end-end, 0)
	}
	out = append(out, w.held[at:end]...)
	w.held, w.covered = append(w.held[:0], w.held[end:]...), covered
	if len(out) == 0 {
		return nil
	}
	_, err := w.next.Write(out)
	return err
}
