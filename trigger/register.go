package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// apiTimeout bounds one request to JetStream. A request is lost when the server goes down at that moment, and nobody
// says so.
const apiTimeout = 5 * time.Second

// beatRegister is the stream that holds the newest beat of each group, as a follower reads it. It remembers how far it
// has read, so that a look at a register in which nothing is new costs one request. One goroutine calls unread; next
// and drop are safe for concurrent use.
type beatRegister struct {
	store    *storer
	subjects Subjects
	created  time.Time // of the stream that was read last: a recreated one is read from its start
	read     uint64    // the last sequence that was read
}

// unread gives each message that was not read before to give, in order. A stream that is gone is made anew.
func (r *beatRegister) unread(ctx context.Context, give func(stored, error)) error {
	stream, err := r.stream(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return r.store.ensure(ctx)
	}
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	// A stream restored from a backup keeps its creation time, and starts at an older sequence.
	if !info.Created.Equal(r.created) || info.State.LastSeq < r.read {
		r.created, r.read = info.Created, 0
	}
	for r.read < info.State.LastSeq {
		msg, seq, err := r.next(ctx, r.read+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			r.read = info.State.LastSeq
			return nil
		}
		if err != nil && seq == 0 {
			return fmt.Errorf("read stream %s: %w", r.subjects.BeatStream(), err)
		}
		give(msg, err)
		r.read = seq
	}
	return nil
}

func (r *beatRegister) stream(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := r.store.js.Stream(ctx, r.subjects.BeatStream())
	if err != nil {
		return nil, translate("look up stream "+r.subjects.BeatStream(), err)
	}
	return stream, nil
}

// next reads the first message from a sequence on.
func (r *beatRegister) next(ctx context.Context, from uint64) (stored, uint64, error) {
	return readStored(ctx, r.store.nc, r.subjects.BeatStream(), map[string]any{"seq": from, "next_by_subj": r.subjects.Beat("*")})
}

// drop removes a message that turned out to be no beat, so that it is not found again by every worker that starts
// later. The time makes sure that it is still the same message: sequences start over in a recreated stream.
func (r *beatRegister) drop(ctx context.Context, bad stored) error {
	found, seq, err := r.next(ctx, bad.seq)
	if seq != bad.seq || !found.at.Equal(bad.at) {
		return err
	}
	stream, err := r.stream(ctx)
	if err != nil {
		return err
	}
	return stream.DeleteMsg(ctx, bad.seq)
}
