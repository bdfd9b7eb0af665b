package trigger

import (
	"net/http"
	"testing"
)

func TestRunNowIsStoredWithItsParameters(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	stream, err := jetStream(t, s.nc).Stream(t.Context(), s.subjects.RunStream())
	if err != nil {
		t.Fatal(err)
	}
	const params = `{"day": "2026-01-02"}`
	tests := []struct {
		path, body string
		duplicate  bool
	}{
		{"/run/billing/invoices", params, false},
		{"/run/billing/invoices", "", true},
		{"/run/billing/reminders", "", false},
		{"/run/default/invoices", "", false},
	}
	for _, test := range tests {
		answer := decode[runAnswer](t, s.ask(t, "POST", test.path, test.body, "Idempotency-Key", "k"), http.StatusAccepted)
		if got := "/run/" + answer.Group + "/" + answer.Flow; got != test.path || answer.Duplicate != test.duplicate || answer.Status != StatusAccepted {
			t.Errorf("%s: got %+v", test.path, answer)
		}
		if want := answer.Group + "." + answer.Flow + ":k"; answer.RunRequestID != want || answer.AcceptedAt.IsZero() {
			t.Errorf("%s: got %+v, want id %s", test.path, answer, want)
		}
	}
	stored, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Subject != s.subjects.Run("billing", "invoices") || string(stored.Data) != params {
		t.Errorf("stored %s with %s", stored.Subject, stored.Data)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 3 {
		t.Errorf("got %v and %v, want 3 messages", info, err)
	}
}

func TestRunNowTakesACredentialOfItsScopeAndGroup(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{Access: Access{Auth: authenticator(t, Token{Name: "a", Value: "a", Scopes: []string{ScopeRun}, Groups: []string{"billing"}})}})
	decode[runAnswer](t, s.ask(t, "POST", "/run/billing/invoices", "", HeaderToken, "a"), http.StatusAccepted)
	checkProblem(t, s.ask(t, "POST", "/run/default/invoices", "", HeaderToken, "a"), http.StatusForbidden)
}
