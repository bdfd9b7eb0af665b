package config

import (
	"net/netip"
	"time"
)

// Config is the whole tree of settings. The koanf tags are the names that files and environment use.
type Config struct {
	Log      Log      `koanf:"log"`
	NATS     NATS     `koanf:"nats"`
	Redis    Redis    `koanf:"redis"`
	Gateway  Gateway  `koanf:"gateway"`
	Worker   Worker   `koanf:"worker"`
	Console  Console  `koanf:"console"`
	Callback Callback `koanf:"callback"`
	Executor Executor `koanf:"executor"`
	History  History  `koanf:"history"`
	Metrics  Metrics  `koanf:"metrics"`
	Tracing  Tracing  `koanf:"tracing"`

	origin map[string]Source // of every setting that is not at its default
	notes  []string
}

// Log says what is logged and how. Everything goes to standard error.
type Log struct {
	Level  Level  `koanf:"level"`
	Format string `koanf:"format"` // text or json
	Levels Levels `koanf:"levels"`
}

// NATS is the connection to NATS and what is kept there.
type NATS struct {
	URL             URLs          `koanf:"url"` // one or several servers of one cluster
	CredsFile       string        `koanf:"creds_file"`
	User            string        `koanf:"user"`
	Password        Secret        `koanf:"password"`
	PasswordFile    string        `koanf:"password_file"`
	TLS             TLS           `koanf:"tls"`
	Prefix          string        `koanf:"prefix"`           // first token of every subject
	BeatTTL         time.Duration `koanf:"beat_ttl"`         // how long the newest beat of a group is kept
	DuplicateWindow time.Duration `koanf:"duplicate_window"` // how long an Idempotency-Key is remembered
	AckTimeout      time.Duration `koanf:"ack_timeout"`      // how long the gateway waits for JetStream before it answers 503
	InboxPrefix     string        `koanf:"inbox_prefix"`     // of the subjects that replies come to, such as _INBOX.worker; _INBOX if empty
	MakeStreams     bool          `koanf:"make_streams"`     // false: the role waits until another has made them
	Replicas        int           `koanf:"replicas"`         // of each stream
	EventTTL        time.Duration `koanf:"event_ttl"`        // how long events are kept
	EventBytes      Size          `koanf:"event_bytes"`      // of all events that are kept; the oldest go first
	EventMessages   int           `koanf:"event_messages"`   // how many events are kept
	DeadTTL         time.Duration `koanf:"dead_ttl"`         // how long messages that could not be accepted are kept
	DeadMessages    int           `koanf:"dead_messages"`    // how many of those are kept
}

// Redis is the connection to Redis and how its keys are laid out.
type Redis struct {
	URL          URLs   `koanf:"url"`    // one server, several nodes of a cluster, or several Sentinels
	Master       string `koanf:"master"` // name of the master that the Sentinels watch; empty without Sentinel
	Username     string `koanf:"username"`
	Password     Secret `koanf:"password"`
	PasswordFile string `koanf:"password_file"`
	TLS          TLS    `koanf:"tls"`
	Prefix       string `koanf:"prefix"`     // start of every key
	Partitions   int    `koanf:"partitions"` // per group; fixed for the life of a deployment
	PoolSize     int    `koanf:"pool_size"`  // connections; 0 leaves it to the client
}

// Listener is what the gateway and the console have in common: where they listen and whom they let in.
type Listener struct {
	Listen         string         `koanf:"listen"` // host:port; port 0 takes a free one
	Auth           Auth           `koanf:"auth"`
	Allow          []netip.Prefix `koanf:"allow"`           // addresses that may call; empty means all
	TrustedProxies []netip.Prefix `koanf:"trusted_proxies"` // whose X-Forwarded-For is believed
	TLS            ServerTLS      `koanf:"tls"`
}

// Gateway is the HTTP side of heartbeats.
type Gateway struct {
	Listener
	Path         string        `koanf:"path"`
	RunPath      string        `koanf:"run_path"`
	CallbackPath string        `koanf:"callback_path"` // of callbacks, which are taken where callback.key is set
	Rate         float64       `koanf:"rate"`          // requests per second and client; 0 means no limit
	Burst        int           `koanf:"burst"`         // requests that a client may send at once
	MaxBody      Size          `koanf:"max_body"`      // of a heartbeat
	MaxWait      time.Duration `koanf:"max_wait"`      // the longest ?wait=
}

// Worker runs the flows.
type Worker struct {
	ID           string        `koanf:"id"`            // empty: host name and a random part, new at each start
	Groups       []string      `koanf:"groups"`        // groups to serve; empty means all
	Concurrency  int           `koanf:"concurrency"`   // runs at a time
	Lease        time.Duration `koanf:"lease"`         // after which the runs of a dead worker are taken over
	DrainTimeout time.Duration `koanf:"drain_timeout"` // that runs have to finish in after SIGTERM
	Batch        int           `koanf:"batch"`         // occurrences per claim
}

// Console is the admin API.
type Console struct {
	Listener
}

// Callback is how receivers of webhooks report the end of long jobs. Gateways and workers have the same key; without one
// there are no callbacks.
type Callback struct {
	Key     Secret `koanf:"key"` // signs the tokens that receivers report with; 32 characters or more
	KeyFile string `koanf:"key_file"`
	URL     string `koanf:"url"` // where receivers reach the gateway's callback_path, such as https://systole.example/callback; workers need it
}

// Executor bounds what runs of each kind may use.
type Executor struct {
	Exec     ExecutorExec     `koanf:"exec"`
	Function ExecutorFunction `koanf:"function"`
	HTTP     ExecutorHTTP     `koanf:"http"`
	WASM     ExecutorWASM     `koanf:"wasm"`
	Secrets  ExecutorSecrets  `koanf:"secrets"`
}

// ExecutorFunction is for flows of kind function with isolation: process.
type ExecutorFunction struct {
	Reuse int `koanf:"reuse"` // runs that one process has at most
	Idle  int `koanf:"idle"`  // processes that wait for a run at most; 0: none
}

// ExecutorExec is for flows of kind exec.
type ExecutorExec struct {
	Dir       string        `koanf:"dir"`        // where relative programs and folders of flows start; empty: the working folder
	TempDir   string        `koanf:"temp_dir"`   // where the runs' own folders are made; empty: the system's
	Path      string        `koanf:"path"`       // PATH of the commands; empty: the worker's own
	KillGrace time.Duration `koanf:"kill_grace"` // between TERM and KILL

	Sandbox    string         `koanf:"sandbox"`     // none, standard or strict: of flows that name none
	MinSandbox string         `koanf:"min_sandbox"` // the least that a flow may name
	Folders    []string       `koanf:"folders"`     // where programs must be; none: anywhere
	User       string         `koanf:"user"`        // UID:GID that commands run as; empty: the worker's own
	Limits     ExecutorLimits `koanf:"limits"`      // of flows that set none; 0: none
	Max        ExecutorMax    `koanf:"max"`         // of what flows may ask for; 0: any
}

// ExecutorLimits are what one run may use.
type ExecutorLimits struct {
	CPU       time.Duration `koanf:"cpu"`
	Memory    Size          `koanf:"memory"`
	Processes int           `koanf:"processes"`
	OpenFiles int           `koanf:"open_files"` // of each process
	FileSize  Size          `koanf:"file_size"`  // of each file
	Output    Size          `koanf:"output"`
	Folder    Size          `koanf:"folder"` // the run's own, with all that is in it
}

// ExecutorMax is what no flow may go beyond.
type ExecutorMax struct {
	Timeout time.Duration `koanf:"timeout"`
	ExecutorLimits
}

// ExecutorHTTP is for flows of kind http.
type ExecutorHTTP struct {
	Allow           []netip.Prefix `koanf:"allow"` // networks that requests may go to, beside public addresses; in dev loopback, unless set
	ConnectTimeout  time.Duration  `koanf:"connect_timeout"`
	MaxConnsPerHost int            `koanf:"max_conns_per_host"`
	Rate            float64        `koanf:"rate"`             // requests per second to one host; 0 means no limit
	Burst           int            `koanf:"burst"`            // requests to one host at once
	BreakerFailures int            `koanf:"breaker_failures"` // failed requests in a row after which a host is spared; 0 is never
	BreakerPause    time.Duration  `koanf:"breaker_pause"`    // for how long
}

// ExecutorWASM is for flows of kind wasm.
type ExecutorWASM struct {
	Dir       string   `koanf:"dir"`        // the folder of modules; empty: the working folder
	Folders   []string `koanf:"folders"`    // absolute folders that flows may have read, with what is beneath them; empty: none
	Memory    Size     `koanf:"memory"`     // the most that a module may have, and what it has where its flow says nothing
	Output    Size     `koanf:"output"`     // what a run may write
	MaxModule Size     `koanf:"max_module"` // of a module's file
}

// ExecutorSecrets opens secrets to flows.
type ExecutorSecrets struct {
	Dir   string   `koanf:"dir"`   // where secret:NAME is a file; empty: nowhere
	Allow []string `koanf:"allow"` // "group/flow reference", with * for any text without a slash; empty: no flow may use any
}

// History bounds what is kept of the past.
type History struct {
	RunsPerFlow int           `koanf:"runs_per_flow"`
	RunTTL      time.Duration `koanf:"run_ttl"`      // also of what failed for good
	DeadLetters int           `koanf:"dead_letters"` // occurrences that failed for good, per group and partition
	LogBytes    Size          `koanf:"log_bytes"`    // per run; the end is kept
	Beats       int           `koanf:"beats"`        // per group
}

// Metrics is the listener of /healthz, /readyz and /metrics.
type Metrics struct {
	Listen string `koanf:"listen"` // empty turns it off; port 0 takes a free one
}

// Tracing sends spans over OTLP.
type Tracing struct {
	Endpoint URLs    `koanf:"endpoint"` // base URL of one OTLP HTTP receiver; empty turns tracing off
	Sample   float64 `koanf:"sample"`   // share of new traces that are kept, 0 to 1
}
