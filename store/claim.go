package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Claim is an occurrence that this worker holds under a lease: what it needs to run it and to end it.
type Claim struct {
	Partition    Partition
	Flow         DataFlow
	RunID        string
	Token        string // fencing token, decimal
	OccurrenceID string
	Slot         time.Time // zero for a run-now
	Attempt      int       // from 1
	BeatID       string    // empty for a run-now
	AsOf         time.Time // the beat's as-of time; zero for a run-now
	Worker       string
	StartedAt    time.Time // when the lease began, by Redis' clock
	Params       json.RawMessage
	Cursor       string
	RecoveredID  string // id of the run that lost the occurrence, empty unless this attempt took it over

	beatKey string
	tries   int    // the flow's own failures at this occurrence before
	crashes int    // workers lost in a row by this occurrence
	cancel  string // why it is to be ended at once, empty if it is not
	unbegun bool   // it waited as the run that it is, and was claimed only to be ended
	created int64  // when the run was asked for or made, in ms; 0 for one that the claim made
	state   flowState
	rev     string // of the state that it was claimed, or planned, with
}

// owns reports whether the flow waits for nothing but this occurrence: what follows it is decided with it.
func (c Claim) owns() bool { return !c.RunNow() && c.state.slot.Equal(c.Slot) }

// orphaned reports whether the flow was deleted since, and the one that has its name now was made anew.
func (c Claim) orphaned() bool {
	made := c.state.past.Made
	return made != 0 && c.rev != "" && flowState{rev: c.rev}.olderThan(flowState{rev: strconv.FormatInt(made, 10)})
}

// CrashBudget is how many workers in a row an occurrence may take down before it is given up and its flow paused.
const CrashBudget = 3

// RunNow reports whether the occurrence was asked for by a run-now, and not by a beat.
func (c Claim) RunNow() bool { return c.Slot.IsZero() }

// Claimed is the answer to one claim.
type Claimed struct {
	Claims []Claim
	// Sent is when the call that was answered was sent, by this machine's clock: no lease ends earlier than its length after that.
	Sent    time.Time
	Settled []BeatView // beats that this claim found to have ended
	// Missed are slots that were passed over, by flow.
	Missed []Missed
	// Ended are runs that were ended instead of being run on: cancelled, or given up after CrashBudget crashes.
	Ended []Completed
	// Replaced are runs that go on elsewhere, and that are to be cancelled since what was claimed takes their place.
	Replaced []string
	// Broken says which occurrences were claimed but cannot be run, since what Redis holds of them cannot be read. They
	// are handed back, and come again with the next heartbeat, to a worker that may be of a newer version.
	Broken []error
	// More says that there may be more to claim at once.
	More bool
	// NextExpiry is how long until the next lease of the partition expires; negative where none is held.
	NextExpiry time.Duration

	unread []Claim // those that are Broken
}

// Missed is what a claim found of a flow's slots that no heartbeat covered in time.
type Missed struct {
	Flow  string
	Slots []SlotRange
}

// ForSlot is the slot that the run is for. A run that was started again by hand is apart from the schedule, and yet stands
// for the slot of its occurrence. Zero where there is none.
func (c Claim) ForSlot() time.Time {
	if !c.Slot.IsZero() {
		return c.Slot
	}
	_, slot, _ := strings.Cut(c.OccurrenceID, "@")
	return msTime(slot)
}

// Claimer claims from one partition for one worker. It remembers a claim whose answer never came, so that the next one
// gets what that took. It is for use from one goroutine at a time.
type Claimer struct {
	store     *Store
	partition Partition
	worker    string
	lease     time.Duration

	instance string
	count    int
	pending  bool     // the last claim may have been carried out
	claimed  *Claimed // what the last claim took, where that could not be placed
}

// Claimer makes a Claimer. worker names the worker in run records; lease is how long a claim holds without renewal.
func (s *Store) Claimer(p Partition, worker string, lease time.Duration) *Claimer {
	return &Claimer{store: s, partition: p, worker: worker, lease: lease, instance: rand.Text()[:10]}
}

// Claim takes up to limit occurrences (at most 100): those whose lease has expired, then run-nows and what is due as of the beats
// that drain, either of them first. Limit must be at least 1.
func (c *Claimer) Claim(ctx context.Context, limit int) (Claimed, error) {
	if c.claimed != nil && time.Since(c.claimed.Sent) >= c.lease {
		c.claimed = nil // others may have taken it over
	}
	if c.claimed == nil {
		claimed, err := c.take(ctx, limit)
		if err != nil {
			return Claimed{}, err
		}
		c.claimed = &claimed
	}
	if err := c.place(ctx, c.claimed); err != nil {
		return Claimed{}, err // the next call places what this one took
	}
	claimed := *c.claimed
	c.claimed = nil
	return claimed, nil
}

func (c *Claimer) take(ctx context.Context, limit int) (Claimed, error) {
	if !c.pending {
		c.count++
	}
	nonce := c.instance + "." + strconv.Itoa(c.count)
	earlier := c.pending
	c.pending = true
	var sent time.Time
	reply, err := c.store.run(ctx, c.partition, "claim", func(repeated bool) []any {
		sent = time.Now() // a call that is repeated extends the leases of what the first one took
		again := 0
		if repeated || earlier {
			again = 1
		}
		return []any{escapeID(c.worker), nonce, c.lease.Milliseconds(), min(limit, maxBatch), again, c.partition.Group, CrashBudget}
	})
	if err != nil {
		return Claimed{}, err
	}
	claimed, err := c.decode(ctx, reply)
	if err != nil {
		return Claimed{}, err // the next call gets what this one took
	}
	c.pending, claimed.Sent = false, sent
	return claimed, nil
}

func (c *Claimer) decode(ctx context.Context, reply any) (Claimed, error) {
	items, err := list(reply, 5)
	if err != nil {
		return Claimed{}, err
	}
	now := time.UnixMilli(number(items[0])).UTC()
	claimed := Claimed{NextExpiry: time.Duration(number(items[1])) * time.Millisecond, More: number(items[2]) == 1}
	rows, err := list(items[3], 0)
	if err != nil {
		return Claimed{}, err
	}
	for _, row := range rows {
		claim, err := c.decodeClaim(now, row)
		if err != nil {
			claimed.Broken = append(claimed.Broken, err)
			claimed.unread = append(claimed.unread, claim)
		} else {
			claimed.Claims = append(claimed.Claims, claim)
		}
	}
	slices.SortFunc(claimed.Claims, func(a, b Claim) int { return strings.Compare(a.Token, b.Token) }) // as they were taken
	claimed.Settled, err = c.store.settleAll(ctx, c.partition, items[4])
	return claimed, err
}

// decodeClaim reads one claim. Where that fails, what was read is enough to hand it back.
func (c *Claimer) decodeClaim(now time.Time, row any) (Claim, error) {
	fields, err := list(row, 9)
	if err != nil {
		return Claim{}, err
	}
	held := decodeHeld(text(fields[0]))
	claim := Claim{
		Partition: c.partition, RunID: held.run, Token: held.token, OccurrenceID: held.occurrence, Attempt: held.attempt,
		Worker: c.worker, StartedAt: now, RecoveredID: text(fields[1]), beatKey: held.beat, tries: held.tries,
		Slot: held.slot, AsOf: held.asOf, BeatID: unescapeID(text(fields[5])), crashes: held.crashes, cancel: text(fields[6]),
	}
	claim.unbegun, claim.created = text(fields[7]) != "", number(fields[8])
	if err := json.Unmarshal([]byte(text(fields[2])), &claim.Flow); err != nil {
		return claim, fmt.Errorf("decode flow %s: %w", flowOf(held.run), err)
	}
	if _, err := claim.Flow.Schedule(); err != nil {
		return claim, fmt.Errorf("flow %s: %w", claim.Flow.Name, err)
	}
	if claim.state, err = decodeState(text(fields[3])); err != nil {
		return claim, fmt.Errorf("flow %s: %w", flowOf(held.run), err)
	}
	if given := text(fields[4]); given != "" {
		claim.Params = json.RawMessage(given)
	}
	claim.Cursor, claim.rev = claim.state.past.Cursor, claim.state.rev
	return claim, nil
}

// heldValue is what Redis keeps of an occurrence that is under lease or waits, as lua/lib.lua packs it.
type heldValue struct {
	token, run, occurrence  string
	slot                    time.Time
	attempt, tries, crashes int
	beat                    string
	asOf                    time.Time
	key                     string
	worker                  string
}

func decodeHeld(packed string) heldValue {
	parts := strings.Split(packed, "|")
	for len(parts) < 13 {
		parts = append(parts, "")
	}
	count := func(i int) int {
		n, _ := strconv.Atoi(parts[i])
		return n
	}
	return heldValue{
		token: parts[0], run: parts[1], occurrence: parts[2], slot: msTime(parts[3]), attempt: count(4), tries: count(5),
		crashes: count(6), beat: parts[7], asOf: msTime(parts[8]), key: parts[9], worker: unescapeID(parts[11]),
	}
}

func msTime(text string) time.Time {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
