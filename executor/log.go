package executor

import (
	"bytes"
	"fmt"
	"sync"
	"unicode/utf8"
)

// DefaultLogBytes is how much of a run's output a Tail keeps unless told otherwise.
const DefaultLogBytes = 64 << 10

// Tail is a run's log: an io.Writer that keeps the last bytes written to it, in bounded memory, whatever the flow
// prints. Writes never fail and never block. It is safe for concurrent use.
type Tail struct {
	size int // of the ring: the limit, and one byte before it that tells whether the rest starts on a new line

	mu      sync.Mutex
	ring    []byte // grows up to size, then wraps
	next    int    // where the oldest byte is, once the ring is full
	written uint64
}

// NewTail gives a Tail that keeps up to limit bytes; 0 or less means DefaultLogBytes.
func NewTail(limit int) *Tail {
	if limit <= 0 {
		limit = DefaultLogBytes
	}
	return &Tail{size: limit + 1}
}

// Write implements io.Writer. It always takes all of p.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written += uint64(len(p))
	keep := p[max(len(p)-t.size, 0):]
	if room := t.size - len(t.ring); room > 0 {
		part := keep[:min(room, len(keep))]
		t.ring = append(t.ring, part...)
		keep = keep[len(part):]
	}
	for len(keep) > 0 {
		n := copy(t.ring[t.next:], keep)
		t.next = (t.next + n) % t.size
		keep = keep[n:]
	}
	return len(p), nil
}

// Version is a number that grows with every byte written. Whoever has flushed the Snapshot of a version need not flush
// again until it changes.
func (t *Tail) Version() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written
}

// Snapshot is what the log holds now, as valid UTF-8: each byte that is not part of a rune is a '?'. Where older bytes
// were cut, its first line says how many, and what follows starts on a new line if there is one. It is a copy, no
// longer than the limit and that one line.
func (t *Tail) Snapshot() []byte {
	kept, cut := t.contents()
	if len(kept) == t.size {
		skipped := firstBoundary(kept)
		kept, cut = kept[skipped:], cut+uint64(skipped)
	}
	text := replaceInvalid(kept)
	if cut == 0 {
		return text
	}
	return append(fmt.Appendf(nil, "… %d bytes cut …\n", cut), text...)
}

// contents gives the kept bytes in the order of writing, and how many were cut before them.
func (t *Tail) contents() (kept []byte, cut uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept = append(make([]byte, 0, len(t.ring)), t.ring[t.next:]...)
	kept = append(kept, t.ring[:t.next]...)
	return kept, t.written - uint64(len(kept))
}

// firstBoundary is where the first line starts after kept's first byte, or the first whole rune if that would give away
// more than half: output need not have lines at all.
func firstBoundary(kept []byte) int {
	if end := bytes.IndexByte(kept[:len(kept)/2+1], '\n'); end >= 0 {
		return end + 1
	}
	for i := 1; i < min(1+utf8.UTFMax, len(kept)); i++ {
		if utf8.RuneStart(kept[i]) {
			return i
		}
	}
	return 1
}

// replaceInvalid puts a '?' for each invalid byte, in place: U+FFFD would be longer than what it replaces, and a log of
// binary data would outgrow its limit.
func replaceInvalid(text []byte) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			text[i] = '?'
		}
		i += size
	}
	return text
}
