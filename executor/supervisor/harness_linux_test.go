package supervisor_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor/supervisor"
)

func TestMain(m *testing.M) {
	supervisor.Main()
	if what := os.Getenv(helperEnv); what != "" {
		beHelper(what)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := leftovers(); code == 0 && len(left) > 0 {
			fmt.Fprintln(os.Stderr, "left after all tests:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// testerEnv marks what this test binary has started.
func testerEnv() string { return fmt.Sprintf("TESTER=<%d>", os.Getpid()) }

// leftovers are processes that belong to tests, control groups, and descriptors of supervisors that still are there. A supervisor
// whose worker has just been killed has time to end.
func leftovers() (left []string) {
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		if left = leftoversNow(); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func leftoversNow() []string {
	var left []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
		if bytes.Contains(text, []byte(testerEnv())) && !gone(pid) {
			left = append(left, file)
		}
	}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(text)) {
			if pid, _ := strconv.Atoi(child); !gone(pid) { // as the first process of a container, this one gets all orphans
				left = append(left, child)
			}
		}
	}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if target, _ := os.Readlink(link); strings.HasPrefix(target, "socket:") {
			left = append(left, link+" is a "+target)
		}
	}
	return left
}

// start gives a supervisor of the test's own.
func start(t testing.TB) *supervisor.Supervisor {
	t.Helper()
	s, err := supervisor.Start(supervisor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ways has a test run with control groups, where this host has them, and without.
func ways(t *testing.T, test func(t *testing.T, s *supervisor.Supervisor)) {
	t.Helper()
	for name, without := range map[string]bool{"as this host allows": false, "without control groups": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := supervisor.Start(supervisor.Config{Logger: slog.New(slog.DiscardHandler), WithoutCgroups: without})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			test(t, s)
		})
	}
}

// command gives a command that sh runs, in an empty folder.
func command(t testing.TB, script string) supervisor.Command {
	t.Helper()
	dir := t.TempDir()
	return supervisor.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Dir: dir,
		Env:     []string{"PATH=/usr/bin:/bin", "DIR=" + dir, "LANG=C.UTF-8", testerEnv()},
		Sandbox: supervisor.Sandbox{Write: []string{dir}},
	}
}

// job is a started command and what it wrote.
type job struct {
	*supervisor.Process
	t      testing.TB
	output chan string
}

// begin starts a command whose output is kept.
func begin(t testing.TB, s *supervisor.Supervisor, cmd supervisor.Command) *job {
	t.Helper()
	j, err := try(t, s, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func try(t testing.TB, s *supervisor.Supervisor, cmd supervisor.Command) (*job, error) {
	t.Helper()
	input, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Files = append([]*os.File{input, write, write}, cmd.Files...)
	p, err := s.Start(t.Context(), cmd)
	_, _ = input.Close(), write.Close()
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	j := &job{Process: p, t: t, output: make(chan string, 1)}
	go func() {
		var kept bytes.Buffer
		_, _ = io.Copy(&limited{&kept}, read)
		_ = read.Close()
		j.output <- kept.String()
	}()
	return j, nil
}

// limited keeps the first 64 KiB.
type limited struct{ kept *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.kept.Write(p[:min(len(p), max(64<<10-l.kept.Len(), 0))])
	return len(p), nil
}

// wait blocks until nothing is left of the run.
func (j *job) wait() (end supervisor.End, output string) {
	j.t.Helper()
	select {
	case <-j.Done():
	case <-time.After(patience):
		j.t.Fatalf("the run has not ended within %s", patience)
	}
	return j.End(), <-j.output
}

// run runs a command to its end.
func run(t testing.TB, s *supervisor.Supervisor, cmd supervisor.Command) (supervisor.End, string) {
	t.Helper()
	return begin(t, s, cmd).wait()
}

// marked lists the processes whose environment names the folder of a command.
func marked(t testing.TB, dir string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if bytes.Contains(text, []byte("DIR="+dir+"\x00")) {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			found = append(found, pid)
		}
	}
	return found
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		case <-look.C:
		}
	}
}

// exists reports whether a file is there.
func exists(elements ...string) bool {
	_, err := os.Lstat(filepath.Join(elements...))
	return err == nil
}

// helperEnv has the test binary do something that a shell cannot.
const helperEnv = "SUPERVISOR_TEST_HELPER"

// deadlineEnv has a worker set its run a deadline.
const deadlineEnv = "SUPERVISOR_TEST_DEADLINE"

// helper gives a command that runs this test binary as a helper.
func helper(t testing.TB, what string) supervisor.Command {
	t.Helper()
	cmd := command(t, "")
	var err error
	if cmd.Path, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	cmd.Args = []string{"helper"}
	cmd.Env = append(cmd.Env, helperEnv+"="+what)
	cmd.Sandbox.Read = []string{cmd.Path}
	return cmd
}

func beHelper(what string) {
	switch what {
	case "memory": // touches all that it takes
		var held [][]byte
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			held = append(held, block)
			if len(held) > 1<<14 {
				os.Exit(0)
			}
		}
	case "files":
		for range 100_000 {
			if _, err := os.Open(os.DevNull); err != nil {
				_, _ = os.Stderr.WriteString(err.Error())
				os.Exit(1)
			}
		}
		os.Exit(0)
	case "unix": // tries to connect to a Unix socket, and has a pair of its own
		_, err := net.Dial("unix", os.Getenv("SOCKET"))
		pair, pairErr := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		fmt.Println("connected:", err == nil, "pair:", pairErr == nil && pair[0] > 0)
		os.Exit(0)
	case "shared memory": // leaves a segment behind
		key, _ := strconv.Atoi(os.Getenv("KEY"))
		_, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
		fmt.Println("made:", err == nil)
		os.Exit(0)
	case "worker":
		beWorker()
	}
	os.Exit(3)
}

// beWorker starts a supervisor and a family, whose folder is the environment's, until it is killed. Once the family is there,
// the run has two seconds, if the environment says so.
func beWorker() {
	s, err := supervisor.Start(supervisor.Config{})
	if err != nil {
		panic(err)
	}
	null, _ := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	p, err := s.Start(contextForever(), supervisor.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", family + "sleep 300"}, Dir: os.Getenv("DIR"),
		Env: []string{"PATH=/usr/bin:/bin", "DIR=" + os.Getenv("DIR")}, Files: []*os.File{null, null, null},
	})
	if err != nil {
		panic(err)
	}
	for !exists(os.Getenv("DIR"), "ready") {
		<-time.After(5 * time.Millisecond)
	}
	if os.Getenv(deadlineEnv) != "" {
		p.Extend(time.Now().Add(2 * time.Second))
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("DIR"), "at work"), nil, 0o600); err != nil {
		panic(err)
	}
	select {}
}

// family starts processes that ignore TERM, in sessions of their own and without living parents, and waits until all are there.
const family = `
	trap '' TERM
	for i in 1 2 3; do
		setsid sh -c 'sh -c "trap \"\" TERM; : >$DIR/\$\$.started; exec sleep 300" & exit' &
		sh -c '(setsid env -i sh -c ": >\$0/\$\$.started; exec /bin/sleep 300" "$DIR" &)' &
	done
	until [ "$(ls $DIR | grep -c started)" -eq 6 ]; do sleep 0.02; done
	: >$DIR/ready
`

// familyPIDs are the processes that family started.
func familyPIDs(t testing.TB, dir string) []int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.started"))
	if err != nil || len(files) != 6 {
		t.Fatalf("family of %v: %v", files, err)
	}
	var found []int
	for _, file := range files {
		pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".started"))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

// gone reports whether none of the processes lives, zombies not counted.
func gone(pids ...int) bool {
	for _, pid := range pids {
		if now := state(pid); now != "" && now != "Z" && now != "X" {
			return false
		}
	}
	return true
}

// state is the letter that /proc has for what a process does, empty if there is none.
func state(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[0]
}

// worker starts this test binary as a worker of its own, with additions to its environment.
func worker(t *testing.T, env ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), helperEnv+"=worker", "DIR="+dir, testerEnv()), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "the family is there", func() bool { return exists(dir, "at work") })
	return cmd, dir
}
