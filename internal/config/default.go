package config

import (
	"runtime"
	"time"
)

// defaultAuth lets nobody in.
var defaultAuth = Auth{HMAC: HMACAuth{Window: 5 * time.Minute}, OIDC: OIDCAuth{ClockSkew: time.Minute}}

// Default gives every setting its default. Each role listens on a port of its own, on loopback only.
func Default() Config {
	return Config{
		Log: Log{Level: "info", Format: "text"},
		NATS: NATS{
			URL: urls("nats://127.0.0.1:4222"), Prefix: "systole", MakeStreams: true, Replicas: 1,
			BeatTTL: 24 * time.Hour, DuplicateWindow: 2 * time.Minute, AckTimeout: 5 * time.Second,
			EventTTL: 7 * 24 * time.Hour, EventBytes: 64 << 20, EventMessages: 200_000, DeadTTL: 7 * 24 * time.Hour, DeadMessages: 10_000,
		},
		Redis: Redis{URL: urls("redis://127.0.0.1:6379"), Prefix: "systole", Partitions: 1},
		Gateway: Gateway{
			Listener: Listener{Listen: "127.0.0.1:8080", Auth: defaultAuth},
			Path:     "/heartbeat", RunPath: "/run", CallbackPath: "/callback", Rate: 50, Burst: 100, MaxBody: 4 << 10, MaxWait: 5 * time.Minute,
		},
		// Draining ends before the 30 seconds after which Kubernetes kills.
		Worker:  Worker{Concurrency: 16, Lease: 30 * time.Second, DrainTimeout: 25 * time.Second, Batch: 50},
		Console: Console{Listener{Listen: "127.0.0.1:8081", Auth: defaultAuth}},
		Executor: Executor{
			Exec:     ExecutorExec{KillGrace: 5 * time.Second, Sandbox: "standard", MinSandbox: "none", Limits: defaultLimits(runtime.GOOS)},
			Function: ExecutorFunction{Reuse: 100, Idle: 4},
			HTTP: ExecutorHTTP{
				ConnectTimeout: 10 * time.Second, MaxConnsPerHost: 64, Rate: 50, Burst: 100, BreakerFailures: 5, BreakerPause: 30 * time.Second,
			},
			WASM: ExecutorWASM{Memory: 128 << 20, Output: 16 << 20, MaxModule: 32 << 20},
		},
		History: History{RunsPerFlow: 100, RunTTL: 7 * 24 * time.Hour, DeadLetters: 1000, LogBytes: 64 << 10, Beats: 1000},
		Metrics: Metrics{Listen: "127.0.0.1:9090"},
		Tracing: Tracing{Sample: 1},
	}
}

// defaultLimits are generous: they keep one run from taking the host with it. Where processes cannot be supervised, only those
// stand that need no supervisor, since others would be refused.
func defaultLimits(system string) ExecutorLimits {
	limits := ExecutorLimits{Output: 256 << 20, Folder: 4 << 30}
	if system == "linux" {
		limits.Memory, limits.Processes, limits.OpenFiles, limits.FileSize = 2<<30, 512, 4096, 4<<30
	}
	return limits
}
