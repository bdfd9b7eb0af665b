package output

import "io"

// Redirect writes to w what would go to the terminal.
func (p *Progress) Redirect(w io.Writer) { p.w = w }
