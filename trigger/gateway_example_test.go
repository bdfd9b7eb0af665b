package trigger_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/trigger"
)

// A service of one's own takes heartbeats on its own mux.
func ExampleGateway() {
	mount := func(nc *nats.Conn, mux *http.ServeMux) error {
		publisher, err := trigger.NewPublisher(nc, trigger.PublisherConfig{})
		if err != nil {
			return err
		}
		events, err := trigger.NewEvents(nc, "")
		if err != nil {
			return err
		}
		auth, err := trigger.NewAuthenticator([]trigger.Token{{Name: "cron", Value: "a-long-random-text"}})
		if err != nil {
			return err
		}
		gateway, err := trigger.NewGateway(trigger.GatewayConfig{Access: trigger.Access{Auth: auth}}, publisher, events)
		if err != nil {
			return err
		}
		mux.Handle("/heartbeat", gateway.Handler())
		mux.Handle("/heartbeat/", gateway.Handler())
		return nil
	}
	mux := http.NewServeMux()
	if err := mount(&nats.Conn{}, mux); err != nil { // nats.Connect in earnest
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/heartbeat", nil))
	fmt.Println(answer.Code, answer.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="systole"
}
