package config

import "slices"

// Role is one of the parts of Systole that a process may run.
type Role string

// The roles. Dev is all of them in one process, on the gateway's listener, with a NATS and a Redis of its own.
const (
	RoleGateway Role = "gateway"
	RoleWorker  Role = "worker"
	RoleConsole Role = "console"
	RoleDev     Role = "dev"
)

// needs are the sections that each role reads. A gateway needs no Redis, so it never asks for the password of one.
var needs = map[Role][]string{
	RoleGateway: {"log", "nats", "gateway", "callback", "metrics", "tracing"},
	RoleWorker:  {"log", "nats", "redis", "worker", "callback", "executor", "history", "metrics", "tracing"},
	RoleConsole: {"log", "nats", "redis", "console", "history", "metrics", "tracing"},
	RoleDev:     {"log", "gateway", "worker", "callback", "executor", "history", "tracing"},
}

// needed reports whether any of the roles reads a section. No roles means all of them.
func needed(roles []Role, section string) bool {
	if len(roles) == 0 {
		return true
	}
	return slices.ContainsFunc(roles, func(role Role) bool { return slices.Contains(needs[role], section) })
}
