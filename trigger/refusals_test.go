package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func logTo(log *lockedBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

func (b *lockedBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buffer.Reset()
}

func (b *lockedBuffer) contains(text string) bool { return strings.Contains(b.String(), text) }

// R5.4: a flood of refusals writes few lines, and none of it is lost to the count.
func TestAFloodOfRefusalsWritesFewLinesAndTheCountAddsUp(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	refusals := NewRefusals("gateway", slog.New(slog.NewJSONHandler(&log, nil)), registry)
	clock := &testClock{at: time.Unix(1_800_000_000, 0)}
	refusals.now = clock.now
	request, err := http.NewRequest(http.MethodGet, "http://a/heartbeat", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	const clients, each = 100, 100
	for i := range clients * each {
		client := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % clients)})
		refusals.Refused(context.Background(), request, Refusal{Client: client, Status: 401, Err: refusedAs(KindToken, ReasonUnknown)})
	}
	clock.move(time.Hour)
	refusals.Refused(context.Background(), request, Refusal{Client: netip.MustParseAddr("192.0.2.1"), Status: 403, Err: ErrForbidden})
	for range 7 {
		refusals.Refused(context.Background(), request, Refusal{Status: 401, Err: ErrNoCredential})
	}
	refusals.Flush()
	refusals.Flush() // has nothing to say
	lines, total := 0, 0
	for line := range strings.Lines(log.String()) {
		var record struct {
			Message    string `json:"msg"`
			Level      string `json:"level"`
			Suppressed int    `json:"suppressed"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		lines++
		total += record.Suppressed
		if record.Message == RefusedMessage {
			total++
		}
		if record.Level != "WARN" {
			t.Errorf("a line of level %s", record.Level)
		}
	}
	if lines > 70 || total != clients*each+8 {
		t.Errorf("%d lines tell of %d refusals, want few and %d", lines, total, clients*each+8)
	}
	want := fmt.Sprintf(`
# HELP systole_refused_total Requests that were not let in, by listener (gateway, console) and reason.
# TYPE systole_refused_total counter
systole_refused_total{listener="gateway",reason="no_credential"} 7
systole_refused_total{listener="gateway",reason="scope"} 1
systole_refused_total{listener="gateway",reason="unknown"} %d
`, clients*each)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "systole_refused_total"); err != nil {
		t.Error(err)
	}
}

// R5.4: what a line says of a caller is enough to act on, and holds no secret.
func TestARefusalSaysWhoWhatAndWhyAndNoSecret(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	auth := hmacAccess(t).Auth
	s := newSite(t, GatewayConfig{
		Access: Access{Auth: auth, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Logger: logTo(log), Rate: 0.001, Burst: 2,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	from := func(client string, headers ...string) []string { return append(headers, "X-Forwarded-For", client) }
	bad := goodSigning()
	bad.key += "x"
	bad.keyID = "cron"
	tests := []struct {
		path    string
		headers []string
		want    []string
	}{
		{"/heartbeat", from("198.51.100.1"), []string{"status=403", "reason=address", "client=198.51.100.1"}},
		{"/heartbeat/a", from("192.0.2.1", HeaderToken, "wrong-s3cret"), []string{"status=401", "reason=unknown", "client=192.0.2.1", "credential=token", "group=a", "method=POST", "path=/heartbeat/a"}},
		{"/run/a/b", from("192.0.2.2", HeaderToken, "token"), []string{"status=403", "reason=scope", "principal=token", "group=a"}},
		{"/heartbeat", from("192.0.2.3", bad.headers("POST", "/heartbeat", "", "")...), []string{"status=401", "reason=signature", "credential=hmac", `claimed="\"cron\""`}},
		{"/heartbeat", from("192.0.2.1"), []string{"status=401", "reason=no_credential"}},
		{"/heartbeat", from("192.0.2.1"), []string{"status=429", "reason=rate"}},
	}
	for _, test := range tests {
		log.reset()
		s.ask(t, "POST", test.path, "", test.headers...)
		until(t, "the line of a refusal", func() bool { return log.contains(RefusedMessage) })
		for _, want := range test.want {
			if !log.contains(want) {
				t.Errorf("%s: the log does not say %s: %s", test.path, want, log)
			}
		}
		if log.contains("s3cret") || log.contains("request refused") {
			t.Errorf("the log says too much: %s", log)
		}
	}
}
