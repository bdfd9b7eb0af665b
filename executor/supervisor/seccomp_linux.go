package supervisor

import (
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// deniedCalls administer the machine, load code into the kernel, look into other processes, or make namespaces. All that
// the kernel has fails with EPERM.
var deniedCalls = []string{
	"acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module", "fanotify_init",
	"finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register",
	"io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr",
	"move_mount", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root",
	"process_madvise", "process_vm_readv", "process_vm_writev", "quotactl", "quotactl_fd", "reboot", "request_key", "setdomainname",
	"sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount", "umount2", "unshare", "uselib",
	"userfaultfd", "vhangup", "vm86", "vm86old",
}

// denySystemCalls installs the deny list for the calling thread and what it forks.
func denySystemCalls(box Sandbox, flags uintptr) error {
	known, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	if err := denyOtherArchitectures(known); err != nil {
		return err
	}
	denied := seccomp.SyscallGroup{Action: seccomp.ActionErrno}
	for _, name := range deniedCalls {
		if _, ok := known.SyscallNames[name]; ok {
			denied.Names = append(denied.Names, name)
		}
	}
	for _, rule := range append(deniedArguments(flags), deniedSockets(box)...) {
		if _, ok := known.SyscallNames[rule.Name]; ok {
			denied.NamesWithCondtions = append(denied.NamesWithCondtions, rule)
		}
	}
	// The flags of clone3 are in memory, where a filter cannot see them. Told that there is no such call, programs use clone.
	missing := seccomp.SyscallGroup{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)}
	return seccomp.LoadFilter(seccomp.Filter{Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{denied, missing},
	}})
}

// deniedArguments are calls that only some arguments make dangerous. The conditions of one rule must all hold.
func deniedArguments(flags uintptr) []seccomp.NameWithConditions {
	spaces := uint64(unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWUSER | unix.CLONE_NEWNET)
	spaces &^= uint64(flags) // which this very thread has still to make
	return []seccomp.NameWithConditions{
		deny("clone", bits(0, spaces)),
		// Being traced by one's parent and being let go is how a command is started.
		deny("ptrace", not(0, unix.PTRACE_TRACEME), not(0, unix.PTRACE_DETACH)),
		// The mark, and with it the six limits whose numbers have the same bit, can be read but not set.
		deny("prlimit64", bits(1, 8), not(2, 0)),
		deny("setrlimit", bits(0, 8)),
	}
}

// deniedSockets leaves, with ports, TCP, which Landlock looks after, and UDP for names; else none but pairs of a process's own. Unix
// sockets would lead outside: Landlock does not see who connects to one, and behind it may be what starts programs for the
// same user, such as systemd or Docker. Of pairs, those of datagrams could be connected anew.
func deniedSockets(box Sandbox) []seccomp.NameWithConditions {
	pairs := deny("socketpair", bits(1, unix.SOCK_DGRAM))
	if len(box.Ports) == 0 {
		return []seccomp.NameWithConditions{pairs, deny("socket", not(0, unix.AF_UNSPEC))} // of which there is none
	}
	return []seccomp.NameWithConditions{
		pairs,
		deny("socket", not(0, unix.AF_INET), not(0, unix.AF_INET6)),
		deny("socket", bits(1, 1), bits(1, 2)), // SOCK_RAW is 3, and no other type has both bits
		// MPTCP is 262, which Landlock does not see; the old protocols are below 256.
		deny("socket", seccomp.Condition{Argument: 2, Operation: seccomp.GreaterOrEqual, Value: 256}),
	}
}

func deny(call string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: call, Conditions: conditions}
}

// bits holds where any of the bits is set.
func bits(argument uint32, value uint64) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: seccomp.BitsSet, Value: value}
}

func not(argument uint32, value uint64) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: seccomp.NotEqual, Value: value}
}

// denyOtherArchitectures ends a process that makes a system call of another architecture (such as int 0x80 of the 32-bit
// one): the numbers of the deny list mean something else there, and the library would let them pass.
func denyOtherArchitectures(known *arch.Info) error {
	const archOffset = 4 // in struct seccomp_data
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(known.ID), SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, op := range program {
		filter[i] = unix.SockFilter{Code: op.Op, Jt: op.Jt, Jf: op.Jf, K: op.K}
	}
	what := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&what)))
	if failed != 0 {
		return failed
	}
	return nil
}
