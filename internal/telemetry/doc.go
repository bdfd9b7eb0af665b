// Package telemetry is how a process tells what it does: logs, metrics and health over HTTP, and traces.
//
// A log record goes through three steps, and none reaches a sink without the first two:
//
//	level of its component  ->  redaction  ->  every sink (standard error, and whatever else was added)
//
// It owns how these are set up and sent, and that no secret is in a log line. It does not own what is told: each package
// counts and logs its own doings, with the logger, registry and tracer provider that it is given.
//
// What always holds: nothing here is global; no registered secret, and no value under a key that names one, reaches a
// sink, however deep it is nested; logging and tracing never fail their caller and never panic.
package telemetry
