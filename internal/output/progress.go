package output

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Progress shows how far some work has come, as one line of a terminal that is written over. On anything but a terminal it
// shows nothing. It is for one goroutine.
type Progress struct {
	w     io.Writer // nil shows nothing
	what  string
	total int
	shown int // columns of the line
	bar   int // cells of the bar that are filled
}

// barWidth is how many cells the bar has.
const barWidth = 30

// NewProgress makes a line about total pieces of work on w; what says which, such as "Applying flows".
func NewProgress(w io.Writer, what string, total int) *Progress {
	if !isTerminal(w) || os.Getenv("TERM") == "dumb" {
		w = nil
	}
	return &Progress{w: w, what: what, total: total, bar: -1}
}

// Done shows that done of the pieces are done. A line that would move by less than a cell is not written again.
func (p *Progress) Done(done int) {
	if p.w == nil || p.total <= 0 {
		return
	}
	done = min(max(done, 0), p.total)
	bar := done * barWidth / p.total
	if bar == p.bar {
		return
	}
	p.bar = bar
	line := fmt.Sprintf("%s [%s%s] %d of %d", p.what, strings.Repeat("#", bar), strings.Repeat(".", barWidth-bar), done, p.total)
	fmt.Fprint(p.w, "\r"+line+strings.Repeat(" ", max(p.shown-len(line), 0)))
	p.shown = len(line)
}

// Clear takes the line away, so that something else can be written in its place.
func (p *Progress) Clear() {
	if p.shown > 0 {
		fmt.Fprint(p.w, "\r"+strings.Repeat(" ", p.shown)+"\r")
	}
	p.shown, p.bar = 0, -1
}
