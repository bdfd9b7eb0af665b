package supervisor

import (
	"os"
	"time"
)

// Level is how much a sandbox keeps from a command.
type Level string

// The levels. Each includes the one before.
const (
	// LevelNone: supervised and limited, with no descriptor of the worker; all else as if the worker had started it,
	// but for the umask where threads may not have their own.
	LevelNone Level = "none"
	// LevelStandard: also no_new_privs, umask 077, no ambient capabilities, and of root's none over the
	// kernel or other processes' memory.
	LevelStandard Level = "standard"
	// LevelStrict: also no files (Landlock) and no network (seccomp, and a network namespace where there may be one) but what
	// is listed, no Unix sockets (seccomp), no system calls that administer the machine (seccomp), no signals to the outside (Landlock).
	LevelStrict Level = "strict"
)

// Sandbox says what a command may do.
type Sandbox struct {
	Level Level `json:"level"` // empty: LevelStandard
	// User and Group, if not nil, are whom the command runs as; the supervisor must be allowed to change to them.
	User  *uint32 `json:"user,omitempty"`
	Group *uint32 `json:"group,omitempty"`

	// Under LevelStrict: absolute paths that may be read and executed, or also be written; and TCP ports that may be connected
	// to. With no port there is no network at all; with one, UDP is open too, for the sake of names.
	Read  []string `json:"read,omitempty"`
	Write []string `json:"write,omitempty"`
	Ports []uint16 `json:"ports,omitempty"`
}

// Limits of a run. 0 is no limit. CPU, Memory and Processes are of the run as a whole, the others of each of its processes.
type Limits struct {
	CPU       time.Duration `json:"cpu,omitempty"`
	Memory    int64         `json:"memory,omitempty"` // bytes; also of what one process may ask for (RLIMIT_DATA)
	Processes int           `json:"processes,omitempty"`
	OpenFiles int           `json:"open_files,omitempty"`
	FileSize  int64         `json:"file_size,omitempty"` // bytes
}

// Command is a program to start.
type Command struct {
	Path string   `json:"path"` // absolute
	Args []string `json:"args"` // the program's name first
	Env  []string `json:"env"`
	Dir  string   `json:"dir"` // absolute

	// Files become the command's descriptors 0, 1, 2 and on. They are its own: the caller closes its own after Start.
	Files []*os.File `json:"-"`

	Limits  Limits  `json:"limits"`
	Sandbox Sandbox `json:"sandbox"`

	// Until is when the run is ended unless Extend moves that; zero for never.
	Until time.Time `json:"-"`
}

// Names of limits, as an Exceeded has them.
const (
	LimitCPU       = "cpu"
	LimitMemory    = "memory"
	LimitProcesses = "processes"
	LimitOpenFiles = "open_files"
	LimitFileSize  = "file_size"
)

// Exceeded is a limit for which a run was ended.
type Exceeded struct {
	Limit string `json:"limit"` // one of the Limit constants
	Found string `json:"found"` // how much was used, for people
}

// End is how a run ended. Nothing of it is left then, unless Stuck.
type End struct {
	Code   int    `json:"code"`             // exit code of the command; -1 if a signal ended it
	Signal int    `json:"signal,omitempty"` // that ended the command; 0 for none
	Killed string `json:"killed,omitempty"` // why the supervisor killed it, empty if it did not: one of the Killed constants
	// Exceeded is the limit for which it was killed, nil otherwise.
	Exceeded *Exceeded `json:"exceeded,omitempty"`
	// Stuck says that a process did not even end on SIGKILL.
	Stuck bool `json:"stuck,omitempty"`

	CPU    time.Duration `json:"cpu"`    // of all processes that were waited for or seen
	Memory int64         `json:"memory"` // bytes at the peak: of the largest process, or of all together, as far as seen; 0 is too little or too short
	// OpenFiles is the most that one process was seen to have.
	OpenFiles int `json:"open_files,omitempty"`
}

// KillPatience is how long it may take until nothing is left of a run that was killed, or until its End says that it is stuck.
const KillPatience = 3 * killPatience

// killPatience is how long processes have to end once they have been killed. Only ones that hang in the kernel take longer.
const killPatience = 10 * time.Second

// Why the supervisor killed a run.
const (
	KilledAsked    = "asked"              // Process.Kill
	KilledDeadline = "deadline passed"    // the lease was not renewed in time
	KilledLimit    = "limit exceeded"     // see Exceeded
	KilledGone     = "worker is gone"     // nobody is told of it
	KilledLost     = "supervisor is gone" // said by the worker's side
)
