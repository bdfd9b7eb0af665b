package admin_test

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/systole-run/systole/trigger"
)

// security gives what the document says of credentials: the schemes that there are, and those any one of which will do.
func (s *server) security(t *testing.T) string {
	t.Helper()
	var spec struct {
		Components struct {
			SecuritySchemes map[string]struct{ Type, Scheme, Name, BearerFormat string }
		}
		Security []map[string][]string
	}
	s.do(t, "", "GET", "/api/openapi.json", "").decode(t, &spec)
	return fmt.Sprint(spec.Components.SecuritySchemes, spec.Security)
}

func TestOpenAPINamesTheCredentialsThatAreTakenAndNoOthers(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	want := "map[token:{http bearer  } tokenHeader:{apiKey  X-Heartbeat-Token }] [map[token:[]] map[tokenHeader:[]]]"
	if got := s.security(t); got != want {
		t.Errorf("with tokens it says %s", got)
	}
	auth, err := trigger.NewAuthenticatorOf(trigger.AuthConfig{
		OIDC: &trigger.OIDCConfig{Issuer: "http://127.0.0.1:1", Audience: "here", Subjects: []trigger.OIDCSubject{{Subject: "cron", Name: "cron"}}},
		MTLS: &trigger.MTLSConfig{CAs: x509.NewCertPool(), Subjects: []trigger.CertSubject{{CN: "ops", Name: "ops"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.api.Reload(auth); err != nil {
		t.Fatal(err)
	}
	want = "map[certificate:{mutualTLS   } jwt:{http bearer  JWT} jwtHeader:{apiKey  X-Heartbeat-Token }] [map[certificate:[]] map[jwt:[]] map[jwtHeader:[]]]"
	if got := s.security(t); got != want {
		t.Errorf("with JWTs and certificates it says %s", got)
	}
	if got := serve(t, true).security(t); got != "map[] []" {
		t.Errorf("with none it says %s", got)
	}
}

func TestOpenAPINamesEveryStatusOfSuccess(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	var spec struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Content map[string]any }
		}
	}
	s.do(t, "", "GET", "/api/openapi.json", "").decode(t, &spec)
	for _, operation := range []struct{ method, path, want string }{
		{"post", "/api/v1/flows", "[200 201 default]"},
		{"put", "/api/v1/flows/{name}", "[200 201 default]"},
		{"post", "/api/v1/flows:apply", "[200 default]"},
		{"post", "/api/v1/flows/{name}/runs", "[202 default]"},
		{"post", "/api/v1/flows/{name}/pause", "[204 default]"},
	} {
		responses := spec.Paths[operation.path][operation.method].Responses
		if got := fmt.Sprint(slices.Sorted(maps.Keys(responses))); got != operation.want {
			t.Errorf("%s %s answers %s, want %s", operation.method, operation.path, got, operation.want)
		}
		if created, there := responses["201"]; there && len(created.Content) == 0 {
			t.Errorf("%s %s: what 201 comes with is not told", operation.method, operation.path)
		}
	}
}
