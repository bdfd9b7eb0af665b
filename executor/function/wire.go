package function

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// A worker and a function's process talk over a socket, in messages: the length of a JSON text in four bytes, big
// endian, and the text. Each run has a number, so that what an earlier run says late is not taken for this one's.

// maxMessage bounds a message, in bytes. A run's params and cursor are far smaller.
const maxMessage = 16 << 20

// order goes to the process: a run to begin, or the reason for which the one under way shall stop.
type order struct {
	Run  uint64    `json:"run"`
	Task *wireTask `json:"task,omitempty"`
	Stop string    `json:"stop,omitempty"` // the text of one of executor's causes
}

// report comes from the process: output of a run, or what came of it.
type report struct {
	Run    uint64      `json:"run"`
	Log    []byte      `json:"log,omitempty"`
	Result *wireResult `json:"result,omitempty"`
}

// wireTask is an executor.Task as far as it can be sent.
type wireTask struct {
	Flow         store.DataFlow  `json:"flow"`
	RunID        string          `json:"run_id"`
	OccurrenceID string          `json:"occurrence_id"`
	Slot         time.Time       `json:"slot"`
	Attempt      int             `json:"attempt"`
	Token        string          `json:"token"`
	Worker       string          `json:"worker"`
	Params       json.RawMessage `json:"params,omitempty"`
	Cursor       string          `json:"cursor,omitempty"`
	Deadline     time.Time       `json:"deadline"`
	TraceParent  string          `json:"traceparent,omitempty"`
}

func toWire(t executor.Task) *wireTask {
	return &wireTask{
		Flow: t.Flow, RunID: t.RunID, OccurrenceID: t.OccurrenceID, Slot: t.Slot, Attempt: t.Attempt, Token: t.Token, Worker: t.Worker,
		Params: t.Params, Cursor: t.Cursor, Deadline: t.Deadline, TraceParent: t.TraceParent,
	}
}

func (t wireTask) task(log io.Writer) executor.Task {
	return executor.Task{
		Flow: t.Flow, RunID: t.RunID, OccurrenceID: t.OccurrenceID, Slot: t.Slot, Attempt: t.Attempt, Token: t.Token, Worker: t.Worker,
		Params: t.Params, Cursor: t.Cursor, Deadline: t.Deadline, TraceParent: t.TraceParent, Log: log,
	}
}

// wireResult is an executor.Result: of an error, its text.
type wireResult struct {
	Error     string  `json:"error,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	Permanent bool    `json:"permanent,omitempty"`
	Cursor    *string `json:"cursor,omitempty"`
	Message   string  `json:"message,omitempty"`
}

func resultToWire(r executor.Result) *wireResult {
	sent := &wireResult{Reason: r.Reason, Permanent: r.Permanent, Cursor: r.Cursor, Message: executor.Clip(r.Message, executor.MaxText)}
	if r.Err != nil {
		sent.Error = executor.Clip(fmt.Sprint(r.Err), executor.MaxText) // Sprint survives an Error method that panics
	}
	if r.Cursor != nil && len(*r.Cursor) > executor.MaxCursor+1 {
		cut := (*r.Cursor)[:executor.MaxCursor+1] // the worker refuses it for its length
		sent.Cursor = &cut
	}
	return sent
}

func (r wireResult) result() executor.Result {
	result := executor.Result{Reason: r.Reason, Permanent: r.Permanent, Cursor: r.Cursor, Message: r.Message}
	if r.Reason != "" || r.Error != "" {
		result.Err = errors.New(r.Error)
	}
	return result
}

// causes are those for which a run is stopped, by their text.
func causes() map[string]error {
	known := map[string]error{}
	for _, cause := range []error{executor.ErrTimeout, executor.ErrLeaseLost, executor.ErrCancelled, executor.ErrDraining, executor.ErrAborted} {
		known[cause.Error()] = cause
	}
	return known
}

// sender writes messages. It is safe for concurrent use.
type sender struct {
	mu sync.Mutex
	to io.Writer
}

func (s *sender) send(message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("found a message of %d bytes, allowed are %d", len(body), maxMessage)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// receive reads one message.
func receive(from io.Reader, message any) error {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > maxMessage {
		return fmt.Errorf("found a message of %d bytes, allowed are %d", length, maxMessage)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(from, body); err != nil {
		return err
	}
	return json.Unmarshal(body, message)
}
