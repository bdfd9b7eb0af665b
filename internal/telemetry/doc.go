// Package telemetry is how a process tells what it does: logs, metrics and health over HTTP, and traces.
//
// It owns how these are set up and sent, and that no secret is in a log line. It does not own what is told: each package
// counts and logs its own doings, with the logger, registry and tracer provider that it is given.
package telemetry
