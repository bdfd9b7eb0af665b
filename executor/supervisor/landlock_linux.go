package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Versions of Landlock that something came with.
const (
	landlockTruncate = 3 // without it, files outside could be emptied
	landlockPorts    = 4
	landlockDevices  = 5
	landlockScopes   = 6 // signals, abstract sockets
)

// What may be done with files.
const (
	fsRead = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fsAll3 = 1<<15 - 1 // all that version 3 knows
	fsFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV // the part that makes sense for what is no folder
)

// systemPaths may be read and executed under every sandbox: programs and their libraries, without which nothing starts. No data
// of anyone's is in them.
var systemPaths = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
}

// devicePaths may be read and written.
var devicePaths = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// landlockVersion is 0 where the kernel has none.
func landlockVersion() int {
	version, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if failed != 0 {
		return 0
	}
	return int(version)
}

// restrictFiles leaves the calling thread the files and TCP ports that the sandbox lists. It uses the system calls
// directly: libraries restrict all threads of a process.
func restrictFiles(box Sandbox) (applied string, err error) {
	version := landlockVersion()
	if version < landlockTruncate {
		return "", fmt.Errorf("found version %d, needed is %d or above (Linux 6.2)", version, landlockTruncate)
	}
	if len(box.Ports) > 0 && version < landlockPorts {
		return "", fmt.Errorf("found version %d, needed for ports is %d or above (Linux 6.7)", version, landlockPorts)
	}
	rules, handled, err := newRules(version)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(rules) }()
	for _, group := range []struct {
		paths    []string
		access   uint64
		optional bool
	}{
		{systemPaths, fsRead, true},
		{devicePaths, unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE, true},
		{box.Read, fsRead, false},
		{box.Write, handled, false},
	} {
		for _, path := range group.paths {
			err := allowPath(rules, path, group.access)
			if err != nil && !(group.optional && errors.Is(err, fs.ErrNotExist)) {
				return "", err
			}
		}
	}
	for _, port := range box.Ports {
		if err := allowPort(rules, port); err != nil {
			return "", err
		}
	}
	_, _, failed := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules), 0, 0)
	if failed != 0 {
		return "", os.NewSyscallError("landlock_restrict_self", failed)
	}
	return fmt.Sprintf("landlock %d", version), nil
}

// newRules makes a set of rules that forbids all that this version can.
func newRules(version int) (rules int, handled uint64, err error) {
	attributes := unix.LandlockRulesetAttr{Handled_access_fs: fsAll3}
	size := unsafe.Offsetof(attributes.Handled_access_net)
	if version >= landlockPorts {
		attributes.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size = unsafe.Offsetof(attributes.Scoped)
	}
	if version >= landlockDevices {
		attributes.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= landlockScopes {
		attributes.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
		size = unsafe.Offsetof(attributes.Quiet_access_fs)
	}
	fd, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attributes)), size, 0)
	if failed != 0 {
		return 0, 0, os.NewSyscallError("landlock_create_ruleset", failed)
	}
	unix.CloseOnExec(int(fd))
	return int(fd), attributes.Handled_access_fs, nil
}

// allowPath allows access to a file, or to all that is beneath a folder.
func allowPath(rules int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var found unix.Stat_t
	if err := unix.Fstat(fd, &found); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if found.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= fsFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, failed := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if failed != 0 {
		return &fs.PathError{Op: "landlock_add_rule", Path: path, Err: failed}
	}
	return nil
}

// landlockRuleNetPort and netPort are the kernel's LANDLOCK_RULE_NET_PORT and struct landlock_net_port_attr.
const landlockRuleNetPort = 2

type netPort struct{ access, port uint64 }

// allowPort allows to connect to a TCP port of any address.
func allowPort(rules int, port uint16) error {
	rule := netPort{access: unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, port: uint64(port)}
	_, _, failed := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), landlockRuleNetPort,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if failed != 0 {
		return fmt.Errorf("landlock_add_rule for port %d: %w", port, failed)
	}
	return nil
}
