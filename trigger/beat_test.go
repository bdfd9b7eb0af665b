package trigger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestABeatIsReadFromNothingOrFromStrictJSON(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]Beat{
		``:                                   {Group: "default"},
		`{}`:                                 {Group: "default"},
		`{"group":"default"}`:                {Group: "default"},
		`{"source":"cron","note":"ünïcode"}`: {Group: "default", Source: "cron", Note: "ünïcode"},
		` { "note" : "a \"quoted\" word" } `: {Group: "default", Note: `a "quoted" word`},
	} {
		beat, err := ParseBeat("default", []byte(payload))
		if err != nil || beat != want {
			t.Errorf("%s: got %+v, %v", payload, beat, err)
		}
	}
}

func TestABadBeatIsRefusedWithWhatWasFoundAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		payload string
		wants   []string
	}{
		"broken JSON":             {`{"source":`, []string{"one JSON value"}},
		"no object":               {`"beat"`, []string{"found"}},
		"null":                    {`null`, []string{"found"}},
		"a null field":            {`{"source":null}`, []string{"source", "found"}},
		"an unknown key":          {`{"as_of":"2001-01-01T00:00:00Z"}`, []string{`as_of`, "group", "source", "note"}},
		"a doubled key":           {`{"note":"a","note":"b"}`, []string{"note"}},
		"a key in other case":     {`{"Group":"default"}`, []string{`Group`}},
		"a wrong type":            {`{"note":7}`, []string{"note"}},
		"trailing data":           {`{}{}`, []string{"found"}},
		"invalid UTF-8":           {"{\"note\":\"\xff\"}", []string{"UTF-8"}},
		"another group":           {`{"group":"other"}`, []string{"group", `"other"`, `"default"`}},
		"a group that is no name": {`{"group":"A.B"}`, []string{"group", `"A.B"`, "a-z"}},
		"control characters":      {`{"note":"a\nb"}`, []string{"note", "control"}},
		"too long a source":       {`{"source":"` + strings.Repeat("s", 257) + `"}`, []string{"source", "257 bytes", "256"}},
		"too long a note":         {`{"note":"` + strings.Repeat("n", 1025) + `"}`, []string{"note", "1025 bytes", "1024"}},
		"too long a payload":      {strings.Repeat(" ", 4095) + `{}`, []string{"4097 bytes", "4096"}},
		"two faults at once": {
			`{"group":"UP","source":"` + strings.Repeat("s", 300) + `"}`, []string{`"UP"`, "300 bytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseBeat("default", []byte(test.payload))
			var invalid InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestABeatIsRefusedForAGroupThatIsNoName(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"", "UPPER", "a.b", "*", ">", "-a", "a b", strings.Repeat("a", 64), "ä"} {
		if _, err := ParseBeat(group, nil); err == nil {
			t.Errorf("group %q was accepted", group)
		}
	}
}

func TestMessageIDsAreVisibleASCII(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"default:key-1": true, strings.Repeat("k", MaxID): true,
		"": false, "a b": false, "a\nb": false, "ä": false, strings.Repeat("k", MaxID+1): false,
	} {
		if ValidID(id) != want {
			t.Errorf("ValidID(%q) is %v", id, !want)
		}
	}
}

// The worst case for encoding: every byte of source and note has to be escaped.
func TestTheLargestValidBeatFitsItsPayload(t *testing.T) {
	t.Parallel()
	for _, filler := range []string{`"`, `\`, "<", "\u2028"} {
		beat := Beat{
			Group:  strings.Repeat("g", 63),
			Source: strings.Repeat(filler, MaxSource/len(filler)), Note: strings.Repeat(filler, MaxNote/len(filler)),
		}
		payload, err := beat.payload()
		if err != nil || beat.Validate() != nil {
			t.Fatal(err, beat.Validate())
		}
		got, err := ParseBeat(beat.Group, payload)
		if err != nil || got != beat {
			t.Errorf("filled with %q: %v", filler, err)
		}
	}
}

func FuzzDecodeBeatBody(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"group":"default","source":"cron","note":"x"}`, `{"note":"a","note":"b"}`, `{"note":"\ud800"}`, "null", "[", "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := DecodeBeatBody(data)
		if err != nil {
			var invalid InvalidError
			if !errors.As(err, &invalid) || len(invalid) == 0 || body != (BeatBody{}) {
				t.Fatalf("got %+v, %#v", body, err)
			}
			if strings.ContainsAny(oneLine(err.Error()), "\r\n") {
				t.Fatal("the reason breaks a header")
			}
			return
		}
		if len(body.Source) > MaxSource || len(body.Note) > MaxNote || (body.Group != "" && !ValidName(body.Group)) {
			t.Fatalf("accepted %+v", body)
		}
		group := body.Group
		if group == "" {
			group = DefaultGroup
		}
		beat := Beat{Group: group, Source: body.Source, Note: body.Note}
		payload, err := beat.payload()
		if err != nil || beat.Validate() != nil {
			t.Fatalf("accepted, and cannot be published: %v, %v", err, beat.Validate())
		}
		if again, err := ParseBeat(group, payload); err != nil || again != beat {
			t.Fatalf("published as %q it reads %+v, %v", payload, again, err)
		}
	})
}

func ExampleParseBeat() {
	beat, _ := ParseBeat("default", []byte(`{"source":"cron","note":"every five minutes"}`))
	fmt.Printf("%s from %s: %s\n", beat.Group, beat.Source, beat.Note)
	_, err := ParseBeat("default", []byte(`{"as_of":"2001-01-01T00:00:00Z"}`))
	fmt.Println(err != nil)
	// Output:
	// default from cron: every five minutes
	// true
}

func TestAnAssignedIDTellsRecreatedStreamsApart(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 2)
	if assignedID(1, at) != "1-1000000002" || assignedID(1, at) == assignedID(1, at.Add(1)) {
		t.Error(assignedID(1, at))
	}
}
