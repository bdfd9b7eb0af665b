package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of StreamConfig.
const (
	DefaultBeatTTL         = 24 * time.Hour
	DefaultDuplicateWindow = 2 * time.Minute
)

// Bounds of the streams at creation. An operator may change them; EnsureStreams leaves them as they are.
const (
	maxStreamBytes = 64 << 20
	maxRunAge      = 7 * 24 * time.Hour
	maxDeadLetters = 10_000
	maxDeadAge     = 7 * 24 * time.Hour
)

// ErrStreamConflict says that a stream of our name exists and is not ours, or is set up so that it cannot serve.
var ErrStreamConflict = errors.New("an existing stream stands in the way")

// StreamConfig is what may be chosen about the streams. A zero field takes its default when a stream is made, and
// leaves a stream that exists as it is.
type StreamConfig struct {
	Prefix          string        // of all subjects; DefaultPrefix
	BeatTTL         time.Duration // how long the newest beat of a group is kept; DefaultBeatTTL
	Replicas        int           // 1 to 5; 1
	DuplicateWindow time.Duration // how long a message id is remembered, at most BeatTTL; DefaultDuplicateWindow
}

// Validate reports every field that is out of bounds.
func (c StreamConfig) Validate() error {
	var invalid InvalidError
	if err := (Subjects{Prefix: c.Prefix}).validate(); err != nil {
		invalid.add("prefix", quote(c.Prefix), prefixAllowed)
	}
	if c.BeatTTL != 0 && c.BeatTTL < time.Second {
		invalid.add("beat_ttl", c.BeatTTL.String(), "1s or more")
	}
	if c.Replicas < 0 || c.Replicas > 5 {
		invalid.add("replicas", fmt.Sprint(c.Replicas), "1 to 5")
	}
	if c.DuplicateWindow != 0 && (c.DuplicateWindow < 100*time.Millisecond || c.DuplicateWindow > c.withDefaults().BeatTTL) {
		invalid.add("duplicate_window", c.DuplicateWindow.String(), "100ms up to beat_ttl")
	}
	return invalid.orNil()
}

func (c StreamConfig) withDefaults() StreamConfig {
	if c.BeatTTL == 0 {
		c.BeatTTL = DefaultBeatTTL
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.DuplicateWindow == 0 {
		c.DuplicateWindow = min(DefaultDuplicateWindow, c.BeatTTL)
	}
	return c
}

// streams gives the three streams as they are made.
func (c StreamConfig) streams() []jetstream.StreamConfig {
	c = c.withDefaults()
	subjects := Subjects{Prefix: c.Prefix}
	return []jetstream.StreamConfig{{
		Name:              subjects.BeatStream(),
		Description:       "The newest heartbeat of each group, republished to " + subjects.Tick(">"),
		Subjects:          []string{subjects.Beat("*")},
		MaxMsgsPerSubject: 1,
		MaxAge:            c.BeatTTL,
		MaxBytes:          maxStreamBytes,
		Discard:           jetstream.DiscardOld,
		Replicas:          c.Replicas,
		Duplicates:        c.DuplicateWindow,
		RePublish:         &jetstream.RePublish{Source: subjects.Beat(">"), Destination: subjects.Tick(">")},
	}, {
		Name:        subjects.RunStream(),
		Description: "Requests to run a flow now, until they are written to Redis",
		Subjects:    []string{subjects.runs()},
		Retention:   jetstream.WorkQueuePolicy,
		MaxAge:      maxRunAge,
		MaxBytes:    maxStreamBytes,
		Discard:     jetstream.DiscardNew, // a full queue refuses, so that nobody is told that a lost request is stored
		Replicas:    c.Replicas,
		Duplicates:  c.DuplicateWindow,
	}, {
		Name:        subjects.DeadStream(),
		Description: "Messages that could not be read, with the reason in the header " + HeaderReason,
		Subjects:    []string{subjects.Dead(">")},
		MaxMsgs:     maxDeadLetters,
		MaxBytes:    maxStreamBytes,
		MaxAge:      maxDeadAge,
		Discard:     jetstream.DiscardOld,
		Replicas:    c.Replicas,
		Duplicates:  c.DuplicateWindow,
	}}
}

// EnsureStreams creates the streams that are missing and checks those that exist. What can be changed without losing
// a message is changed to what cfg says; anything else that differs is an ErrStreamConflict that names the setting.
// ErrUnavailable where JetStream does not answer. It may be called by many processes at once, and again at any time.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, cfg StreamConfig) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("stream settings: %w", err)
	}
	for _, want := range cfg.streams() {
		if err := ensureStream(ctx, js, want, cfg); err != nil {
			return fmt.Errorf("stream %s: %w", want.Name, err)
		}
	}
	return nil
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
	have := stream.CachedInfo().Config
	if err := conflicts(have, want); err != nil {
		return err
	}
	updated, changes := merge(have, want, cfg)
	if len(changes) == 0 {
		return nil
	}
	if _, err := js.UpdateStream(ctx, updated); err != nil {
		return translate("change "+strings.Join(changes, ", "), err)
	}
	return nil
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
	set("max_age", cfg.BeatTTL != 0 && want.RePublish != nil && have.MaxAge != want.MaxAge, func() { merged.MaxAge = want.MaxAge })
	set("num_replicas", cfg.Replicas != 0 && have.Replicas != want.Replicas, func() { merged.Replicas = want.Replicas })
	set("duplicate_window", cfg.DuplicateWindow != 0 && have.Duplicates != want.Duplicates, func() { merged.Duplicates = want.Duplicates })
	return merged, changes
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
