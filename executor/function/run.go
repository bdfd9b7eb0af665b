package function

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/systole-run/systole/executor"
)

// Run is what a Func gets to know, and where it leaves what came of it. It belongs to the Func's goroutine.
type Run struct {
	executor.Task

	cursor  *string
	message string
}

// SetCursor replaces the flow's cursor if the run succeeds. The last call counts.
func (r *Run) SetCursor(cursor string) { r.cursor = &cursor }

// SetMessage leaves a short text with the run if it succeeds. The last call counts.
func (r *Run) SetMessage(format string, args ...any) { r.message = fmt.Sprintf(format, args...) }

// Printf adds a line to the run's log.
func (r *Run) Printf(format string, args ...any) {
	line := fmt.Appendf(nil, format, args...)
	if !bytes.HasSuffix(line, []byte("\n")) {
		line = append(line, '\n')
	}
	_, _ = r.Output().Write(line) // one write, so that lines of several goroutines stay whole; it never fails
}

// Logger gives a logger that writes to the run's log.
func (r *Run) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(r.Output(), nil)) }

// Bind decodes the run's params into v, which keeps what it holds where there are none. Unknown fields are an error,
// and every error is permanent: the same params come with each attempt.
func (r *Run) Bind(v any) error {
	if len(r.Params) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Params))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return executor.Permanent(fmt.Errorf("read params: %w", err))
	}
	return nil
}
