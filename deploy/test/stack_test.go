//go:build compose

package deploytest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// root is the module's root folder, seen from this package's.
const root = "../.."

// composeFiles are what the stack is made of. The last one is the test's own.
const composeFiles = "docker-compose.yml:deploy/observability/compose.yml:deploy/test/load.yml"

// services are all of them but Grafana, which there is no stand-in for.
var services = []string{"gateway", "worker", "console", "apply", "scheduler", "redis", "nats", "prometheus"}

// stack is docker-compose.yml, brought up under a project name, tokens and ports of the test's own.
type stack struct {
	tag      string   // of all images, and the project's name
	compose  []string // the command: docker compose, or docker-compose
	settings []string // environment of every call
	secrets  string   // folder
	effects  string   // folder in which runs leave their traces
}

// newStack makes base images and tokens, and sees to it that nothing of the stack is left when the test ends.
func newStack(ctx context.Context, t *testing.T) *stack {
	t.Helper()
	tag := "systole-test-" + strconv.Itoa(os.Getpid())
	dir := t.TempDir()
	s := &stack{tag: tag, compose: composeCommand(ctx), secrets: filepath.Join(dir, "secrets"), effects: filepath.Join(dir, "effects")}
	run(ctx, t, nil, "deploy/secrets.sh", s.secrets)
	if err := os.WriteFile(filepath.Join(s.secrets, "grafana_password"), []byte(rand.Text()), 0o444); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImages(t, tag) })
	s.settings = append(makeStandIns(ctx, t, tag), writeLoad(t, dir)...)
	s.settings = append(s.settings,
		"COMPOSE_PROJECT_NAME="+tag, "COMPOSE_FILE="+composeFiles,
		"DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0", // BuildKit would look for the stand-ins in a registry
		"SYSTOLE_IMAGE=systole:"+tag, "WORKER_IMAGE=systole-worker:"+tag, "SYSTOLE_VERSION="+tag, "SYSTOLE_COMMIT=abcdef123456",
		"SECRETS_DIR="+s.secrets, "WORKER_CONCURRENCY="+strconv.Itoa(workerSlots),
		"GATEWAY_PUBLISH=127.0.0.1:0", "CONSOLE_PUBLISH=127.0.0.1:0", "PROMETHEUS_PUBLISH=127.0.0.1:0",
	)
	t.Cleanup(func() { s.tearDown(t) })
	return s
}

func composeCommand(ctx context.Context) []string {
	if exec.CommandContext(ctx, "docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	return []string{"docker-compose"}
}

// do runs a compose command and gives its standard output.
func (s *stack) do(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	began := time.Now()
	args = append(append([]string{}, s.compose[1:]...), args...)
	out := run(ctx, t, s.settings, s.compose[0], args...)
	if took := time.Since(began); took > 5*time.Second {
		t.Logf("%s took %s", strings.Join(args, " "), took.Round(time.Second))
	}
	return out
}

// up starts the services, or what has changed of them, with options of docker compose up.
func (s *stack) up(ctx context.Context, t *testing.T, options ...string) {
	t.Helper()
	s.do(ctx, t, slices.Concat([]string{"up", "--detach", "--no-build"}, options, services)...)
}

// address gives where a published port of a service can be reached from here.
func (s *stack) address(ctx context.Context, t *testing.T, service, port string) string {
	t.Helper()
	return "http://" + strings.TrimSpace(s.do(ctx, t, "port", service, port))
}

// scale starts or stops containers of a service until there are so many, and leaves the others alone.
func (s *stack) scale(ctx context.Context, t *testing.T, service string, count int) {
	t.Helper()
	s.do(ctx, t, "up", "--detach", "--no-build", "--no-recreate", "--no-deps", "--scale", service+"="+strconv.Itoa(count), service)
}

// containers gives the ids of the containers of a service, or of all.
func (s *stack) containers(ctx context.Context, t *testing.T, service ...string) []string {
	t.Helper()
	return strings.Fields(s.do(ctx, t, append([]string{"ps", "-a", "-q"}, service...)...))
}

// states gives state and health of each container of a service, such as "running healthy".
func (s *stack) states(ctx context.Context, t *testing.T, service string) []string {
	t.Helper()
	var states []string
	for _, container := range s.containers(ctx, t, service) {
		states = append(states, inspect(ctx, t, container,
			"{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.ExitCode}}{{end}}"))
	}
	return states
}

// inspect gives what the engine says of a container.
func inspect(ctx context.Context, t *testing.T, container, format string) string {
	t.Helper()
	return strings.TrimSpace(run(ctx, t, nil, "docker", "inspect", "--format", format, container))
}

// secret gives one of the stack's secrets.
func (s *stack) secret(t *testing.T, name string) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.secrets, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// tearDown ends everything, and shows what the containers said if the test failed.
func (s *stack) tearDown(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if t.Failed() {
		t.Logf("containers:\n%s", s.do(ctx, t, "ps"))
		t.Logf("logs:\n%s", s.do(ctx, t, "logs", "--no-color", "--tail", "60"))
	}
	s.do(ctx, t, "down", "--volumes", "--remove-orphans", "--timeout", "10")
}

// call sends a request and gives the status and the JSON answer.
func call(ctx context.Context, t *testing.T, client *http.Client, method, url, token string, answer any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatalf("%s %s answered %s, and not JSON: %v", method, url, response.Status, err)
	}
	return response.StatusCode
}

// patience bounds each wait for what takes seconds, or a minute of cron's, where the machine has nothing else to do.
const patience = 5 * time.Minute

// eventually calls check until it says "", and fails with what it said last when its patience is at an end.
func eventually(ctx context.Context, t *testing.T, check func() (lacking string)) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		lacking := check()
		if lacking == "" {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("after %s: %s", patience, lacking)
		case <-ctx.Done():
			t.Fatalf("%v: %s", context.Cause(ctx), lacking)
		}
	}
}

// removeImages removes everything that was made or built with this tag, the layers in between included.
func removeImages(t *testing.T, tag string) {
	docker := func(args ...string) []string {
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil {
			t.Logf("docker %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return strings.Fields(string(out))
	}
	named := docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=*:"+tag)
	if len(named) > 0 {
		docker(append([]string{"image", "rm", "--force"}, named...)...)
	}
	docker("image", "prune", "--force", "--filter", "label="+madeBy+tag)
}
