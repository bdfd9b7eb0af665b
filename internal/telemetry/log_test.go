package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/telemetry"
)

// logs gives Logs that write JSON into a buffer.
func logs(secrets ...string) (*telemetry.Logs, *bytes.Buffer) {
	var out bytes.Buffer
	return telemetry.NewLogs(&out, telemetry.LogConfig{Format: "json", Secrets: secrets}), &out
}

// R5.3
func TestEachComponentLogsFromItsOwnLevelOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := telemetry.NewLogs(&out, telemetry.LogConfig{Level: slog.LevelWarn, Levels: map[string]slog.Level{"store": slog.LevelDebug}})
	l.For("store").Debug("store-debug")
	l.For("worker").Info("worker-info")
	l.For("worker").Warn("worker-warn")
	if text := out.String(); !strings.Contains(text, "store-debug") || strings.Contains(text, "worker-info") || !strings.Contains(text, "worker-warn") {
		t.Errorf("log is\n%s", text)
	}
	if !strings.Contains(out.String(), "component=store") {
		t.Errorf("no line names its component:\n%s", out.String())
	}
}

// R5.3
func TestLevelsChangeForLoggersThatAreInUse(t *testing.T) {
	t.Parallel()
	l, out := logs()
	worker, store := l.For("worker").With("a", 1), l.For("store").WithGroup("g")
	worker.Debug("one")
	l.SetLevels(slog.LevelError, map[string]slog.Level{"worker": slog.LevelDebug})
	worker.Debug("two")
	store.Warn("three")
	l.SetLevels(slog.LevelInfo, nil)
	worker.Debug("four")
	store.Info("five")
	var seen []string
	for line := range strings.Lines(out.String()) {
		var record struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, record.Msg)
	}
	if got := strings.Join(seen, " "); got != "two five" {
		t.Errorf("logged %q, want two and five", got)
	}
}

func TestFurtherSinksGetOnlyWhatIsRedacted(t *testing.T) {
	t.Parallel()
	var out, further bytes.Buffer
	l := telemetry.NewLogs(&out, telemetry.LogConfig{
		Secrets: []string{"hunter2"}, Sinks: []slog.Handler{slog.NewJSONHandler(&further, &slog.HandlerOptions{Level: slog.LevelWarn})},
	})
	l.For("x").Info("quiet hunter2")
	l.For("x").Warn("loud hunter2")
	if got := further.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "loud [redacted]") {
		t.Errorf("the further sink got %s", got)
	}
	if got := out.String(); !strings.Contains(got, "quiet [redacted]") {
		t.Errorf("the first sink got %s", got)
	}
}

func TestValuesUnderKeysThatNameASecretAreNeverShown(t *testing.T) {
	t.Parallel()
	l, out := logs()
	log := l.For("gateway")
	for _, key := range []string{
		"authorization", "Authorization", "token", "X-Heartbeat-Token", "password", "redis.password", "db_passwd", "secret", "client_secret",
		"api_key", "apiKey", "cookie", "Set-Cookie", "private_key", "access_token", "tokens",
	} {
		log.Info("m", key, "swordfish")
		log.With(key, "swordfish").Info("m")
		log.Info("m", slog.Group("g", key, "swordfish"))
		log.WithGroup(key).Info("m", "inner", "swordfish")
		log.Info("m", slog.Group(key, "inner", "swordfish"))
		log.Info("m", "header", map[string]any{key: []string{"swordfish"}})
		if strings.Contains(out.String(), "swordfish") {
			t.Fatalf("under %s a value is shown: %s", key, out.String())
		}
	}
}

func TestWhatMerelyLooksLikeASecretIsShown(t *testing.T) {
	t.Parallel()
	l, out := logs("hunter2")
	l.For("worker").Info("run ended: token bucket is full", "fencing_token", "17", "flow", "reset-passwords", "attempt", 3, "url", "https://example.org/a?b=c", "credential", "cron")
	for _, want := range []string{`"fencing_token":"17"`, `"reset-passwords"`, `"attempt":3`, `"https://example.org/a?b=c"`, `token bucket is full`, `"credential":"cron"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log is %s, without %s", out.String(), want)
		}
	}
}

type stringer struct{ text string }

func (s stringer) String() string { return s.text }

func TestCredentialsAreKnownByTheirShape(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Authorization: Bearer swordfish", "authorization=Basic swordfish", "got bearer swordfish from x", `{"Authorization":["Bearer swordfish"]}`,
		"dial redis://:swordfish@10.0.0.1:6379: refused", `parse "nats://user:swordfish@a:x": invalid port`, "nats://swordfish@a", "redis://u:sword/swordfish@a",
		"X-Heartbeat-Token: swordfish", "Cookie: session=swordfish; a=b", "dsn password=swordfish sslmode=off", "GET /?access_token=swordfish&x=1",
	} {
		l, out := logs()
		log := l.For("x")
		log.Info(text)
		log.Info("m", "value", text, "error", fmt.Errorf("wrapped: %w", errors.New(text)), "stringer", stringer{text}, "list", []string{text})
		log.With("with", text).Info("m", "deep", map[string]any{"a": []any{map[string]string{"b": text}}}, "struct", struct{ Field string }{text})
		if strings.Contains(out.String(), "swordfish") {
			t.Errorf("%q is logged as\n%s", text, out.String())
		}
	}
}

type troublesome struct{}

func (*troublesome) Error() string               { panic("no error") }
func (troublesome) MarshalJSON() ([]byte, error) { panic("no JSON") }

func TestNoValueBringsALoggerDown(t *testing.T) {
	t.Parallel()
	l, out := logs()
	cycle := map[string]any{}
	cycle["self"] = cycle
	var nilError *troublesome
	var nilStringer *stringer
	l.For("x").Info("m", "cycle", cycle, "channel", make(chan int), "nil error", nilError, "nil stringer", nilStringer, "json", troublesome{}, "nil", nil, "func", func() {}, "bytes", []byte("text"))
	l.For("x").WithGroup("").With().Info("end", slog.Attr{})
	if lines := strings.Count(out.String(), "\n"); lines != 2 || !strings.Contains(out.String(), `"bytes":"text"`) {
		t.Errorf("log is\n%s", out.String())
	}
}

func TestSecretsThatAreSetLaterAreHiddenFromThenOn(t *testing.T) {
	t.Parallel()
	l, out := logs()
	log := l.For("x")
	log.Info("before: swordfish")
	l.SetSecrets([]string{"swordfish", "ab"})
	log.Info("after: swordfish", "whole", "ab", "part", "cab", "number", 1)
	want := []string{"before: swordfish", "after: [redacted]", `"whole":"[redacted]"`, `"part":"cab"`}
	for _, part := range want {
		if !strings.Contains(out.String(), part) {
			t.Errorf("log is %s, without %s", out.String(), part)
		}
	}
}

func TestANumberThatIsASecretIsHidden(t *testing.T) {
	t.Parallel()
	l, out := logs("12345678")
	l.For("x").Info("m", "n", 12345678, "f", 0.5, "deep", map[string]int{"a": 12345678})
	if strings.Contains(out.String(), "12345678") || !strings.Contains(out.String(), `"f":0.5`) {
		t.Errorf("log is %s", out.String())
	}
}
