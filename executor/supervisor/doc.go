// Package supervisor starts the processes of runs apart from the worker, and ends each with everything that it started.
//
// A worker starts its own binary once more, as its supervisor, and asks it over a socket to start commands. It does not
// start them itself, because what it started could outlive it: a worker that is killed, frozen or cut off ends nothing.
//
//	worker ──start, extend, terminate, kill──▶ supervisor ──fork, exec──▶ command ──▶ whatever it starts
//	   ▲                                          │  subreaper, session of its own
//	   └───────────── started, ended ─────────────┘
//
// The data of a run (params, output) goes through descriptors that are handed on: the supervisor never touches it.
//
// # When a run is ended
//
//	running ──the command ended─────────────▶ ending ──nothing of it is left──▶ ended, told to the worker
//	   ├─────its deadline passed────────────▶   │
//	   ├─────the worker asked, or is gone───▶   │
//	   └─────a limit was exceeded───────────▶   │
//	                                            └─something survives SIGKILL (a broken file system)─▶ ended, stuck
//
// A deadline moves only when the worker says that it has renewed the lease; it is a time of CLOCK_BOOTTIME, which both
// processes read, so that a worker that was frozen while it sent one cannot move it too far. If the worker is gone,
// its end of the socket is closed, and the supervisor ends all runs and itself. If the supervisor is gone, the kernel kills
// the commands (PDEATHSIG), the worker kills what else carries their marks, and starts another supervisor.
//
// # Which processes belong to a run
//
// All descendants of its command. A process whose parent has died becomes the supervisor's child (it is a subreaper),
// and has lost its ancestors: so that it can still be told whose it is, each run has a mark. A mark is a number that stands as
// the limit RLIMIT_LOCKS of every process of the run. The kernel has enforced that limit nowhere since Linux 2.4.25, hands
// it down through fork and exec, and lets nobody raise it but who has CAP_SYS_RESOURCE, which runs lose. Neither setsid
// nor a double fork nor an empty environment removes it. A child of the supervisor with no living run's mark is killed
// with its descendants. So the one way out is to lower one's mark to that of another run under way, which has to be guessed
// (under `strict`, marks cannot be changed at all); it lasts as long as that run.
//
// A tree is ended in three steps. The command's process group is killed, which the kernel does at once; then the run's control
// group, if there is one (version 2, in which the worker may make groups), which it does at once, too; and then every
// process that is found is stopped, until none is found that runs, and only then are they killed. Nothing can outrun that which
// gets less of the CPU than the supervisor. So the supervisor has a real-time priority where it may, and where the kernel
// holds the user of the command to a number of tasks (it does not so for root), it is told one. Every signal to a single process
// goes through a pidfd, so that it cannot hit another process that got the number of one that has just ended. Who runs workers
// as root in containers that let them have neither control groups nor priorities should give the containers a limit of processes.
//
// Marks and limits are set between exec and the command's first instruction: the command is started under ptrace, which
// stops it there, and let go. That costs a tenth of a millisecond, where a helper program in between would cost ten. A
// program that is set-uid gains nothing when it is the command itself, also without a sandbox; one that a shell starts does.
//
// # What this package does not do
//
// It knows nothing of flows, folders, params or results. It runs on Linux only: Start refuses elsewhere.
package supervisor
