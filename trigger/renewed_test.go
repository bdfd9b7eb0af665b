package trigger

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/testenv"
)

// lookAgain makes the next one who asks look at the files.
func lookAgain[T any](r *renewed[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = time.Time{}
}

func TestRenewedFilesCountByThemselvesAndBrokenOnesLeaveWhatWasThere(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir()+"/first", t.TempDir()+"/second"
	log := &lockedBuffer{}
	put := func(file, content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(first, "a")
	load := func(contents [][]byte) (*string, error) {
		if text := string(contents[0]) + string(contents[1]); text == "aa" || text == "bb" {
			return &text, nil
		}
		return nil, errors.New("they do not fit")
	}
	if _, err := newRenewed(logTo(log), load, first, second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there gives %v", err)
	}
	put(second, "b")
	if _, err := newRenewed(logTo(log), load, first, second); err == nil {
		t.Error("files that do not fit were taken")
	}
	put(second, "a")
	r, err := newRenewed(logTo(log), load, first, second)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	r.now = func() time.Time { return now }
	r.looked = now
	for _, step := range []struct {
		first, second string
		later         time.Duration
		want, says    string
	}{
		{"b", "b", filesFresh - 1, "aa", ""}, // not looked at yet
		{"b", "a", 1, "aa", "they do not fit"},
		{"b", "a", filesFresh, "aa", ""}, // told already
		{"b", "", filesFresh, "aa", "no such file"},
		{"b", "b", filesFresh, "bb", "taken over"},
		{"b", "b", filesFresh, "bb", ""},
	} {
		log.reset()
		put(first, step.first)
		if step.second == "" {
			_ = os.Remove(second)
		} else {
			put(second, step.second)
		}
		now = now.Add(step.later)
		if got := *r.current(); got != step.want {
			t.Errorf("%+v: found %s", step, got)
		}
		if got := log.String(); (got == "") != (step.says == "") || !log.contains(step.says) {
			t.Errorf("%+v: the log says %q", step, got)
		}
	}
}

func TestOneLooksAtRenewedFilesAndNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	var loads atomic.Int32
	looking, release := make(chan struct{}), make(chan struct{})
	r, err := newRenewed(nil, func(contents [][]byte) (*string, error) {
		if loads.Add(1) > 1 {
			close(looking)
			<-release
		}
		text := string(contents[0])
		return &text, nil
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	lookAgain(r)
	var one sync.WaitGroup
	one.Go(func() { r.current() })
	<-looking
	if got := *r.current(); got != "a" {
		t.Errorf("meanwhile others find %s", got)
	}
	close(release)
	one.Wait()
	if got := *r.current(); got != "b" || loads.Load() != 2 {
		t.Errorf("found %s after %d loads", got, loads.Load())
	}
}

// R2.5: nobody sends a signal when a certificate or an authority is renewed.
func TestARenewedCertificateAndClientsCATakeEffectByThemselves(t *testing.T) {
	t.Parallel()
	ca, next := testenv.NewAuthority(t), testenv.NewAuthority(t)
	caFile := ca.WriteCA(t)
	auth, err := NewAuthenticatorOf(AuthConfig{MTLS: &MTLSConfig{CAFile: caFile, Subjects: []CertSubject{{CN: "cron", Name: "cron"}}}})
	if err != nil {
		t.Fatal(err)
	}
	nc, subjects := natsWithStreams(t)
	certFile, keyFile := testenv.WritePair(t, ca.Issue(t, testenv.LoopbackServer(21)))
	s := newSiteOn(t, GatewayConfig{Access: Access{Auth: auth}}, ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: true}, nc, subjects)
	old, young := ca.Issue(t, testenv.Named("", "", "", "cron")), next.Issue(t, testenv.Named("", "", "", "cron"))
	check := func(client tls.Certificate, status int, serial int64) {
		t.Helper()
		response := s.askOver(t, ca.Pool, "", client)
		if got := response.TLS.PeerCertificates[0].SerialNumber.Int64(); response.StatusCode != status || got != serial {
			t.Errorf("answered %d with certificate %d, want %d with %d", response.StatusCode, got, status, serial)
		}
	}
	check(old, 202, 21)
	check(young, 401, 21)
	testenv.OverwritePair(t, ca.Issue(t, testenv.LoopbackServer(22)), certFile, keyFile)
	renewedCA, err := os.ReadFile(next.WriteCA(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(caFile, renewedCA, 0o600); err != nil {
		t.Fatal(err)
	}
	lookAgain(s.server.listener.tls.Load().pair)
	lookAgain(auth.mtls.file)
	check(young, 202, 22)
	check(old, 401, 22)
}

func TestAnAuthorityIsAPoolOrAFile(t *testing.T) {
	t.Parallel()
	subjects := []CertSubject{{CN: "cron", Name: "cron"}}
	for _, cfg := range []MTLSConfig{
		{Subjects: subjects},
		{Subjects: subjects, CAs: x509.NewCertPool(), CAFile: "/nowhere"},
		{Subjects: subjects, CAFile: "/nowhere"},
		{Subjects: subjects, CAFile: "renewed_test.go"},
	} {
		if _, err := NewAuthenticatorOf(AuthConfig{MTLS: &cfg}); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
