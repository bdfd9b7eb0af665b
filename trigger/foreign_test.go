package trigger

import (
	"net/http"
	"strings"
	"testing"
)

// R2.5: on loopback anybody may call, and so may every page that a browser shows, unless it is refused.
func TestAForeignWebPageSendsNoHeartbeatAndStartsNoFlow(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	s := newSite(t, open(GatewayConfig{Rate: -1, Logger: logTo(log)}))
	for name, test := range map[string]struct {
		header map[string]string
		status int
	}{
		"a program":                       {nil, 202},
		"a page of another site":          {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, 403},
		"an image on such a page":         {map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"another port of this machine":    {map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"an old browser":                  {map[string]string{"Origin": "http://evil.example"}, 403},
		"no origin that can be told":      {map[string]string{"Origin": "null"}, 403},
		"a page whose name points here":   {map[string]string{"Origin": "http://evil.example", "Host": "evil.example"}, 403},
		"a page of its own":               {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": s.server.URL()}, 202},
		"typed into the bar of a browser": {map[string]string{"Sec-Fetch-Site": "none"}, 202},
	} {
		for _, target := range []string{"GET /heartbeat", "POST /heartbeat", "POST /run/default/orders"} {
			t.Run(name+" "+target, func(t *testing.T) {
				method, path, _ := strings.Cut(target, " ")
				request, err := http.NewRequestWithContext(t.Context(), method, s.server.URL()+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range test.header {
					request.Header.Set(name, value)
				}
				request.Host = test.header["Host"]
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if response.StatusCode != test.status {
					t.Errorf("answered %d, want %d", response.StatusCode, test.status)
				}
			})
		}
	}
	if !log.contains("reason=origin") {
		t.Errorf("the log says\n%s", log)
	}
}
