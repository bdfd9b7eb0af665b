package supervisor_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor/supervisor"
)

// strict needs Landlock.
func strict(t *testing.T, script string) supervisor.Command {
	t.Helper()
	if host := supervisor.Probe(); host.Strict != nil {
		t.Skip("this host has no strict sandbox: ", host.Strict)
	}
	cmd := command(t, script)
	cmd.Sandbox.Level = supervisor.LevelStrict
	return cmd
}

func TestStandardSandbox(t *testing.T) {
	t.Parallel()
	end, output := run(t, start(t), command(t, `umask; grep -E 'NoNewPrivs|CapEff|CapAmb' /proc/self/status; ulimit -c`))
	for _, want := range []string{"0077\n", "NoNewPrivs:\t1\n", "CapAmb:\t0000000000000000\n"} {
		if !strings.Contains(output, want) {
			t.Errorf("got %+v and %q, want %q in it", end, output, want)
		}
	}
	_, hex, _ := strings.Cut(output, "CapEff:\t")
	effective, err := strconv.ParseUint(hex[:16], 16, 64)
	if err != nil || effective&(1<<19|1<<21|1<<24|1<<38) != 0 { // CAP_SYS_PTRACE, _ADMIN and _RESOURCE, CAP_PERFMON
		t.Errorf("capabilities: %x, %v", effective, err)
	}
}

func TestWithoutASandboxTheCommandIsAsTheWorkerWouldStartIt(t *testing.T) {
	t.Parallel()
	cmd := command(t, `grep NoNewPrivs /proc/self/status; umask`)
	cmd.Sandbox.Level = supervisor.LevelNone
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, mask, _ := strings.Cut(string(own), "\nUmask:\t")
	want := mask[:5]
	j := begin(t, start(t), cmd)
	if slices.Contains(j.Applied(), "umask 077") { // a container that has threads share it
		want = "0077\n"
	}
	if end, output := j.wait(); !strings.Contains(string(own), "\n"+strings.TrimSuffix(output, want)) || !strings.HasSuffix(output, want) {
		t.Errorf("got %+v, %q", end, output)
	}
}

func TestMarkCannotBeTakenOff(t *testing.T) {
	t.Parallel()
	s := start(t)
	// dash has no option for it, prlimit of util-linux has.
	script := `prlimit --pid $$ --locks=unlimited:unlimited 2>&1 || echo kept`
	if end, output := run(t, s, command(t, script)); !strings.Contains(output, "kept") {
		t.Errorf("raised: %+v, %q", end, output)
	}
	if end, output := run(t, s, strict(t, `prlimit --pid $$ --locks=1:1 2>&1 || echo kept`)); !strings.Contains(output, "kept") {
		t.Errorf("strict, lowered: %+v, %q", end, output)
	}
	cmd := command(t, `setsid sh -c "prlimit --pid \$\$ --locks=1:1; : >$DIR/\$\$.out; exec sleep 300" & until ls $DIR | grep out; do sleep 0.02; done`)
	end, output := run(t, s, cmd)
	pid, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(output), ".out"))
	eventually(t, "a process with a mark of its own making is ended", func() bool { return pid > 0 && gone(pid) })
	if end.Code != 0 {
		t.Errorf("got %+v", end)
	}
}

func TestStrictSandboxKeepsFilesToThoseListed(t *testing.T) {
	t.Parallel()
	s := start(t)
	readable, writable, outside := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{readable, outside} {
		if err := os.WriteFile(dir+"/file", []byte("content of "+dir), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := strict(t, `
		cat $READ/file; echo
		echo no 2>/dev/null >$READ/file || echo not written
		cat $OUT/file 2>/dev/null || echo not read
		echo no 2>/dev/null >$OUT/new || echo not made
		true 2>/dev/null >$OUT/file || echo not emptied
		ln -s $OUT link; cat link/file 2>/dev/null || echo not read over a link
		ls / 2>/dev/null || echo not listed
		cat /etc/passwd 2>/dev/null || echo no users
		cat /proc/$PPID/environ 2>/dev/null || echo no environment
		kill -0 $PPID 2>/dev/null || echo no signals
		echo yes >$WRITE/file && echo yes >own && mkdir a && mv own a/own && cat a/own $WRITE/file`)
	cmd.Env = append(cmd.Env, "READ="+readable, "WRITE="+writable, "OUT="+outside)
	cmd.Sandbox.Read, cmd.Sandbox.Write = []string{readable}, append(cmd.Sandbox.Write, writable)
	end, output := run(t, s, cmd)
	want := "content of " + readable + "\nnot written\nnot read\nnot made\nnot emptied\nnot read over a link\nnot listed\nno users\nno environment\nno signals\nyes\nyes\n"
	if output != want || end.Code != 0 {
		t.Errorf("got %+v and\n%s", end, output)
	}
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("outside: %v", left)
	}
}

func TestStrictSandboxKeepsTheNetworkToPortsListed(t *testing.T) {
	t.Parallel()
	s := start(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	for name, c := range map[string]struct {
		ports []uint16
		want  string
	}{
		"none":       {nil, "refused"},
		"this one":   {[]uint16{port}, "connected"},
		"another":    {[]uint16{1}, "refused"},
		"by another": {[]uint16{1, 2, 443}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := strict(t, "")
			cmd.Path, cmd.Args = "/bin/bash", []string{"bash", "-c", `(exec 3<>/dev/tcp/127.0.0.1/$PORT) && echo connected || echo refused`}
			if !exists(cmd.Path) {
				t.Skip("no bash")
			}
			cmd.Env, cmd.Sandbox.Ports = append(cmd.Env, "PORT="+strconv.Itoa(int(port))), c.ports
			if end, output := run(t, s, cmd); !strings.HasSuffix(output, c.want+"\n") {
				t.Errorf("got %+v, %q", end, output)
			}
		})
	}
}

// Behind a Unix socket may be what starts programs for whoever asks, such as systemd or Docker. Landlock does not see who connects.
func TestStrictSandboxKeepsUnixSocketsFromTheCommand(t *testing.T) {
	t.Parallel()
	strict(t, "") // or skips
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := start(t)
	for name, c := range map[string]struct {
		level supervisor.Level
		ports []uint16
		want  string
	}{
		"standard":          {supervisor.LevelStandard, nil, "connected: true pair: true\n"},
		"strict":            {supervisor.LevelStrict, nil, "connected: false pair: true\n"},
		"strict with ports": {supervisor.LevelStrict, []uint16{443}, "connected: false pair: true\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := helper(t, "unix")
			cmd.Env = append(cmd.Env, "SOCKET="+socket)
			cmd.Sandbox.Level, cmd.Sandbox.Ports = c.level, c.ports
			if end, output := run(t, s, cmd); output != c.want {
				t.Errorf("got %+v, %q, want %q", end, output, c.want)
			}
		})
	}
}

func TestSharedMemoryOfAStrictSandboxEndsWithTheRun(t *testing.T) {
	t.Parallel()
	strict(t, "") // or skips
	key := os.Getpid()
	cmd := helper(t, "shared memory")
	cmd.Env, cmd.Sandbox.Level = append(cmd.Env, "KEY="+strconv.Itoa(key)), supervisor.LevelStrict
	j := begin(t, start(t), cmd)
	_, output := j.wait()
	id, err := unix.SysvShmGet(key, 0, 0)
	if err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	}
	if !slices.Contains(j.Applied(), "IPC namespace") {
		t.Skip("no IPC namespaces here")
	}
	if output != "made: true\n" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %q; afterwards %v", output, err)
	}
}

func TestStrictSandboxHasNoCapabilitiesAndSaysWhatItApplied(t *testing.T) {
	t.Parallel()
	j := begin(t, start(t), strict(t, `unshare -r true 2>/dev/null || echo no namespaces; mount -t tmpfs none . 2>/dev/null || echo no mounts; exec sh -c 'ulimit -n'`))
	end, output := j.wait()
	if !strings.HasPrefix(output, "no namespaces\nno mounts\n") || end.Code != 0 {
		t.Errorf("got %+v, %q", end, output)
	}
	for _, want := range []string{"no_new_privs", "umask 077", "no capabilities", "seccomp"} {
		if !slices.Contains(j.Applied(), want) {
			t.Errorf("applied %v, want %s", j.Applied(), want)
		}
	}
}

func TestCommandThatCannotStartTakesNoNamespacesFromLaterOnes(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := begin(t, s, strict(t, "true"))
	before.wait()
	if !slices.Contains(before.Applied(), "user namespace") {
		t.Skip("no user namespaces here")
	}
	broken := strict(t, "")
	broken.Path = filepath.Join(broken.Dir, "broken")
	if err := os.WriteFile(broken.Path, []byte("neither a program nor a script"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t, s, broken); !errors.Is(err, syscall.ENOEXEC) {
		t.Errorf("got %v", err)
	}
	after := begin(t, s, strict(t, "true"))
	after.wait()
	if !slices.Equal(before.Applied(), after.Applied()) {
		t.Errorf("applied %v before, and %v after", before.Applied(), after.Applied())
	}
}

func TestCommandRunsAsAnotherUserIfTold(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can change to another user")
	}
	id := uint32(65534)
	for _, level := range []supervisor.Level{supervisor.LevelNone, supervisor.LevelStandard, supervisor.LevelStrict} {
		cmd := command(t, "id -u; id -g; id -G")
		if level == supervisor.LevelStrict {
			cmd = strict(t, "id -u; id -g; id -G")
		}
		cmd.Dir, cmd.Sandbox.Level = "/", level
		cmd.Sandbox.User, cmd.Sandbox.Group = &id, &id
		j, err := try(t, start(t), cmd)
		if errors.Is(err, syscall.EPERM) {
			t.Skip("this root may not change to another user")
		}
		if err != nil {
			t.Fatal(err)
		}
		if end, output := j.wait(); output != "65534\n65534\n65534\n" {
			t.Errorf("%s: got %+v, %q", level, end, output)
		}
	}
}
