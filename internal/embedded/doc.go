// Package embedded runs a NATS server and a Redis inside this process, for `systole dev` and the examples: nothing to
// install, ready in milliseconds.
//
// The NATS server is the real one. The Redis is miniredis, a reimplementation in Go: enough to try Systole, but nothing
// is proven by it, and what it holds is gone when the process ends.
package embedded
