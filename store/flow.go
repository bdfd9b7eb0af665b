package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/systole-run/systole/internal/strictjson"
)

// DefaultGroup is the group of a flow or heartbeat that names none.
const DefaultGroup = "default"

// DefaultTimeout bounds a run whose flow sets no timeout.
const DefaultTimeout = 5 * time.Minute

// namePattern is what a flow or group may be called: it must fit into one NATS subject token and one Redis hash tag.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// nameAllowed says in words what namePattern says.
const nameAllowed = "1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"

// ValidName reports whether s may name a flow or a group.
func ValidName(s string) bool { return namePattern.MatchString(s) }

// DataFlow is the definition of one flow: what runs, when, and under which policies.
// Durations are text ("5m"). Exactly one of the kinds (Function, Exec, HTTP, WASM) is set.
type DataFlow struct {
	Name          string          `json:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9_-]{0\\,62}$"`
	Group         string          `json:"group,omitempty" jsonschema:"default=default,pattern=^[a-z0-9][a-z0-9_-]{0\\,62}$"`
	Description   string          `json:"description,omitempty"`
	Every         Duration        `json:"every,omitempty"`
	Cron          string          `json:"cron,omitempty"`
	Timezone      string          `json:"timezone,omitempty"`
	Timeout       Duration        `json:"timeout,omitempty"`
	Overlap       Overlap         `json:"overlap,omitempty" jsonschema:"enum=forbid,enum=allow,enum=replace,default=forbid"`
	Catchup       Catchup         `json:"catchup,omitempty" jsonschema:"enum=latest,enum=all,enum=none,default=latest"`
	CatchupLimit  int             `json:"catchup_limit,omitempty"`
	StartDeadline Duration        `json:"start_deadline,omitempty"`
	Retry         *Retry          `json:"retry,omitempty"`
	Concurrency   *Concurrency    `json:"concurrency,omitempty"`
	PauseAfter    int             `json:"pause_after,omitempty"`
	Params        json.RawMessage `json:"params,omitempty"`

	Function *FunctionSpec   `json:"function,omitempty"`
	Exec     *ExecSpec       `json:"exec,omitempty"`
	HTTP     *HTTPSpec       `json:"http,omitempty"`
	Pipeline json.RawMessage `json:"pipeline,omitempty"`
	WASM     *WASMSpec       `json:"wasm,omitempty"`
}

// FunctionSpec runs a Go function that was registered in the worker's binary under Name.
type FunctionSpec struct {
	Name string `json:"name"`
	// Isolation is IsolationNone, which an empty one means, or IsolationProcess.
	Isolation string `json:"isolation,omitempty" jsonschema:"enum=none,enum=process,default=none"`
}

// Where a function runs.
const (
	IsolationNone    = "none"    // in a goroutine of the worker
	IsolationProcess = "process" // in a process of its own
)

// ExecSpec runs a command apart from the worker, with a clean environment and a temporary folder of its own.
type ExecSpec struct {
	// Command is the program and its arguments; no shell is involved. A program with a slash in it is looked up from
	// Dir, any other one on the worker's PATH.
	Command []string `json:"command"`
	// Dir is the working folder on the worker. Empty means the run's own temporary folder.
	Dir string `json:"dir,omitempty"`
	// Env is added to the clean environment: values, or references to secrets. Names that start with SYSTOLE_ are the
	// runtime's own.
	Env map[string]string `json:"env,omitempty"`

	// Sandbox is how much is kept from the command: one of the Sandbox constants. Empty is what the worker's operator has set.
	Sandbox string `json:"sandbox,omitempty" jsonschema:"enum=none,enum=standard,enum=strict"`
	// Files and Ports are all that a strict sandbox leaves open beside the run's own folder, Dir, programs and libraries.
	Files *ExecFiles `json:"files,omitempty"`
	Ports []int      `json:"ports,omitempty"` // TCP ports that may be connected to; none means no network at all
	// Limits replace the operator's, one by one. They may not be above the operator's maximum.
	Limits *Limits `json:"limits,omitempty"`
}

// DecodeFlow reads one definition from JSON. Unknown keys, keys in another case, doubled keys and trailing data are errors.
// The answer has its defaults filled in and is validated; the error is an InvalidError where the content is at fault.
func DecodeFlow(data []byte) (DataFlow, error) {
	var flow DataFlow
	if err := strictjson.Decode(data, &flow); err != nil {
		return DataFlow{}, asInvalid(err)
	}
	flow = flow.WithDefaults()
	return flow, flow.Validate()
}

// asInvalid carries over what strictjson found wrong.
func asInvalid(err error) error {
	var problems strictjson.Error
	if !errors.As(err, &problems) {
		return InvalidError{{Found: err.Error(), Allowed: "a DataFlow as one JSON object"}}
	}
	var invalid InvalidError
	for _, problem := range problems {
		invalid = append(invalid, FieldError{Field: problem.Field, Found: problem.Found, Allowed: problem.Allowed})
	}
	return invalid
}

// WithDefaults fills in every field that was left empty and has a default. Two definitions that mean the same are
// equal afterwards.
func (f DataFlow) WithDefaults() DataFlow {
	if f.Group == "" {
		f.Group = DefaultGroup
	}
	if f.Timeout == 0 {
		f.Timeout = Duration(DefaultTimeout)
	}
	if f.Overlap == "" {
		f.Overlap = OverlapForbid
	}
	if f.Catchup == "" {
		f.Catchup = CatchupLatest
	}
	if f.Retry != nil {
		retry := f.Retry.withDefaults()
		f.Retry = &retry
	}
	if f.Cron != "" && f.Timezone == "" {
		f.Timezone = "UTC"
	}
	if f.HTTP != nil && f.HTTP.Method == "" {
		spec := *f.HTTP
		spec.Method = "POST"
		f.HTTP = &spec
	}
	return f
}

// Kind names the executor that runs the flow: "function", "exec", "http" or "wasm".
func (f DataFlow) Kind() string {
	if kinds := f.kinds(); len(kinds) == 1 {
		return kinds[0]
	}
	return ""
}

func (f DataFlow) kinds() []string {
	var kinds []string
	for kind, set := range map[string]bool{
		"function": f.Function != nil, "exec": f.Exec != nil, "http": f.HTTP != nil,
		"pipeline": len(f.Pipeline) > 0, "wasm": f.WASM != nil,
	} {
		if set {
			kinds = append(kinds, kind)
		}
	}
	sort.Strings(kinds)
	return kinds
}

// Validate reports everything that is wrong with the definition, as an InvalidError, or nil. Policies and kinds that
// this version does not carry out are refused here, so that none is ever silently ignored.
func (f DataFlow) Validate() error {
	var invalid InvalidError
	if !ValidName(f.Name) {
		invalid.add("name", f.Name, nameAllowed)
	}
	if !ValidName(f.Group) {
		invalid.add("group", f.Group, nameAllowed)
	}
	f.validateSchedule(&invalid)
	if f.Timeout <= 0 || time.Duration(f.Timeout) > 7*24*time.Hour {
		invalid.add("timeout", f.Timeout.String(), "a duration above 0 and up to 168h, such as 5m")
	}
	f.validatePolicies(&invalid)
	f.validateParams(&invalid)
	f.validateKind(&invalid)
	return invalid.orNil()
}

func (f DataFlow) validateSchedule(invalid *InvalidError) {
	if f.Every != 0 && f.Cron != "" {
		invalid.add("cron", f.Cron, "either every or cron, not both")
		return
	}
	if f.Every != 0 && (time.Duration(f.Every) < MinEvery || time.Duration(f.Every) > MaxEvery) {
		invalid.add("every", f.Every.String(), fmt.Sprintf("a duration from %s to %s, such as 5m", Duration(MinEvery), Duration(MaxEvery)))
	}
	if f.Every%Duration(time.Millisecond) != 0 {
		invalid.add("every", f.Every.String(), "a whole number of milliseconds")
	}
	if f.Timezone != "" && f.Cron == "" {
		invalid.add("timezone", f.Timezone, "a timezone only beside cron")
	}
	if f.Cron != "" {
		_, wrong := parseCron(f.Cron, f.Timezone)
		*invalid = append(*invalid, wrong...)
	}
}

// Bounds of policies.
const (
	maxCatchupLimit = 1000
	maxPauseAfter   = 1000
)

func (f DataFlow) validatePolicies(invalid *InvalidError) {
	if _, known := overlapCodes[f.Overlap]; !known {
		invalid.add("overlap", string(f.Overlap), "forbid (one at a time), allow (side by side) or replace (a later one cancels those before)")
	}
	if !slices.Contains([]Catchup{CatchupLatest, CatchupAll, CatchupNone}, f.Catchup) {
		invalid.add("catchup", string(f.Catchup), "latest (one run for all missed slots), all (each, up to catchup_limit) or none")
	}
	if f.CatchupLimit != 0 && (f.Catchup != CatchupAll || f.CatchupLimit < 1 || f.CatchupLimit > maxCatchupLimit) {
		invalid.add("catchup_limit", fmt.Sprint(f.CatchupLimit), fmt.Sprintf("1 to %d, beside catchup: all", maxCatchupLimit))
	}
	if f.StartDeadline < 0 || time.Duration(f.StartDeadline) > MaxEvery || f.StartDeadline%Duration(time.Millisecond) != 0 {
		invalid.add("start_deadline", f.StartDeadline.String(), "a duration above 0 and up to 8784h in whole milliseconds, such as 10m")
	}
	if f.PauseAfter < 0 || f.PauseAfter > maxPauseAfter {
		invalid.add("pause_after", fmt.Sprint(f.PauseAfter), fmt.Sprintf("0 (never) to %d failed occurrences in a row", maxPauseAfter))
	}
	if f.Retry != nil {
		f.Retry.validate(invalid)
	}
	if f.Concurrency != nil {
		f.Concurrency.validate(invalid)
	}
}

func (f DataFlow) validateKind(invalid *InvalidError) {
	const allowed = "exactly one of function, exec, http, wasm"
	switch kinds := f.kinds(); {
	case len(kinds) == 0:
		invalid.add("", "no kind", allowed)
	case len(kinds) > 1:
		invalid.add(kinds[1], strings.Join(kinds, " and "), allowed)
	case kinds[0] == "pipeline":
		invalid.add(kinds[0], kinds[0], allowed+"; this version runs nothing else")
	}
	if f.Function != nil {
		f.Function.validate(invalid)
	}
	if f.Exec != nil {
		f.Exec.validate(invalid)
	}
	if f.HTTP != nil {
		f.HTTP.validate(invalid)
	}
	if f.WASM != nil {
		f.WASM.validate(invalid)
	}
}

func (s FunctionSpec) validate(invalid *InvalidError) {
	if s.Name == "" {
		invalid.add("function.name", s.Name, "the name of a function registered in the worker")
	}
	if !slices.Contains([]string{"", IsolationNone, IsolationProcess}, s.Isolation) {
		invalid.add("function.isolation", s.Isolation, "none (in the worker) or process")
	}
}

func (s ExecSpec) validate(invalid *InvalidError) {
	if len(s.Command) == 0 || s.Command[0] == "" {
		invalid.add("exec.command", strings.Join(s.Command, " "), `a list, program first, such as ["./sync.sh", "--full"]`)
	}
	for i, word := range s.Command {
		field := fmt.Sprintf("exec.command[%d]", i)
		if strings.ContainsRune(word, 0) {
			invalid.add(field, word, "text without NUL bytes")
		}
		if (strings.HasPrefix(word, "env:") || strings.HasPrefix(word, "secret:")) && validSecretRef(word) {
			invalid.add(field, "a reference to a secret, and arguments can be read by every user of the machine", "the reference in exec.env")
		}
	}
	if strings.ContainsRune(s.Dir, 0) {
		invalid.add("exec.dir", s.Dir, "text without NUL bytes")
	}
	validateEnv(invalid, "exec.env", s.Env)
	s.validateSandbox(invalid)
	if s.Limits != nil {
		s.Limits.validate("exec.limits", invalid)
	}
}

func validateEnv(invalid *InvalidError, field string, env map[string]string) {
	for _, name := range sortedKeys(env) {
		field := field + "." + name
		if !envPattern.MatchString(name) || strings.HasPrefix(name, "SYSTOLE_") {
			invalid.add(field, name, "letters, digits and _, not starting with a digit or with SYSTOLE_")
		}
		validateSetting(invalid, field, env[name])
	}
}

var envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
