package trigger

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of StreamConfig.
const (
	DefaultBeatTTL         = 24 * time.Hour
	DefaultDuplicateWindow = 2 * time.Minute

	DefaultEventTTL      = 7 * 24 * time.Hour
	DefaultEventBytes    = 64 << 20 // some 100,000 events
	DefaultEventMessages = 200_000

	DefaultDeadTTL      = 7 * 24 * time.Hour
	DefaultDeadMessages = 10_000
)

// Bounds of the streams at creation. An operator may change them; EnsureStreams leaves them as they are.
const (
	maxStreamBytes = 64 << 20
	maxRunAge      = 7 * 24 * time.Hour
)

// StreamConfig is what may be chosen about the streams. A zero field takes its default when a stream is made, and
// leaves a stream that exists as it is. What is chosen is given to streams that exist by each Follower that starts.
type StreamConfig struct {
	Prefix          string        // of all subjects; DefaultPrefix
	BeatTTL         time.Duration // how long the newest beat of a group is kept; DefaultBeatTTL
	Replicas        int           // 1 to 5; 1
	DuplicateWindow time.Duration // how long a message id is remembered, at most BeatTTL; DefaultDuplicateWindow
	EventTTL        time.Duration // how long events are kept, 1m or more; DefaultEventTTL
	EventBytes      int64         // of all events that are kept, 1 MiB or more; DefaultEventBytes
	EventMessages   int64         // how many events are kept, 100 or more; DefaultEventMessages
	DeadTTL         time.Duration // how long messages that could not be accepted are kept, 1m or more; DefaultDeadTTL
	DeadMessages    int64         // how many of those are kept, 100 or more; DefaultDeadMessages

	// Foreign streams are made by somebody else: one that is missing is an ErrNoStream until it is there, and JetStream
	// is not asked for it. For users of NATS that may not make streams. EnsureStreams does not look at it.
	Foreign bool
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
	for _, ttl := range []struct {
		field string
		value time.Duration
	}{{"event_ttl", c.EventTTL}, {"dead_ttl", c.DeadTTL}} {
		if ttl.value != 0 && ttl.value < time.Minute {
			invalid.add(ttl.field, ttl.value.String(), "1m or more")
		}
	}
	if c.EventBytes != 0 && c.EventBytes < 1<<20 {
		invalid.add("event_bytes", fmt.Sprint(c.EventBytes), fmt.Sprintf("%d or more", 1<<20))
	}
	for _, count := range []struct {
		field string
		value int64
	}{{"event_messages", c.EventMessages}, {"dead_messages", c.DeadMessages}} {
		if count.value != 0 && count.value < 100 {
			invalid.add(count.field, fmt.Sprint(count.value), "100 or more")
		}
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
	if c.EventTTL == 0 {
		c.EventTTL = DefaultEventTTL
	}
	if c.EventBytes == 0 {
		c.EventBytes = DefaultEventBytes
	}
	if c.EventMessages == 0 {
		c.EventMessages = DefaultEventMessages
	}
	if c.DeadTTL == 0 {
		c.DeadTTL = DefaultDeadTTL
	}
	if c.DeadMessages == 0 {
		c.DeadMessages = DefaultDeadMessages
	}
	return c
}

// streams gives the streams as they are made.
func (c StreamConfig) streams() []jetstream.StreamConfig {
	c = c.withDefaults()
	// A server that syncs the disk for each message (sync_interval: always) need not do so for events, of which each run has
	// several. No replicated stream may be kept so.
	events := jetstream.DefaultPersistMode
	if c.Replicas == 1 {
		events = jetstream.AsyncPersistMode
	}
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
		MaxMsgs:     c.DeadMessages,
		MaxBytes:    maxStreamBytes,
		MaxAge:      c.DeadTTL,
		Discard:     jetstream.DiscardOld,
		Replicas:    c.Replicas,
		Duplicates:  min(c.DuplicateWindow, c.DeadTTL),
	}, {
		Name:        subjects.EventStream(),
		Description: "The last events, for whoever was not listening; nothing depends on them",
		Subjects:    []string{subjects.events()},
		MaxMsgs:     c.EventMessages,
		MaxBytes:    c.EventBytes,
		MaxAge:      c.EventTTL,
		Discard:     jetstream.DiscardOld,
		Replicas:    c.Replicas,
		Duplicates:  min(c.DuplicateWindow, c.EventTTL),
		PersistMode: events,
	}}
}
