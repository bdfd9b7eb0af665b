package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/supervisor"
)

// asSystole makes this test binary be systole, so that what the tests start is built as they are: under -race, it races too.
const asSystole = "TEST_AS_SYSTOLE" // not SYSTOLE_…, which would be a setting

// leash is the descriptor whose other end only the tests hold: it is closed when they are gone, however that came.
const leash = 3

// raceExit is the status with which a program that found a data race ends.
const raceExit = 66

func TestMain(m *testing.M) {
	supervisor.Main(function.Role(builtins()))
	if os.Getenv(asSystole) == "" {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(leash, "leash"))
		os.Exit(exitFailed)
	}()
	main()
}

// daemon is a systole process that a test started. It is killed when the test ends.
type daemon struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended

	mu     sync.Mutex
	stdout []string         // its lines
	stderr []string         // those that are no log records
	logs   []map[string]any // its log records
}

// spawn starts systole with arguments and settings (SYSTOLE_…=…), and nothing else of this process's environment but PATH.
func spawn(t *testing.T, name string, args []string, env ...string) *daemon {
	t.Helper()
	return spawnCommand(t, name, exec.Command(os.Args[0], args...), env...)
}

// spawnCommand is spawn for a command that becomes the program by itself.
func spawnCommand(t *testing.T, name string, cmd *exec.Cmd, env ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: name, cmd: cmd, exited: make(chan struct{})}
	held, holder, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.ExtraFiles = []*os.File{held}
	d.cmd.Env = append([]string{asSystole + "=1", "PATH=" + os.Getenv("PATH"), "SYSTOLE_LOG__FORMAT=json"}, env...)
	stdout, err1 := d.cmd.StdoutPipe()
	stderr, err2 := d.cmd.StderrPipe()
	if err := errors.Join(err1, err2, d.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
	go func() {
		var reading sync.WaitGroup
		reading.Go(func() { d.read(stdout, func(line string) { d.stdout = append(d.stdout, line) }) })
		reading.Go(func() { d.read(stderr, d.note) })
		reading.Wait()
		_ = d.cmd.Wait()
		_ = holder.Close()
		close(d.exited)
	}()
	t.Cleanup(d.end)
	return d
}

// read passes on line after line, with d.mu held.
func (d *daemon) read(from io.Reader, take func(line string)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		d.mu.Lock()
		take(lines.Text())
		d.mu.Unlock()
	}
}

func (d *daemon) note(line string) {
	var record map[string]any
	if json.Unmarshal([]byte(line), &record) == nil {
		d.logs = append(d.logs, record)
		return
	}
	d.stderr = append(d.stderr, line)
}

// end kills what still runs, and shows what the process had to say if the test failed.
func (d *daemon) end() {
	_ = d.cmd.Process.Kill()
	<-d.exited
	if d.cmd.ProcessState.ExitCode() == raceExit || strings.Contains(strings.Join(d.stderr, "\n"), "DATA RACE") {
		d.t.Errorf("%s: data race", d.name)
	}
	if d.logged("listening") != nil && len(d.stderr) > 0 { // a role, and not a command
		d.t.Errorf("%s: not all that it says on standard error are log records", d.name)
	}
	if !d.t.Failed() {
		return
	}
	d.t.Logf("%s: %s\n%s", d.name, d.cmd.ProcessState, strings.Join(d.stderr, "\n"))
	for _, record := range d.logs[max(0, len(d.logs)-30):] {
		line, _ := json.Marshal(record)
		d.t.Logf("%s: %s", d.name, line)
	}
}

func (d *daemon) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatalf("signal %s with %s: %v", d.name, sig, err)
	}
}

// kill ends the process as a crash would.
func (d *daemon) kill() {
	d.t.Helper()
	d.signal(syscall.SIGKILL)
	<-d.exited
}

// runs reports whether the process, the very one that was started, is still there.
func (d *daemon) runs() bool {
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// status waits for the process to end by itself.
func (d *daemon) status() int {
	d.t.Helper()
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		d.t.Fatalf("%s has not ended within %s", d.name, patience)
		return -1
	}
}

// logged gives the last log record with a message and, in pairs, further attributes; nil if there is none.
func (d *daemon) logged(message string, attributes ...string) map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found map[string]any
	for _, record := range d.logs {
		matches := record["msg"] == message
		for i := 0; i+1 < len(attributes); i += 2 {
			matches = matches && record[attributes[i]] == attributes[i+1]
		}
		if matches {
			found = record
		}
	}
	return found
}

// awaitLog waits for such a record.
func (d *daemon) awaitLog(message string, attributes ...string) (record map[string]any) {
	d.t.Helper()
	pollUntil(d.t, d.name+" logs "+message, func() bool {
		if record = d.logged(message, attributes...); record == nil && !d.runs() {
			d.t.Fatalf("%s has ended without logging %q", d.name, message)
		}
		return record != nil
	})
	return record
}

// output gives what the process printed so far.
func (d *daemon) output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.stdout, "\n")
}

// url is where the process listens: "gateway", "console", "dev" or "metrics".
func (d *daemon) url(component string) string {
	d.t.Helper()
	return d.awaitLog("listening", "component", component)["listen"].(string)
}

// readiness asks /readyz.
func (d *daemon) readiness() (status int, checks map[string]string) {
	d.t.Helper()
	response, err := http.Get(d.url("metrics") + "/readyz")
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Checks map[string]string `json:"checks"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		d.t.Fatalf("/readyz of %s: %v", d.name, err)
	}
	return response.StatusCode, answer.Checks
}

func (d *daemon) awaitReady() {
	d.t.Helper()
	pollUntil(d.t, d.name+" is ready", func() bool {
		status, _ := d.readiness()
		return status == http.StatusOK
	})
}
