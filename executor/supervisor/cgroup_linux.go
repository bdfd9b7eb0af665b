package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups is where a supervisor has a control group for each run, if this host lets it: a version 2 hierarchy in which the
// worker may make groups. No controller is needed. With a group, all of a run is killed by one write, which nothing can
// outrun; what has moved to another group, as root can, is still found as for runs without one.
type cgroups struct {
	dir  string
	lock *os.File // tells later supervisors that this one lives
}

// cgroup is that of one run. nil is none, and all its methods do nothing then.
type cgroup struct{ dir string }

// cgroupPrefix is how the name of a supervisor's control group starts.
const cgroupPrefix = "systole-"

// newCgroups gives nil where there can be none.
func newCgroups(instance uint64) *cgroups {
	parent, err := ownCgroup()
	if err != nil {
		return nil
	}
	sweepCgroups(parent)
	c := &cgroups{dir: filepath.Join(parent, cgroupPrefix+strconv.FormatUint(instance, 10))}
	if os.Mkdir(c.dir, 0o755) != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.dir, "cgroup.kill")); err != nil { // before Linux 5.14
		_ = os.Remove(c.dir)
		return nil
	}
	if c.lock = lockDir(c.dir); c.lock == nil {
		_ = os.Remove(c.dir)
		return nil
	}
	return c
}

// ownCgroup finds the folder of this process's group in the version 2 hierarchy.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	memberships, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	_, path, found := bytes.Cut(append([]byte("\n"), memberships...), []byte("\n0::"))
	if !found {
		return "", errors.New("found no control group of version 2")
	}
	path, _, _ = bytes.Cut(path, []byte("\n"))
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			dir := filepath.Join(fields[1], string(path))
			_, err := os.Stat(dir)
			return dir, err
		}
	}
	return "", errors.New("found no cgroup2 file system")
}

// sweepCgroups removes the groups of supervisors that are gone, with what lives in them.
func sweepCgroups(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	for _, dir := range dirs {
		if lock := lockDir(dir); lock != nil {
			removeCgroups(dir)
			_ = lock.Close()
		}
	}
}

// lockDir takes a folder's lock, which ends with the process. nil says that someone has it.
func lockDir(dir string) *os.File {
	file, err := os.Open(dir)
	if err != nil {
		return nil
	}
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = file.Close()
		return nil
	}
	return file
}

// endCgroups ends what is left in the groups of a supervisor that is gone.
func endCgroups(instance uint64) {
	if parent, err := ownCgroup(); err == nil {
		removeCgroups(filepath.Join(parent, cgroupPrefix+strconv.FormatUint(instance, 10)))
	}
}

func removeCgroups(dir string) {
	groups, _ := filepath.Glob(filepath.Join(dir, "run-*"))
	for _, group := range groups {
		(&cgroup{group}).end()
	}
	_ = os.Remove(dir)
}

// close removes the supervisor's group.
func (c *cgroups) close() {
	if c != nil {
		removeCgroups(c.dir)
		_ = c.lock.Close()
	}
}

// add makes a group for a run and puts its command there. Where that fails, the run has none.
func (c *cgroups) add(run uint64, pid int) *cgroup {
	if c == nil {
		return nil
	}
	g := &cgroup{filepath.Join(c.dir, fmt.Sprintf("run-%d", run))}
	if os.Mkdir(g.dir, 0o755) != nil {
		return nil
	}
	if g.write("cgroup.procs", strconv.Itoa(pid)) != nil {
		_ = os.Remove(g.dir)
		return nil
	}
	return g
}

func (g *cgroup) write(file, text string) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(text), 0)
}

// end kills what is in the group and removes it. It waits for the last process, as long as one may take.
func (g *cgroup) end() {
	if g == nil || os.Remove(g.dir) == nil { // nothing was left
		return
	}
	deadline := time.Now().Add(killPatience)
	for wait := 200 * time.Microsecond; time.Now().Before(deadline); wait = min(2*wait, 20*time.Millisecond) {
		_ = g.write("cgroup.kill", "1")
		if err := os.Remove(g.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		pause(wait)
	}
}
