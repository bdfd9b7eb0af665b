package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/systole-run/systole/internal/secret"
)

// check holds every value against its rules. Whatever a role does not use is checked all the same, as far as that takes
// nothing but the value.
func (l *loader) check() {
	l.checkLog()
	l.checkNATS()
	l.checkRedis()
	l.checkGateway()
	l.checkConsole()
	l.checkCallback()
	l.checkWorker()
	l.checkExecutor()
	l.checkHistory()
	l.checkTelemetry()
	l.checkIdle()
}

// checkIdle tells of sections that dev has no use for. A process of any other role shares its file with those of the others.
func (l *loader) checkIdle() {
	if !slices.Equal(l.Roles, []Role{RoleDev}) {
		return
	}
	told := map[string]bool{}
	for _, s := range l.cfg.settings() {
		section, _, _ := strings.Cut(s.key, ".")
		if !told[section] && l.cfg.Said(s.key) && !needed(l.Roles, section) {
			told[section] = true
			l.warn(s.key, "dev does not look at "+section+": it has a NATS and a Redis of its own, and one listener, which is the gateway's")
		}
	}
}

var (
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	prefixPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9][a-z0-9_-]{0,62}){0,3}$`)
	inboxPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,3}$`)
	keyPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$`)
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	pathPattern   = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)
)

const nameAllowed = "1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"

func (l *loader) checkLog() {
	log := l.cfg.Log
	if !log.Level.valid() {
		l.bad("log.level", quote(string(log.Level)), levelAllowed)
	}
	if log.Format != "text" && log.Format != "json" {
		l.bad("log.format", quote(log.Format), "text or json")
	}
	for _, s := range l.cfg.settings() {
		level, ok := s.value.Interface().(Level)
		if ok && level != "" && !level.valid() {
			l.bad(s.key, quote(string(level)), levelAllowed+"; or empty, for that of log.level")
		}
	}
}

func (l *loader) checkWorker() {
	w := l.cfg.Worker
	if w.ID != "" {
		l.match("worker.id", w.ID, idPattern, "1 to 128 letters, digits, . _ and -; or empty, for one that is made at each start")
	}
	for _, group := range w.Groups {
		l.match("worker.groups", group, namePattern, nameAllowed)
	}
	within(l, "worker.concurrency", w.Concurrency, 1, 10_000)
	within(l, "worker.lease", w.Lease, time.Second, time.Hour)
	within(l, "worker.drain_timeout", w.DrainTimeout, 0, 24*time.Hour)
	within(l, "worker.batch", w.Batch, 1, 100)
}

func (l *loader) checkExecutor() {
	exec, http := l.cfg.Executor.Exec, l.cfg.Executor.HTTP
	if needed(l.Roles, "executor") {
		l.folder("executor.exec.dir", exec.Dir)
		l.folder("executor.exec.temp_dir", exec.TempDir)
		l.folder("executor.wasm.dir", l.cfg.Executor.WASM.Dir)
		l.folder("executor.secrets.dir", l.cfg.Executor.Secrets.Dir)
	}
	l.checkWASM()
	for _, rule := range l.cfg.Executor.Secrets.Allow {
		if _, err := secret.ParseRule(rule); err != nil {
			l.bad("executor.secrets.allow", quote(rule), secret.RuleAllowed)
		}
	}
	within(l, "executor.exec.kill_grace", exec.KillGrace, time.Millisecond, 10*time.Minute)
	l.checkSandbox(exec)
	l.checkLimits("executor.exec.limits.", exec.Limits)
	l.checkLimits("executor.exec.max.", exec.Max.ExecutorLimits)
	within(l, "executor.exec.max.timeout", exec.Max.Timeout, 0, 7*24*time.Hour)
	within(l, "executor.function.reuse", l.cfg.Executor.Function.Reuse, 1, 1_000_000)
	within(l, "executor.function.idle", l.cfg.Executor.Function.Idle, 0, 1000)
	within(l, "executor.http.connect_timeout", http.ConnectTimeout, time.Millisecond, 10*time.Minute)
	within(l, "executor.http.max_conns_per_host", http.MaxConnsPerHost, 1, 100_000)
	within(l, "executor.http.rate", http.Rate, 0, 1_000_000)
	within(l, "executor.http.burst", http.Burst, 1, 1_000_000)
	within(l, "executor.http.breaker_failures", http.BreakerFailures, 0, 1_000_000)
	within(l, "executor.http.breaker_pause", http.BreakerPause, time.Millisecond, 24*time.Hour)
}

func (l *loader) checkWASM() {
	wasm := l.cfg.Executor.WASM
	for _, folder := range wasm.Folders {
		if !filepath.IsAbs(folder) {
			l.bad("executor.wasm.folders", quote(folder), "absolute paths")
		}
	}
	within(l, "executor.wasm.memory", wasm.Memory, 64<<10, 4<<30)
	within(l, "executor.wasm.output", wasm.Output, 1<<10, 1<<40)
	within(l, "executor.wasm.max_module", wasm.MaxModule, 1<<10, 1<<30)
}

func (l *loader) checkHistory() {
	h := l.cfg.History
	within(l, "history.runs_per_flow", h.RunsPerFlow, 1, 1_000_000)
	within(l, "history.run_ttl", h.RunTTL, time.Minute, 10*365*24*time.Hour)
	within(l, "history.dead_letters", h.DeadLetters, 1, 1_000_000)
	within(l, "history.log_bytes", h.LogBytes, 1<<10, 16<<20)
	within(l, "history.beats", h.Beats, 1, 1_000_000)
}

func (l *loader) checkTelemetry() {
	if l.cfg.Metrics.Listen != "" {
		l.address("metrics.listen", l.cfg.Metrics.Listen, "; or empty, which turns it off")
	}
	within(l, "tracing.sample", l.cfg.Tracing.Sample, 0, 1)
	endpoint := l.addresses("tracing.endpoint", l.cfg.Tracing.Endpoint, "http", "https")
	if len(endpoint) > 1 {
		l.bad("tracing.endpoint", fmt.Sprintf("%d addresses", len(endpoint)), "one")
	}
	for _, u := range endpoint {
		if u.User != nil {
			l.bad("tracing.endpoint", "an address with a user in it", "http://host:port without one")
		}
	}
}

// within reports a value outside of its bounds, both of which are allowed.
func within[T cmp.Ordered](l *loader, key string, value, least, most T) {
	if value < least || value > most {
		l.bad(key, text(value), text(least)+" to "+text(most))
	}
}

func (l *loader) match(key, value string, pattern *regexp.Regexp, allowed string) {
	if !pattern.MatchString(value) {
		l.bad(key, quote(value), allowed)
	}
}

// folder reports a path that is set and is no folder.
func (l *loader) folder(key, path string) {
	if path == "" {
		return
	}
	if info, err := os.Stat(path); err != nil {
		l.bad(key, quote(path)+" ("+reason(err)+")", "a folder that exists")
	} else if !info.IsDir() {
		l.bad(key, quote(path)+", which is no folder", "a folder that exists")
	}
}

// readable reports a path that is set and cannot be opened.
func (l *loader) readable(key, path string) {
	if path == "" {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		l.bad(key, quote(path)+" ("+reason(err)+")", "a file that can be read")
		return
	}
	_ = file.Close()
}

// pair reports one of two keys that is set without the other.
func (l *loader) pair(first, second string, firstSet, secondSet bool) {
	if firstSet && !secondSet {
		l.bad(second, "nothing", "a value, since "+first+" is set")
	}
	if secondSet && !firstSet {
		l.bad(first, "nothing", "a value, since "+second+" is set")
	}
}
