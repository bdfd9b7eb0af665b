package supervisor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// namespaces are those that a command starts in, as flags of clone. Only root can have others without a user namespace; a command
// that runs as another user cannot have the latter, in which that user does not exist. One for IPC has shared memory and queues
// end with the run, which else stay for ever.
func namespaces(box Sandbox, noUserNS bool) uintptr {
	if box.Level != LevelStrict {
		return 0
	}
	flags := uintptr(unix.CLONE_NEWIPC)
	if len(box.Ports) == 0 {
		flags |= unix.CLONE_NEWNET
	}
	switch {
	case box.User == nil && !noUserNS:
		flags |= unix.CLONE_NEWUSER
	case !capable(unix.CAP_SYS_ADMIN):
		flags = 0
	}
	return flags
}

// capable reports whether this thread has a capability, or may take it up.
func capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Permitted&(1<<(capability%32)) != 0
}

// confine takes from the calling thread, and so from what it forks, what the sandbox forbids. There is no way back. It
// gives what was applied, the namespaces to come included.
func (s *server) confine(box Sandbox, flags uintptr) (applied []string, err error) {
	if box.Level == LevelNone {
		// The umask is the process's, and the sandbox's, until the thread has one of its own. Containers do not let it.
		if unix.Unshare(unix.CLONE_FS) != nil {
			return []string{"limits", "umask 077"}, nil
		}
		unix.Umask(s.umask)
		return []string{"limits"}, nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, &SandboxError{"no_new_privs", err}
	}
	applied = []string{"limits", "no_new_privs", "umask 077"}
	if box.User != nil {
		applied = append(applied, fmt.Sprintf("user %d", *box.User))
	}
	if box.Level != LevelStrict {
		return append(applied, "fewer capabilities"), dropCapabilities(hostCapabilities()...)
	}
	if err := dropCapabilities(allCapabilities()...); err != nil {
		return nil, err
	}
	landlock, err := restrictFiles(box)
	if err != nil {
		return nil, &SandboxError{"landlock", err}
	}
	if err := denySystemCalls(box, flags); err != nil {
		return nil, &SandboxError{"seccomp", err}
	}
	applied = append(applied, "no capabilities", landlock, "seccomp")
	if flags&unix.CLONE_NEWUSER != 0 {
		applied = append(applied, "user namespace")
	}
	if flags&unix.CLONE_NEWNET != 0 {
		applied = append(applied, "network namespace")
	}
	if flags&unix.CLONE_NEWIPC != 0 {
		applied = append(applied, "IPC namespace")
	}
	return applied, nil
}

// hostCapabilities are those with which a command that root runs could look into the worker (newer kernels let CAP_PERFMON do
// that, too), raise its limits, take over the kernel, or leave files that nobody can delete. What is left are those over files,
// networks and ordinary processes.
func hostCapabilities() []int {
	return []int{
		unix.CAP_SYS_PTRACE, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO,
		unix.CAP_SYS_BOOT, unix.CAP_BPF, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE, unix.CAP_LINUX_IMMUTABLE,
	}
}

func allCapabilities() []int {
	all := make([]int, unix.CAP_LAST_CAP+1)
	for i := range all {
		all[i] = i
	}
	return all
}

// dropCapabilities takes capabilities from every program that is executed from here on. Those that this thread does not have itself
// cannot be gained any more: no_new_privs is set.
func dropCapabilities(capabilities ...int) error {
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return &SandboxError{"ambient capabilities", err}
	}
	for _, capability := range capabilities {
		if !capable(capability) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: this kernel does not know it
			return &SandboxError{"capabilities (CAP_SETPCAP is needed to take them away)", err}
		}
	}
	return nil
}
