package webhook

import (
	"testing"

	"github.com/systole-run/systole/executor"
)

func FuzzAnswerOfAnyKindGivesAConsistentResult(f *testing.F) {
	f.Add(200, true, []byte(`{"cursor":"42","message":"7 orders"}`))
	f.Add(200, true, []byte(`{"cursor":{"a":[1]},"message":3}`))
	f.Add(503, false, []byte("\xff\xfe down"))
	f.Fuzz(func(t *testing.T, code int, json bool, body []byte) {
		result := answer{code: code, status: "status", json: json, body: body}.result()
		if ok := code >= 200 && code < 300; ok != (result.Err == nil) {
			t.Errorf("status %d: %+v", code, result)
		}
		if result.Err != nil && (result.Reason == "" || result.Cursor != nil || len(result.Err.Error()) > executor.MaxText) {
			t.Errorf("status %d: %+v", code, result)
		}
		if result.Cursor != nil && (!json || len(*result.Cursor) > 3*len(body)) {
			t.Errorf("cursor %q from %q", *result.Cursor, body)
		}
	})
}
