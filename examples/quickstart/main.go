// Command quickstart shows the whole of Systole in a few seconds, with nothing installed: it starts the runtime on
// embedded servers, sends it real HTTP heartbeats as a scheduler outside would, and prints what each one ran, what failed
// and what was not due.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/systole-run/systole/store"
)

// beats is how many heartbeats the scheduler sends, and interval how far apart.
const (
	beats    = 3
	interval = 1100 * time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	token := rand.Text()
	runtime, err := startRuntime(ctx, listener, token)
	if err != nil {
		return err
	}
	defer runtime.stop()
	for _, flow := range flows() {
		if _, err := runtime.store.PutFlow(ctx, flow); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "The runtime is up after %d ms, with %d flows. It triggers nothing by itself.\n",
		time.Since(began).Milliseconds(), len(flows()))
	fmt.Fprintf(out, "A scheduler outside now sends a heartbeat every %s:\n\n", interval)

	url := fmt.Sprintf("http://%s/heartbeat?wait=1m", listener.Addr())
	var settled []settlement
	for n := range beats {
		answer, err := heartbeat(ctx, []string{http.MethodPost, http.MethodGet}[n%2], url, token)
		if err != nil {
			return err
		}
		settled = append(settled, answer)
		fmt.Fprintf(out, "  heartbeat %d: %d due, %d succeeded, %d failed\n", n+1, answer.Due, answer.Succeeded, answer.Failed)
		if n < beats-1 {
			wait(ctx, interval)
		}
	}
	return printTable(ctx, out, runtime.store, settled)
}

// settlement is the gateway's answer to a heartbeat that waited until everything it made due has ended.
type settlement struct {
	BeatID    string `json:"beat_id"`
	Status    string `json:"status"`
	Due       int    `json:"flows_due"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"`
}

// heartbeat is what a scheduler does: one HTTP request.
func heartbeat(ctx context.Context, method, url, token string) (answer settlement, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return answer, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, err
	}
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("heartbeat was answered %s: %s", response.Status, body)
	}
	return answer, json.Unmarshal(body, &answer)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// printTable shows, for each flow and heartbeat, what came of it.
func printTable(ctx context.Context, out io.Writer, st *store.Store, settled []settlement) error {
	flows, _, err := st.Flows(ctx, store.DefaultGroup, 0, "")
	if err != nil {
		return err
	}
	runs, _, err := st.Runs(ctx, store.DefaultGroup, store.RunFilter{Limit: 1000})
	if err != nil {
		return err
	}
	byBeat := make(map[[2]string]store.Run)
	for _, run := range runs {
		byBeat[[2]string{run.Flow, run.BeatID}] = run
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "FLOW\tSCHEDULE")
	for n := range settled {
		fmt.Fprintf(table, "\tBEAT %d", n+1)
	}
	fmt.Fprintln(table)
	for _, flow := range flows {
		fmt.Fprintf(table, "%s\t%s", flow.Name, schedule(flow.DataFlow))
		for _, beat := range settled {
			run, ran := byBeat[[2]string{flow.Name, beat.BeatID}]
			fmt.Fprintf(table, "\t%s", outcome(run, ran))
		}
		fmt.Fprintln(table)
	}
	return errors.Join(table.Flush(), explain(out, runs))
}

func outcome(run store.Run, ran bool) string {
	switch {
	case !ran:
		return "not due"
	case run.Status == store.StatusSuccess:
		return fmt.Sprintf("ran (%d ms)", run.DurationMS)
	}
	return "failed: " + run.Reason
}

func schedule(flow store.DataFlow) string {
	switch {
	case flow.Every != 0:
		return "every " + flow.Every.String()
	case flow.Cron != "":
		return "cron " + flow.Cron
	}
	return "on demand"
}

// explain shows that each failure says why.
func explain(out io.Writer, runs []store.Run) error {
	fmt.Fprintln(out, "\nWhat failed says why, and touched nothing else:")
	told := make(map[string]bool)
	for _, run := range runs {
		if run.Status == store.StatusFailed && !told[run.Flow] {
			told[run.Flow] = true
			fmt.Fprintf(out, "  %s: %s\n", run.Flow, run.Error)
		}
	}
	_, err := fmt.Fprintln(out, "\nNext: go run ./cmd/systole dev --flows examples/flows")
	return err
}
