package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/webhook"
)

func TestJSONAnswerMayCarryACursorAndAMessage(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	const jsonType = "application/json; charset=utf-8"
	for _, c := range []struct {
		name, contentType, body string
		cursor                  *string
		message                 string
	}{
		{"both", jsonType, `{"cursor":"42","message":"7 orders","more":true}`, text("42"), "7 orders"},
		{"an empty cursor starts over", jsonType, `{"cursor":""}`, text(""), ""},
		{"null changes nothing", jsonType, `{"cursor":null,"message":null}`, nil, ""},
		{"a number", jsonType, `{"cursor":42}`, text("42"), ""},
		{"an object", jsonType, `{"cursor":{"id":7}}`, text(`{"id":7}`), ""},
		{"another JSON type", "application/problem+json", `{"cursor":"1"}`, text("1"), ""},
		{"a message that is no text", jsonType, `{"cursor":"1","message":[]}`, text("1"), ""},
		{"no body", jsonType, "", nil, ""},
		{"a list", jsonType, `[1,2]`, nil, ""},
		{"broken JSON", jsonType, `{"cursor":`, nil, ""},
		{"not JSON by its type", "text/plain", `{"cursor":"1"}`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				fmt.Fprint(w, c.body)
			})
			result, log := f.run(t)
			if result.Err != nil || result.Message != c.message {
				t.Errorf("got %+v", result)
			}
			if (result.Cursor == nil) != (c.cursor == nil) || (c.cursor != nil && *result.Cursor != *c.cursor) {
				t.Errorf("cursor is %v", result.Cursor)
			}
			if !strings.HasPrefix(log, "POST "+f.server.URL+"/sync: 200 OK in ") || !strings.Contains(log, c.body) {
				t.Errorf("log is %q", log)
			}
		})
	}
}

func TestHugeAnswerIsReadOnlyToItsCap(t *testing.T) {
	t.Parallel()
	for _, code := range []int{200, 500} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(code)
				for r.Context().Err() == nil { // endless, until the client has had enough
					fmt.Fprint(w, strings.Repeat("0123456789abcde\n", 1<<10))
				}
			})
			f.log = executor.NewTail(1 << 20)
			f.task.Log = f.log
			result, log := f.run(t)
			if (result.Err == nil) != (code == 200) || result.Cursor != nil || len(fmt.Sprint(result.Err)) > 1<<10 {
				t.Errorf("got %+v", result)
			}
			if len(log) > webhook.MaxAnswer+200 || !strings.HasSuffix(log, "a cursor in it is not taken …\n") {
				t.Errorf("log of %d bytes ends with %q", len(log), log[len(log)-80:])
			}
		})
	}
}
