package storetest

import (
	"context"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// lossyHook loses the answer of one script call, after Redis has carried it out.
type lossyHook struct {
	lose func() // called in place of the next answer; nil lets everything through
}

func (h *lossyHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *lossyHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if h.lose == nil || err != nil || !strings.HasPrefix(cmd.Name(), "eval") {
			return err
		}
		h.lose()
		h.lose = nil
		cmd.SetErr(io.EOF)
		return io.EOF
	}
}

func (h *lossyHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
