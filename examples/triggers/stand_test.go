// Package triggers_test runs every example of this folder against the real binary, a real NATS and a real Redis. What needs
// programs beside Go and Redis has the build tag triggers (`make triggers`).
package triggers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// patience bounds every wait of these tests, on the busiest of machines.
const patience = 2 * time.Minute

// credential is what the schedulers of these tests show.
const credential = "a-token-that-only-these-tests-know"

// deployment is one gateway and one worker that all tests share. Each test has a group of its own.
type deployment struct {
	gateway   string // http://host:port
	nats      string
	store     *store.Store
	tokenFile string
	issuer    *issuer
}

var (
	bin     string // folder that holds the systole program
	scratch string
	leashes []io.Closer // each ends a process
	ended   sync.WaitGroup
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "systole-triggers-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = filepath.Join(scratch, "bin")
	defer func() {
		for _, leash := range leashes {
			_ = leash.Close()
		}
		ended.Wait()
		_ = os.RemoveAll(scratch)
	}()
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator),
		"../../cmd/systole", "./nats-publish", "./nats-schedule").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

var shared struct {
	once sync.Once
	deployment
	err error
}

// deploy gives the deployment of all tests, and starts it for the first of them.
func deploy(t *testing.T) deployment {
	t.Helper()
	shared.once.Do(func() { shared.deployment, shared.err = start(t) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.deployment
}

func start(t *testing.T) (d deployment, err error) {
	t.Helper()
	// The prefixes that tests usually have are of no use here: the examples name the subjects of a deployment.
	d.nats, _ = testenv.NATSURL(t)
	redisURL, _ := testenv.RedisURL(t)
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return d, err
	}
	if d.store, err = store.New(redis.NewClient(options), store.Config{}); err != nil {
		return d, err
	}
	d.tokenFile = filepath.Join(scratch, "token")
	if d.issuer, err = newIssuer(); err != nil {
		return d, err
	}
	caFile := filepath.Join(scratch, "issuer.crt")
	oidc, err := oidcSettings(os.ReadFile, d.issuer.url, caFile)
	if err != nil {
		return d, err
	}
	settings := filepath.Join(scratch, "gateway.yaml")
	err = errors.Join(
		os.WriteFile(caFile, d.issuer.ca, 0o600),
		os.WriteFile(d.tokenFile, []byte(credential+"\n"), 0o600),
		os.WriteFile(settings, []byte("gateway:\n  listen: 127.0.0.1:0\n  auth:\n    mode: token,hmac,oidc\n"+oidc+
			"    hmac:\n      keys:\n        - {name: cron, value_file: "+d.tokenFile+"}\n    tokens:\n      - {name: scheduler, value_file: "+d.tokenFile+"}\n"), 0o600),
	)
	if err != nil {
		return d, err
	}
	health, err := role("worker", "SYSTOLE_NATS__URL="+d.nats, "SYSTOLE_REDIS__URL="+redisURL)
	if err != nil {
		return d, err
	}
	// The streams are there then.
	if err := await("the worker", http.StatusOK, func() (*http.Response, error) { return http.Get(health + "/readyz") }); err != nil {
		return d, err
	}
	if d.gateway, err = role("gateway", "SYSTOLE_NATS__URL="+d.nats, "SYSTOLE_NATS__ACK_TIMEOUT=10s", "SYSTOLE_CONFIG="+settings); err != nil {
		return d, err
	}
	return d, await("the gateway", http.StatusAccepted, func() (*http.Response, error) {
		ask, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.gateway+"/heartbeat/nobody", http.NoBody)
		if err != nil {
			return nil, err
		}
		ask.Header.Set("Authorization", "Bearer "+credential)
		return http.DefaultClient.Do(ask)
	})
}

// role starts a process that ends with this one, however that ends, and gives the address on which it listens.
func role(name string, environ ...string) (address string, err error) {
	args := []string{"-c", `"$0" "$@" & pid=$!; cat >/dev/null; kill -9 $pid`, filepath.Join(bin, "systole"), name}
	for _, setting := range environ {
		if file, ok := strings.CutPrefix(setting, "SYSTOLE_CONFIG="); ok {
			args = append(args, "--config", file)
		}
	}
	cmd := exec.Command("sh", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "SYSTOLE_LOG__FORMAT=json", "SYSTOLE_METRICS__LISTEN=127.0.0.1:0"}, environ...)
	leash, err1 := cmd.StdinPipe()
	stderr, err2 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return "", err
	}
	leashes = append(leashes, leash)
	listens := make(chan string, 1)
	ended.Go(func() {
		lines, last := bufio.NewScanner(stderr), ""
		for lines.Scan() {
			last = lines.Text()
			var record struct{ Msg, Component, Listen string }
			if json.Unmarshal(lines.Bytes(), &record) == nil && record.Msg == "listening" && (record.Component == name || name == "worker") {
				select {
				case listens <- record.Listen:
				default:
				}
			}
		}
		_ = cmd.Wait()
		select {
		case listens <- "ended: " + last:
		default:
		}
	})
	select {
	case address = <-listens:
	case <-time.After(patience):
		return "", fmt.Errorf("%s does not listen within %s", name, patience)
	}
	if reason, gone := strings.CutPrefix(address, "ended: "); gone {
		return "", fmt.Errorf("%s has ended: %s", name, reason)
	}
	return address, nil
}

// await waits until a role answers as one does that has all it needs.
func await(role string, status int, ask func() (*http.Response, error)) error {
	deadline := time.After(patience)
	for {
		response, err := ask()
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode == status {
			return nil
		}
		select {
		case <-deadline:
			return fmt.Errorf("%s is not ready within %s: %s", role, patience, response.Status)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// group is a group of the test's own, with one flow that is due at once and not again within the test.
type group struct {
	deployment
	t    *testing.T
	name string
}

func newGroup(t *testing.T) group {
	t.Helper()
	g := group{deploy(t), t, testenv.UniqueName("g")}
	g.put("hello", time.Hour)
	return g
}

func (g group) put(name string, every time.Duration) {
	g.t.Helper()
	flow := store.DataFlow{Name: name, Group: g.name, Every: store.Duration(every), Exec: &store.ExecSpec{Command: []string{"true"}}}
	if _, err := g.store.PutFlow(g.t.Context(), flow); err != nil {
		g.t.Fatal(err)
	}
}

// environ is what the examples are told of the deployment.
func (g group) environ() []string {
	return []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + scratch, "GATEWAY_URL=" + g.gateway, "HEARTBEAT_GROUP=" + g.name,
		"HEARTBEAT_TOKEN_FILE=" + g.tokenFile, "NATS_URL=" + g.nats,
	}
}

// command runs a program of an example as its README says, and fails the test if it fails.
func (g group) command(environ []string, name string, args ...string) (output string) {
	g.t.Helper()
	out, err := g.try(environ, name, args...)
	if err != nil {
		g.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (g group) try(environ []string, name string, args ...string) (output string, err error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if found, err := exec.LookPath(filepath.Join(bin, name)); err == nil {
		name = found
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(g.environ(), environ...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ran waits until the flow has run once, because of a heartbeat that says it came from source.
func (g group) ran(source string) {
	g.t.Helper()
	g.until("the flow has run once", func() bool { return len(g.runs("hello")) == 1 })
	g.cameFrom(source)
}

// cameFrom waits until a heartbeat of that source is known.
func (g group) cameFrom(source string) {
	g.t.Helper()
	g.until("a heartbeat came from "+source, func() bool {
		for _, beat := range g.beats() {
			if beat.Source == source {
				return true
			}
		}
		return false
	})
}

func (g group) beats() []store.BeatView {
	g.t.Helper()
	beats, _, err := g.store.Beats(g.t.Context(), g.name, 1000, "")
	if err != nil {
		g.t.Fatal(err)
	}
	return beats
}

// runs are the successful runs of a flow.
func (g group) runs(flow string) []store.Run {
	g.t.Helper()
	runs, _, err := g.store.Runs(g.t.Context(), g.name, store.RunFilter{Flow: flow, Status: store.StatusSuccess, Limit: 1000})
	if err != nil {
		g.t.Fatal(err)
	}
	return runs
}

func (g group) until(what string, holds func() bool) {
	g.t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-deadline:
			g.t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
