//go:build compose

package deploytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// R4.4 R6.4 R6.5 R6.7: nothing but cron's container sends heartbeats here, until the very last one.
func TestComposeRunsEverySlotWhateverFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	s := newStack(ctx, t)
	s.do(ctx, t, "build", "gateway", "worker") // the other roles have the image of the gateway
	if said := run(ctx, t, nil, "docker", "run", "--rm", "systole:"+s.tag, "version"); !strings.Contains(said, s.tag) || !strings.Contains(said, "abcdef123456") {
		t.Errorf("the image says of its version: %s", said)
	}
	s.up(ctx, t, "--scale", "scheduler=0")
	s.isWell(ctx, t)
	l := s.newLoad(ctx, t)
	s.scale(ctx, t, "scheduler", 1)

	for _, stage := range []struct {
		name string
		do   func(ctx context.Context, t *testing.T)
	}{
		{"one worker runs what cron's heartbeats find due", l.allFlowsRun},
		{"three workers share it", func(ctx context.Context, t *testing.T) {
			s.scale(ctx, t, "worker", 3)
			l.runsOn(ctx, t, 3)
		}},
		{"a worker is killed", l.killWorker},
		{"a worker is cut off from everything", l.cutWorkerOff},
		{"Redis is killed", func(ctx context.Context, t *testing.T) { l.killServer(ctx, t, "redis") }},
		{"NATS is killed", func(ctx context.Context, t *testing.T) { l.killServer(ctx, t, "nats") }},
		{"the gateway is killed", func(ctx context.Context, t *testing.T) { l.killServer(ctx, t, "gateway") }},
		{"one worker is left", func(ctx context.Context, t *testing.T) {
			s.scale(ctx, t, "worker", 1)
			l.runsOn(ctx, t, 1)
		}},
		{"Prometheus has seen all of it", s.isWatched},
	} {
		if !t.Run(stage.name, func(t *testing.T) { stage.do(ctx, t) }) {
			t.FailNow() // what comes after would only say it again
		}
	}

	s.do(ctx, t, "stop", "scheduler")
	l.settle(ctx, t)
	s.refusesStrangers(ctx, t)
	s.drains(ctx, t)
	s.keepsItsSecrets(ctx, t)
	sum := l.account(ctx, t)
	l.turnsTLSOn(ctx, t)
	tell(t, sum)
}

// isWell waits for what an operator would look at: every container says of itself that it is well, and the flows have been loaded.
func (s *stack) isWell(ctx context.Context, t *testing.T) {
	t.Helper()
	for service, want := range map[string]string{
		"gateway": "running healthy", "console": "running healthy", "redis": "running healthy", "nats": "running healthy",
		"worker": "running healthy", "apply": "exited 0", "prometheus": "running 0",
	} {
		eventually(ctx, t, func() string {
			if got := s.states(ctx, t, service); !slices.Equal(got, []string{want}) {
				return fmt.Sprintf("containers of %s are %q, want one that is %q", service, got, want)
			}
			return ""
		})
	}
}

// refusesStrangers sends requests to the published ports, as anyone who can reach them might.
func (s *stack) refusesStrangers(ctx context.Context, t *testing.T) {
	t.Helper()
	for url, tokens := range map[string][]string{
		s.address(ctx, t, "gateway", "8080") + "/heartbeat":    {"", "wrong", s.secret(t, "api_token")},
		s.address(ctx, t, "console", "8081") + "/api/v1/flows": {"", "wrong", s.secret(t, "heartbeat_token")},
	} {
		for i, token := range tokens {
			var problem struct{ Title string }
			if status := call(ctx, t, http.DefaultClient, http.MethodGet, url, token, &problem); status != http.StatusUnauthorized {
				t.Errorf("%s answered %d to the %d. wrong token, want 401", url, status, i)
			}
		}
	}
}

// drains stops the worker as an upgrade would: it ends by itself, well before the engine would kill it.
func (s *stack) drains(ctx context.Context, t *testing.T) {
	t.Helper()
	s.do(ctx, t, "stop", "worker")
	if got := s.states(ctx, t, "worker"); len(got) != 1 || !strings.HasPrefix(got[0], "exited ") {
		t.Errorf("the stopped worker is %q", got)
	}
	if code := inspect(ctx, t, s.containers(ctx, t, "worker")[0], "{{.State.ExitCode}}"); code != "0" {
		t.Errorf("the stopped worker's exit code is %s, want 0", code)
	}
}

// turnsTLSOn lays compose.tls.yml over the stack that is there, and lets a heartbeat of the scheduler go all the way.
func (l *load) turnsTLSOn(ctx context.Context, t *testing.T) {
	t.Helper()
	s := l.stack
	certs := filepath.Join(filepath.Dir(s.secrets), "certs")
	run(ctx, t, nil, "deploy/certs.sh", certs)
	s.settings = append(s.settings, "CERTS_DIR="+certs, "COMPOSE_FILE="+composeFiles+":deploy/compose.tls.yml")
	s.up(ctx, t)
	s.isWell(ctx, t)
	if said := s.do(ctx, t, "exec", "-T", "scheduler", "/bin/sh", "/etc/scheduler/beat.sh"); !strings.Contains(said, `"status":"accepted"`) {
		t.Errorf("the heartbeat over TLS was answered %s", said)
	}
	ca, err := os.ReadFile(filepath.Join(certs, "ca.crt"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("read the CA: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	gateway := strings.Replace(s.address(ctx, t, "gateway", "8080"), "http:", "https:", 1)
	var answer struct{ Status string }
	if status := call(ctx, t, client, http.MethodPost, gateway+"/heartbeat", s.secret(t, "heartbeat_token"), &answer); status != http.StatusAccepted {
		t.Errorf("the heartbeat over TLS was answered %d, %q", status, answer.Status)
	}
	if said := s.do(ctx, t, "exec", "-T", "redis", "/bin/sh", "-c", "redis-cli ping 2>&1 || true"); strings.Contains(said, "NOAUTH") {
		t.Errorf("Redis answers in the clear: %s", said)
	}
	l.runsOn(ctx, t, 1)
}

// keepsItsSecrets looks for every secret in all that was logged, and in what the engine shows of the containers.
func (s *stack) keepsItsSecrets(ctx context.Context, t *testing.T) {
	t.Helper()
	logs := s.do(ctx, t, "logs", "--no-color")
	if !strings.Contains(logs, `"status":"accepted"`) {
		t.Error("the logs do not hold the gateway's answer to cron's heartbeat, so this looked at nothing")
	}
	shown := run(ctx, t, nil, "docker", append([]string{"inspect"}, s.containers(ctx, t)...)...)
	entries, err := os.ReadDir(s.secrets)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		secret := strings.TrimSpace(s.secret(t, entry.Name()))
		if strings.Contains(logs, secret) {
			t.Errorf("%s is in the logs", entry.Name())
		}
		if strings.Contains(shown, secret) {
			t.Errorf("%s is in what `docker inspect` shows", entry.Name())
		}
	}
}

// tell leaves the last line for make to show, where it asked for it.
func tell(t *testing.T, sum sum) {
	t.Helper()
	t.Log(sum)
	if path := os.Getenv("E2E_SUMMARY"); path != "" {
		if err := os.WriteFile(path, []byte(sum.String()+"\n"), 0o644); err != nil {
			t.Error(err)
		}
	}
}
