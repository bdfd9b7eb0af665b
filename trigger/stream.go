package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrStreamConflict says that a stream of our name exists and is not ours, or is set up so that it cannot serve.
var ErrStreamConflict = errors.New("an existing stream stands in the way")

// ErrNoStream says that a stream is missing that somebody else is to make.
var ErrNoStream = errors.New("the stream is missing, and may not be made here")

// EnsureStreams creates the streams that are missing and checks those that exist. What can be changed without losing
// a message is changed to what cfg says, and so are the bounds of events and of dead letters, of which the oldest go; anything else that
// differs is an ErrStreamConflict that names the setting. A stream in conflict does not keep the others from being made.
// ErrUnavailable where JetStream does not answer. It may be called by many processes at once, and again at any time.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, cfg StreamConfig) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("stream settings: %w", err)
	}
	var errs []error
	for _, want := range cfg.streams() {
		if err := ensureStream(ctx, js, want, cfg); err != nil {
			errs = append(errs, fmt.Errorf("stream %s: %w", want.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// InspectStreams tells what EnsureStreams would do, and does nothing: it names the streams that are missing, and says of
// those that differ from cfg in what, one text each. The error is that of EnsureStreams.
func InspectStreams(ctx context.Context, js jetstream.JetStream, cfg StreamConfig) (missing, differing []string, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, fmt.Errorf("stream settings: %w", err)
	}
	var errs []error
	for _, want := range cfg.streams() {
		stream, err := js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			missing = append(missing, want.Name)
			continue
		}
		if err != nil {
			return missing, differing, fmt.Errorf("stream %s: %w", want.Name, translate("look up", err))
		}
		if _, changes, err := compare(stream, want, cfg); err != nil {
			errs = append(errs, fmt.Errorf("stream %s: %w", want.Name, err))
		} else if len(changes) > 0 {
			differing = append(differing, want.Name+" in "+strings.Join(changes, ", "))
		}
	}
	return missing, differing, errors.Join(errs...)
}

func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, cfg StreamConfig) error {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, want)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was quicker, with other settings
		stream, err = js.Stream(ctx, want.Name)
	}
	if err != nil {
		return translate("create", err)
	}
	updated, changes, err := compare(stream, want, cfg)
	if err != nil || len(changes) == 0 {
		return err
	}
	if _, err := js.UpdateStream(ctx, updated); err != nil {
		return translate("change "+strings.Join(changes, ", "), err)
	}
	return nil
}

// compare gives what merge gives, or the conflicts of a stream that exists with what it is to be.
func compare(stream jetstream.Stream, want jetstream.StreamConfig, cfg StreamConfig) (jetstream.StreamConfig, []string, error) {
	have := stream.CachedInfo().Config
	if err := conflicts(have, want); err != nil {
		return have, nil, err
	}
	merged, changes := merge(have, want, cfg)
	return merged, changes, nil
}

// conflicts reports what no update may change: it would drop messages, or the stream serves somebody else.
func conflicts(have, want jetstream.StreamConfig) error {
	differ := func(setting string, found, allowed any) error {
		return fmt.Errorf("%w: %s: found %v, allowed is %v", ErrStreamConflict, setting, found, allowed)
	}
	var errs []error
	if !slices.Equal(have.Subjects, want.Subjects) {
		errs = append(errs, differ("subjects", have.Subjects, want.Subjects))
	}
	if have.Retention != want.Retention {
		errs = append(errs, differ("retention", have.Retention, want.Retention))
	}
	if have.Sealed {
		errs = append(errs, differ("sealed", true, false))
	}
	if have.SubjectTransform != nil {
		errs = append(errs, differ("subject_transform", have.SubjectTransform.Destination, "none"))
	}
	if have.PersistMode == jetstream.AsyncPersistMode && want.Replicas > 1 {
		errs = append(errs, differ("persist_mode", "async", "default, to have replicas; a stream of events that is deleted is made anew"))
	}
	if have.Mirror != nil || len(have.Sources) > 0 {
		errs = append(errs, differ("mirror or sources", "one or more", "none"))
	}
	return errors.Join(errs...)
}

// merge gives the configuration that an existing stream is to have, and the names of the settings that change.
func merge(have, want jetstream.StreamConfig, cfg StreamConfig) (jetstream.StreamConfig, []string) {
	merged, changes := have, []string(nil)
	set := func(name string, differs bool, apply func()) {
		if differs {
			changes = append(changes, name)
			apply()
		}
	}
	set("max_msgs_per_subject", want.MaxMsgsPerSubject > 0 && have.MaxMsgsPerSubject != want.MaxMsgsPerSubject,
		func() { merged.MaxMsgsPerSubject = want.MaxMsgsPerSubject })
	set("republish", !sameRePublish(have.RePublish, want.RePublish), func() { merged.RePublish = want.RePublish })
	set("discard", have.Discard != want.Discard, func() { merged.Discard = want.Discard })
	set("no_ack", have.NoAck, func() { merged.NoAck = false })
	ttl, bytes, messages := cfg.chosen(want.Name)
	set("max_age", ttl && have.MaxAge != want.MaxAge, func() { merged.MaxAge = want.MaxAge })
	set("max_bytes", bytes && have.MaxBytes != want.MaxBytes, func() { merged.MaxBytes = want.MaxBytes })
	set("max_msgs", messages && have.MaxMsgs != want.MaxMsgs, func() { merged.MaxMsgs = want.MaxMsgs })
	set("num_replicas", cfg.Replicas != 0 && have.Replicas != want.Replicas, func() { merged.Replicas = want.Replicas })
	tooLong := merged.MaxAge > 0 && have.Duplicates > merged.MaxAge // which no server takes
	set("duplicate_window", (cfg.DuplicateWindow != 0 || tooLong) && have.Duplicates != want.Duplicates,
		func() { merged.Duplicates = want.Duplicates })
	return merged, changes
}

// chosen tells which bounds of a stream something was said about: how long, how many bytes and how many messages it keeps.
func (c StreamConfig) chosen(stream string) (ttl, bytes, messages bool) {
	subjects := Subjects{Prefix: c.Prefix}
	switch stream {
	case subjects.BeatStream():
		return c.BeatTTL != 0, false, false
	case subjects.EventStream():
		return c.EventTTL != 0, c.EventBytes != 0, c.EventMessages != 0
	case subjects.DeadStream():
		return c.DeadTTL != 0, false, c.DeadMessages != 0
	}
	return false, false, false
}

func sameRePublish(a, b *jetstream.RePublish) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// translate turns an error of the JetStream API into one of ours where JetStream gave no answer.
func translate(doing string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code < 500 {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
}
