package storetest

import (
	"context"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// lossyHook loses the answer of one script call, after Redis has carried it out, and lets someone look at what it has done.
type lossyHook struct {
	look func() // called after the next script call, and when that is repeated, before its answer goes anywhere
	at   any    // digest of the script that is looked at
	lose func() // called in place of the next answer; nil lets everything through
}

func (h *lossyHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *lossyHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil || !strings.HasPrefix(cmd.Name(), "eval") {
			return err
		}
		if h.look != nil {
			if digest := cmd.Args()[1]; h.at == nil || h.at == digest {
				h.at = digest
				h.look()
			}
		}
		if h.lose == nil {
			return nil
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
