package output_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"

	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func at(second int) *time.Time {
	t := time.Date(2026, 11, 22, 10, 0, second, 0, time.FixedZone("CET", 3600))
	return &t
}

func flows() []store.FlowView {
	return []store.FlowView{
		{DataFlow: store.DataFlow{Name: "orders", Group: "default", Every: store.Duration(5 * time.Minute), Exec: &store.ExecSpec{Command: []string{"a"}}}, NextSlot: at(0), Due: true, LastStatus: store.StatusFailed, LastEndedAt: at(1), Failures: 2},
		{DataFlow: store.DataFlow{Name: "hook", Group: "default", Cron: "0 1 * * *", Timezone: "UTC", HTTP: &store.HTTPSpec{URL: "http://x"}}, RunningID: "hook~1"},
		{DataFlow: store.DataFlow{Name: "x", Group: "default", Function: &store.FunctionSpec{Name: "f"}}},
	}
}

func TestTablesHaveTheirColumnsInOrder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		print func(*output.Printer) error
		want  string
	}{
		"flows": {func(p *output.Printer) error { return p.Flows(flows()) }, `
NAME     GROUP     KIND       SCHEDULE        STATE     NEXT SLOT              LAST     LAST END               FAILURES
orders   default   exec       every 5m        due       2026-11-22 09:00:00Z   failed   2026-11-22 09:00:01Z   2
hook     default   http       0 1 * * * UTC   running   -                      -        -                      0
x        default   function   on demand       waiting   -                      -        -                      0
`},
		"no flows": {func(p *output.Printer) error { return p.Flows(nil) }, `
NAME   GROUP   KIND   SCHEDULE   STATE   NEXT SLOT   LAST   LAST END   FAILURES
`},
		"runs": {func(p *output.Printer) error {
			return p.Runs([]store.Run{
				{ID: "a~1", Group: "g", Status: store.StatusFailed, Reason: store.ReasonError, Attempt: 2, StartedAt: at(0), EndedAt: at(2), DurationMS: 2000, Worker: "w1", Error: "exit 3\n\x1b[31mred"},
				{ID: "a~2", Group: "g", Status: store.StatusPending},
			})
		}, `
ID    GROUP   STATUS    REASON   ATTEMPT   STARTED                TOOK   WORKER   MESSAGE
a~1   g       failed    error    2         2026-11-22 09:00:00Z   2s     w1       exit 3  [31mred
a~2   g       pending   -        0         -                      -      -        -
`},
		"beats": {func(p *output.Printer) error {
			return p.Beats([]store.BeatView{{ID: "b", Group: "g", Source: "cron", AsOf: *at(0), GapMS: new(int64(90_500)), FlowsDue: 3, FlowsTriggered: 3, Succeeded: 2, Failed: 1, SettledAt: at(4)}})
		}, `
ID   GROUP   SOURCE   AS OF                  LATENESS   GAP       DUE   TRIGGERED   RUNNING   SUCCEEDED   FAILED   SETTLED
b    g       cron     2026-11-22 09:00:00Z   -          1m30.5s   3     3           0         2           1        2026-11-22 09:00:04Z
`},
		"status": {func(p *output.Printer) error {
			return p.Status([]store.GroupStatus{{Group: "g", Flows: 4, Due: 3, Queued: 2, Running: 1, LastBeatID: "b", LastBeatAt: at(0)}})
		}, `
GROUP   FLOWS   DUE   QUEUED   RUNNING   LAST BEAT   AT
g       4       3     2        1         b           2026-11-22 09:00:00Z
`},
		"paused flows": {func(p *output.Printer) error {
			return p.Flows([]store.FlowView{{DataFlow: flows()[2].DataFlow, Paused: true}, {DataFlow: flows()[2].DataFlow, Paused: true, RunningID: "x~1"}})
		}, `
NAME   GROUP     KIND       SCHEDULE    STATE                  NEXT SLOT   LAST   LAST END   FAILURES
x      default   function   on demand   paused                 -           -      -          0
x      default   function   on demand   running, then paused   -           -      -          0
`},
		"a flow that cannot be read": {func(p *output.Printer) error {
			return p.Flows([]store.FlowView{{DataFlow: store.DataFlow{Group: "default", Name: "x"}, Unreadable: "a newer version wrote it"}})
		}, `
NAME   GROUP     KIND   SCHEDULE   STATE        NEXT SLOT   LAST   LAST END   FAILURES
x      default   -      -          unreadable   -           -      -          0
`},
		"runs that are to be cancelled": {func(p *output.Printer) error {
			return p.Runs([]store.Run{{ID: "a~1", Group: "g", Status: store.StatusInProgress, Attempt: 1, StartedAt: at(0), CancelRequested: true}})
		}, `
ID    GROUP   STATUS        REASON             ATTEMPT   STARTED                TOOK   WORKER   MESSAGE
a~1   g       in_progress   cancel_requested   1         2026-11-22 09:00:00Z   -      -        -
`},
		"changes": {func(p *output.Printer) error {
			return p.Changes(output.Applied{DryRun: true, Results: []store.FlowChange{
				{Group: "g", Name: "a", Result: store.FlowCreated},
				{Group: "g", Name: "b", Result: store.FlowUnchanged},
				{Group: "g", Name: "c", Result: store.FlowChanged, Changes: []store.FieldChange{
					{Field: "every", From: []byte(`"5m"`), To: []byte(`"10m"`)}, {Field: "pause_after", To: []byte(`5`)},
				}},
				{Group: "g", Name: "d", Result: store.FlowOrphaned},
			}})
		}, `
NAME   GROUP   RESULT      FIELD         FROM   TO
a      g       created     -             -      -
b      g       unchanged   -             -      -
c      g       changed     every         5m     10m
c      g       changed     pause_after   -      5
d      g       orphaned    -             -      -
1 created, 1 changed, 1 unchanged, 1 orphaned (dry run: nothing was written)
`},
		"definitions": {func(p *output.Printer) error {
			return p.Definitions([]output.Definition{{DataFlow: flows()[0].DataFlow, File: "f.yaml", Line: 3}})
		}, `
NAME     GROUP     KIND   SCHEDULE   FILE     LINE
orders   default   exec   every 5m   f.yaml   3
`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			if err := test.print(output.New(&text, output.Table)); err != nil {
				t.Fatal(err)
			}
			if got := text.String(); got != test.want[1:] {
				t.Errorf("got\n%s\nwant\n%s", got, test.want[1:])
			}
		})
	}
}

func TestJSONAndYAMLHoldTheSame(t *testing.T) {
	t.Parallel()
	var asJSON, asYAML bytes.Buffer
	if err := errors.Join(output.New(&asJSON, output.JSON).Flows(flows()), output.New(&asYAML, output.YAML).Flows(flows())); err != nil {
		t.Fatal(err)
	}
	var page, again struct{ Flows []store.FlowView }
	if err := json.Unmarshal(asJSON.Bytes(), &page); err != nil || len(page.Flows) != 3 || page.Flows[0].Every != flows()[0].Every {
		t.Fatalf("got %+v, %v", page, err)
	}
	back, err := yaml.YAMLToJSON(asYAML.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(back, &again); err != nil {
		t.Fatal(err)
	}
	first, _ := json.Marshal(page)
	second, _ := json.Marshal(again)
	if !bytes.Equal(first, second) {
		t.Errorf("JSON holds\n%s\nYAML holds\n%s", first, second)
	}
	if !strings.Contains(asYAML.String(), "every: 5m") {
		t.Errorf("a duration is not text:\n%s", asYAML.String())
	}
}

func TestAnEmptyListIsAListForPrograms(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := output.New(&text, output.JSON).Runs(nil); err != nil || strings.Join(strings.Fields(text.String()), "") != `{"runs":[]}` {
		t.Errorf("got %s, %v", text.String(), err)
	}
}

func TestYAMLKeepsTextApartFromNumbersAndTruth(t *testing.T) {
	t.Parallel()
	values := map[string]string{"a": "yes", "b": "1e3", "c": "null", "d": "012", "e": "a: b", "f": "line\nline\n", "g": "", "h": "~", "i": "0x1F", "j": "2026-11-22", "l": " x ", "m": "#c"}
	var text bytes.Buffer
	if err := output.New(&text, output.YAML).Value(values); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := yaml.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	for key, want := range values {
		if back[key] != want {
			t.Errorf("%s: got %#v, want %q", key, back[key], want)
		}
	}
}

func TestControlCharactersReachNoTerminalAndAreNotLost(t *testing.T) {
	t.Parallel()
	for _, format := range []output.Format{output.JSON, output.YAML} {
		for _, value := range []string{"\x1b[31m", "\u009b31m", "\x7f", "\b", "\f", "a\rb", "\x01"} {
			var text bytes.Buffer
			if err := output.New(&text, format).Value(map[string]string{"a": value}); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsFunc(text.String(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
				t.Errorf("%s: a control character is left in %q", format, text.String())
			}
			var back map[string]string
			if err := yaml.Unmarshal(text.Bytes(), &back); err != nil || back["a"] != value {
				t.Errorf("%s: %q comes back as %q (%v)", format, value, back["a"], err)
			}
		}
	}
}

func TestParseFormatTakesTheThreeFormats(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]output.Format{"": output.Table, "table": output.Table, "json": output.JSON, "yaml": output.YAML} {
		if got, err := output.ParseFormat(text); err != nil || got != want {
			t.Errorf("%q gives %q, %v", text, got, err)
		}
	}
	if _, err := output.ParseFormat("xml"); err == nil || err.Error() != `output: found "xml", allowed is table, json or yaml` {
		t.Errorf("got %v", err)
	}
}

// closed refuses every byte, as a pipe does whose reader has gone.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAWriterThatFailsIsReported(t *testing.T) {
	t.Parallel()
	for _, format := range []output.Format{output.Table, output.JSON, output.YAML} {
		if err := output.New(closed{}, format).Flows(flows()); err == nil {
			t.Errorf("%s reports nothing", format)
		}
	}
}
