// Package admin is the API through which people and tools read and change what a deployment holds: flows, runs,
// heartbeats, status.
//
// It owns the HTTP side only: routes, who may call them, reading requests strictly, and saying no in a useful way. What a valid
// flow is and what happens to it belongs to package store. It starts nothing by itself: a run-now, a retry or a
// cancellation is an order from outside like a heartbeat, written to the store before it is confirmed and before workers are told.
//
// What always holds: every request is authenticated unless the API was told in so many words to be open; a credential
// reaches only the groups and the scope that it was given; a request is checked whole before any of it is done, and
// everything wrong with it is reported at once, as problem+json; what may have taken effect although it failed says
// so, and is safe to repeat.
package admin
