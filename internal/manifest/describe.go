package manifest

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/systole-run/systole/store"
)

// describe gives the description of a type, or of one of its fields by its key. A test holds that none is missing.
func describe(t reflect.Type, field string) string {
	if field == "" {
		return map[string]string{"DataFlow": "What runs, when, and under which policies. Exactly one of function, exec, http and wasm is set."}[t.Name()]
	}
	if f, ok := t.FieldByName(field); ok {
		field, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	}
	return descriptions()[t.Name()][field]
}

// descriptions are by type and key.
func descriptions() map[string]map[string]string {
	return map[string]map[string]string{
		"DataFlow": {
			"name":           "The flow's name, unique in its group.",
			"group":          "The group whose heartbeats run the flow.",
			"description":    "What the flow is for.",
			"every":          fmt.Sprintf("How often the flow is due, on a fixed grid, from %s to %s. A flow that has never run is due at once.", store.Duration(store.MinEvery), store.Duration(store.MaxEvery)),
			"cron":           "Due at these times: five fields (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly, @yearly. Without every and cron the flow runs only on demand.",
			"timezone":       "The IANA time zone of cron; UTC if left out.",
			"timeout":        fmt.Sprintf("How long one run may take, up to 168h; %s if left out.", store.Duration(store.DefaultTimeout)),
			"overlap":        "What happens while the flow still runs: forbid skips a slot that comes due, allow runs both side by side, replace cancels the running one and takes its place.",
			"catchup":        "What happens to slots that a heartbeat covers late: latest makes one run for all of them, all runs each, none runs none of them.",
			"catchup_limit":  fmt.Sprintf("How many missed slots catchup: all runs at most, the newest ones; %d if left out.", store.DefaultCatchupLimit),
			"start_deadline": fmt.Sprintf("A slot that the first heartbeat covers later than this is missed. Left out: never, and %s with catchup: none.", store.Duration(store.DefaultGrace)),
			"concurrency":    "Limits how many runs go on at a time among all flows that name the same key. Others wait in order.",
			"pause_after":    "Pauses the flow after so many failed occurrences in a row; 0 is never.",
			"retry":          "How often a failed occurrence is attempted, and how long to wait in between. The next attempt runs by the first heartbeat after the wait.",
			"params":         "A JSON Schema (2020-12) of type object, which the parameters of a run on demand must meet. Left out: any object.",
			"function":       "Run a Go function that is registered in the worker's binary.",
			"exec":           "Run a command apart from the worker, with a clean environment and a folder of its own.",
			"http":           "Send one HTTP request.",
			"wasm":           "Run a WebAssembly module (WASI preview 1), which reaches nothing of the worker except what is listed.",
		},
		"Concurrency": {
			"key": "What the runs share, such as the name of a database.",
			"max": "A run of this flow starts only while fewer runs than this hold the key.",
		},
		"FunctionSpec": {
			"name":      "The name under which the function is registered.",
			"isolation": "Where the function runs: none is within the worker; process is in a process of its own, so that a crash or endless loop ends nothing else.",
		},
		"ExecSpec": {
			"command": "The program and its arguments, one list item each. No shell is involved.",
			"dir":     "The working folder on the worker; the run's own temporary folder if left out.",
			"env":     "Variables added to the clean environment: text, or a reference to a secret (env:NAME, file:/path, secret:NAME). Names starting with SYSTOLE_ are the runtime's own.",
			"sandbox": "What is kept from the command. none: only the worker's environment and descriptors. standard: also new privileges. strict: also all files and the network, except what files and ports list. Left out: what the worker's operator has set.",
			"files":   "What a strict sandbox leaves open besides the run's own folder, dir, programs and libraries.",
			"ports":   "TCP ports that a command in a strict sandbox may connect to; without any it has no network at all.",
			"limits":  "What one run may use; a run that uses more fails, and its error names the limit. The operator may have set other defaults, and maxima.",
		},
		"ExecFiles": {
			"read":  "Absolute paths that may be read and executed, with everything below them.",
			"write": "Absolute paths that may be read, written, made and removed, with everything below them.",
		},
		"Limits": {
			"cpu":        "CPU time of all processes together.",
			"memory":     "Memory of all processes together.",
			"processes":  "Processes at once.",
			"open_files": "Open files of each process.",
			"file_size":  "Size of each file that is written.",
			"output":     "Bytes written to standard output and error; what is kept of them is less.",
			"folder":     "Size of the run's own folder with everything in it.",
		},
		"HTTPSpec": {
			"url":      "An absolute http or https URL, without credentials. It must lead to a public address, or one that executor.http.allow lists.",
			"method":   "GET, POST, PUT, PATCH or DELETE.",
			"headers":  "Headers added to the request: text, or a reference to a secret (env:NAME, file:/path, secret:NAME).",
			"bearer":   "A reference to the secret that is sent as Authorization: Bearer.",
			"sign":     "References to the secrets that the request is signed with (Standard Webhooks); two while you rotate them. Each is whsec_ and the key in base64.",
			"tls":      "References to the certificates, in PEM, that the connection presents and trusts.",
			"callback": "Whether the receiver may answer 202 and report the end of the run later, within the timeout.",
		},
		"HTTPTLS": {
			"cert": "The client's certificate, as a reference.",
			"key":  "The key of the certificate, as a reference.",
			"ca":   "The roots to trust in place of the system's, as a reference.",
		},
		"WASMSpec": {
			"module":  "The module's file within the worker's folder of modules (executor.wasm.dir).",
			"args":    "The module's arguments.",
			"env":     "Variables of the module: text, or a reference to a secret (env:NAME, file:/path, secret:NAME). Names starting with SYSTOLE_ are the runtime's own.",
			"memory":  "How much memory the module may have, such as 64MiB; as much as the operator allows if left out.",
			"folders": "Folders of the worker that the module may read, each by the path at which the module finds it. The operator has to allow them (executor.wasm.folders).",
			"clock":   "Whether the module may read the time.",
		},
		"Retry": {
			"attempts": "Attempts in all; 1 means no retry.",
			"initial":  "Wait before the second attempt.",
			"factor":   "Growth of the wait from attempt to attempt.",
			"max":      "Longest wait.",
			"jitter":   "Random part of the wait, from 0 to 1.",
		},
	}
}
