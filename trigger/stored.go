package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readStored reads one message of a stream, as a request to $JS.API.STREAM.MSG.GET asks for it. With a sequence and an
// error, it is a message that has headers which cannot be read. It asks the server itself, as the client's own call
// cannot step over such a message. jetstream.ErrMsgNotFound where there is none.
func readStored(ctx context.Context, nc *nats.Conn, stream string, ask map[string]any) (stored, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	request, err := json.Marshal(ask)
	if err != nil {
		return stored{}, 0, fmt.Errorf("encode request: %w", err)
	}
	reply, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return stored{}, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return stored{}, 0, fmt.Errorf("read answer of JetStream: %w", err)
	}
	if answer.Error != nil {
		return stored{}, 0, answer.Error
	}
	msg := stored{subject: answer.Message.Subject, seq: answer.Message.Seq, at: answer.Message.Time, data: answer.Message.Data}
	if len(answer.Message.Header) > 0 {
		msg.header, err = nats.DecodeHeadersMsg(answer.Message.Header)
	}
	return msg, msg.seq, err
}
