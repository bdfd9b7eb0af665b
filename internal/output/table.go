package output

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// cell is one field of a table.
type cell struct {
	text   string
	colour string
}

// Colours, as what follows ESC[.
const (
	plain  = ""
	green  = "32m"
	red    = "31m"
	yellow = "33m"
	cyan   = "36m"
)

// table writes aligned columns. Every cell of a coloured table is wrapped in sequences of the same length: tabwriter
// counts them as width, and so the columns still meet.
func (p *Printer) table(head []string, rows [][]cell) error {
	w := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	line := make([]string, len(head))
	for i, title := range head {
		line[i] = p.paint(cell{text: title})
	}
	fmt.Fprintln(w, strings.Join(line, "\t"))
	for _, row := range rows {
		for i, c := range row {
			line[i] = p.paint(c)
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	return w.Flush() // tabwriter keeps the first error of its writer
}

func (p *Printer) paint(c cell) string { return p.colourOf(c, shorten(tame(c.text))) }

// colourOf gives text in the colour of c, and something to see where it is empty.
func (p *Printer) colourOf(c cell, text string) string {
	if text == "" {
		text = "-"
	}
	if !p.colour {
		return text
	}
	if c.colour == plain {
		c.colour = "39m" // the terminal's own
	}
	return "\x1b[" + c.colour + text + "\x1b[0m"
}

// tame takes out what would break the table or command a terminal: control and formatting characters.
func tame(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text))
}

// shorten keeps a column from pushing the next ones off the screen.
func shorten(text string) string {
	const longest = 60
	if runes := []rune(text); len(runes) > longest {
		return strings.TrimSpace(string(runes[:longest-1]) + "…")
	}
	return text
}

func when(t *time.Time) cell {
	if t == nil || t.IsZero() {
		return cell{}
	}
	return cell{text: t.UTC().Format("2006-01-02 15:04:05Z")}
}

func word(text string) cell { return cell{text: text} }

func count(n int) cell { return cell{text: fmt.Sprint(n)} }

// alarm is a count that is red unless it is zero.
func alarm(n int) cell {
	if n == 0 {
		return count(n)
	}
	return cell{text: fmt.Sprint(n), colour: red}
}
