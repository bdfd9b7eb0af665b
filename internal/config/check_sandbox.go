package config

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sandboxes are the levels, from the one that keeps least.
var sandboxes = []string{"none", "standard", "strict"}

var userPattern = regexp.MustCompile(`^[0-9]{1,10}:[0-9]{1,10}$`)

func (l *loader) checkSandbox(exec ExecutorExec) {
	usual, least := slices.Index(sandboxes, exec.Sandbox), slices.Index(sandboxes, exec.MinSandbox)
	if usual < 0 {
		l.bad("executor.exec.sandbox", quote(exec.Sandbox), "none, standard or strict")
	}
	if least < 0 {
		l.bad("executor.exec.min_sandbox", quote(exec.MinSandbox), "none, standard or strict")
	}
	if usual >= 0 && usual < least {
		l.bad("executor.exec.min_sandbox", quote(exec.MinSandbox), strings.Join(sandboxes[:usual+1], " or ")+", since executor.exec.sandbox is "+exec.Sandbox)
	}
	for _, folder := range exec.Folders {
		switch {
		case !strings.HasPrefix(folder, "/"):
			l.bad("executor.exec.folders", quote(folder), "absolute paths")
		case needed(l.Roles, "executor"):
			l.folder("executor.exec.folders", folder)
		}
	}
	if exec.User != "" {
		if _, _, ok := exec.IDs(); !ok || !userPattern.MatchString(exec.User) {
			l.bad("executor.exec.user", quote(exec.User), "UID:GID in numbers, such as 1000:1000; or empty, for the worker's own")
		}
	}
}

// IDs are the user and group that commands run as; false where they run as the worker's own.
func (e ExecutorExec) IDs() (user, group uint32, ok bool) {
	first, second, _ := strings.Cut(e.User, ":")
	uid, err1 := strconv.ParseUint(first, 10, 32)
	gid, err2 := strconv.ParseUint(second, 10, 32)
	return uint32(uid), uint32(gid), err1 == nil && err2 == nil && uid != math.MaxUint32 && gid != math.MaxUint32
}

func (l *loader) checkLimits(prefix string, limits ExecutorLimits) {
	within(l, prefix+"cpu", limits.CPU, 0, 7*24*time.Hour)
	within(l, prefix+"processes", limits.Processes, 0, 100_000)
	within(l, prefix+"open_files", limits.OpenFiles, 0, 1<<20)
	if limits.OpenFiles > 0 && limits.OpenFiles < 8 {
		l.bad(prefix+"open_files", strconv.Itoa(limits.OpenFiles), "0 (no limit), or 8 and more, without which no program starts")
	}
}
