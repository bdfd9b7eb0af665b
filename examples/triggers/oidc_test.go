package triggers_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/goccy/go-yaml"
)

// requestToken is what a job of GitHub's shows to be given a token of its own.
const requestToken = "the-request-token-of-a-job"

// issuer signs tokens as GitHub, Google and a cluster do, with the discovery that gateways look their keys up by. Like
// a cluster's, its certificate is of a CA that nobody else knows.
type issuer struct {
	url    string
	jobURL string // the same without TLS, for jobs
	ca     []byte // in PEM
	signer jose.Signer
}

func newIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	signing := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "one", Algorithm: "RS256", Use: "sig"}}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	i := &issuer{signer: signer}
	mux := http.NewServeMux()
	answer := func(pattern string, value func(r *http.Request) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value(r))
		})
	}
	answer("GET /.well-known/openid-configuration", func(*http.Request) any {
		return map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url, "token_endpoint": i.url,
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	})
	answer("GET /keys", func(*http.Request) any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}}}
	})
	// What ACTIONS_ID_TOKEN_REQUEST_URL leads to.
	answer("GET /job", func(r *http.Request) any {
		if r.Header.Get("Authorization") != "Bearer "+requestToken || r.URL.Query().Get("api-version") != "2.0" {
			return map[string]any{"message": "not authorized"}
		}
		return map[string]any{"count": 1, "value": i.sign(githubClaims(r.URL.Query().Get("audience")))}
	})
	server := httptest.NewTLSServer(mux)
	i.url, i.jobURL = server.URL, httptest.NewServer(mux).URL
	i.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return i, nil
}

func (i *issuer) sign(claims map[string]any) string {
	now := time.Now()
	all := map[string]any{"iss": i.url, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// githubClaims are those of a job of the workflow on the main branch.
func githubClaims(audience string) map[string]any {
	return map[string]any{
		"sub": "repo:your-organisation/your-repository:ref:refs/heads/main", "aud": audience, "ref": "refs/heads/main",
		"repository": "your-organisation/your-repository", "event_name": "schedule", "runner_environment": "github-hosted",
	}
}

// googleClaims are those of the service account that the job of Cloud Scheduler is set up with.
func googleClaims(email string) map[string]any {
	return map[string]any{
		"sub": "104823912342354234234", "azp": "104823912342354234234", "aud": audience,
		"email": email, "email_verified": true,
	}
}

// kubernetesClaims are those of the token that the cluster puts into the pod of the CronJob.
func kubernetesClaims(account string) map[string]any {
	return map[string]any{
		"sub": "system:serviceaccount:default:" + account, "aud": []string{audience},
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": account, "uid": "7c1e7a2f"}},
	}
}

// audience is what the examples name.
const audience = "https://systole.example"

// oidcSettings are the settings of the examples in one, with the tests' issuer in place of GitHub, Google and the cluster.
func oidcSettings(read func(file string) ([]byte, error), local, caFile string) (string, error) {
	var subjects []map[string]any
	for file, wanted := range map[string]string{
		"github-actions/gateway.yaml": "https://token.actions.githubusercontent.com", "cloud-scheduler/gateway.yaml": "https://accounts.google.com",
		"kubernetes-cronjob/gateway.yaml": "https://kubernetes.default.svc.cluster.local",
	} {
		data, err := read(file)
		if err != nil {
			return "", err
		}
		var settings struct {
			Gateway struct {
				Auth struct {
					Mode string
					OIDC struct {
						Issuer, Audience string
						CAFile           string `yaml:"ca_file"`
						Subjects         []map[string]any
					}
				}
			}
		}
		if err := yaml.UnmarshalWithOptions(data, &settings, yaml.Strict()); err != nil {
			return "", err
		}
		auth := settings.Gateway.Auth
		if auth.Mode != "token,oidc" || auth.OIDC.Issuer != wanted || auth.OIDC.Audience != audience || len(auth.OIDC.Subjects) != 1 {
			return "", fmt.Errorf("%s has the settings %+v", file, auth)
		}
		if private := strings.HasPrefix(file, "kubernetes"); private != (auth.OIDC.CAFile != "") {
			return "", fmt.Errorf("%s has the CA file %q", file, auth.OIDC.CAFile)
		}
		subjects = append(subjects, auth.OIDC.Subjects...)
	}
	var text strings.Builder
	text.WriteString("    oidc:\n      issuer: " + local + "\n      ca_file: " + caFile + "\n      audience: " + audience + "\n      subjects:\n")
	for _, subject := range subjects {
		line, err := json.Marshal(subject) // which is YAML, too
		if err != nil {
			return "", err
		}
		text.WriteString("        - " + string(line) + "\n")
	}
	return text.String(), nil
}

// jobEnvironment is what GitHub gives a job that may ask for a token.
func (i *issuer) jobEnvironment() []string {
	address := i.jobURL + "/job?" + url.Values{"api-version": {"2.0"}}.Encode()
	return []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + requestToken}
}
