package main

import (
	"encoding/json"
	"net/http"
	"testing"
)

// beatAnswer is what the gateway answers to a heartbeat.
type beatAnswer struct {
	BeatID         string `json:"beat_id"`
	Group          string `json:"group"`
	Status         string `json:"status"`
	FlowsDue       int    `json:"flows_due"`
	FlowsTriggered int    `json:"flows_triggered"`
	Succeeded      int    `json:"succeeded"`
	Failed         int    `json:"failed"`
}

// sendBeat sends a heartbeat over HTTP. A refusal has no answer but its status and headers.
func sendBeat(t *testing.T, method, url string) (*http.Response, beatAnswer) {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Timeout: 2 * patience}).Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer beatAnswer
	if response.StatusCode >= http.StatusBadRequest {
		return response, answer
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: %s: %v", method, url, response.Status, err)
	}
	return response, answer
}

// settleBeat sends a heartbeat over HTTP and waits until everything that was due has been run.
func settleBeat(t *testing.T, url string) beatAnswer {
	t.Helper()
	response, answer := sendBeat(t, http.MethodPost, url+"/heartbeat?wait=1m")
	if response.StatusCode != http.StatusOK || answer.Status != "settled" {
		t.Fatalf("got %s and %+v", response.Status, answer)
	}
	return answer
}
