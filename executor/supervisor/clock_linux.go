package supervisor

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootNow reads the clock that the worker and its supervisor share: it goes on while the machine sleeps, and nobody sets it.
func bootNow() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // in Linux since 2.6.39
	}
	return now.Nano()
}

// bootTime is t on that clock. The clock is read first: whoever is frozen in between gets a time that is too early.
func bootTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	now := bootNow()
	return max(now+int64(time.Until(t)), 1)
}
