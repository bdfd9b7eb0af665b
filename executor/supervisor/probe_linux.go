package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// Describe says in words what a strict sandbox consists of.
func (h Host) Describe() string {
	text := fmt.Sprintf("sandbox strict: Landlock %d, seccomp", h.Landlock)
	if h.UserNamespaces {
		text += ", user and network namespaces"
	}
	if h.Landlock < landlockPorts {
		text += "; no single ports can be opened (that takes Landlock 4)"
	}
	return text
}

// Probe looks at this host. It starts a process or two, and needs Main.
func Probe() Host {
	host := Host{Landlock: landlockVersion()}
	host.Supervised = canSupervise()
	if groups := newCgroups(rand.Uint64()); groups != nil {
		groups.close()
		host.Cgroups = true
	}
	host.Strict = host.Supervised
	if host.Strict == nil && host.Landlock < landlockTruncate {
		host.Strict = fmt.Errorf("landlock: found version %d, needed is %d or above (Linux 6.2, and landlock among the kernel's LSMs)", host.Landlock, landlockTruncate)
	}
	if host.Strict == nil && !seccomp.Supported() {
		host.Strict = errors.New("seccomp: this kernel does not have it")
	}
	host.UserNamespaces = host.Supervised == nil && tryStart(&syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: syscall.Geteuid(), Size: 1}},
	}) == nil
	return host
}

// canSupervise gives nil where this program can be started again and stopped before its first instruction.
func canSupervise() error {
	if !called.Load() {
		return errNotCalled
	}
	err := tryStart(&syscall.SysProcAttr{Ptrace: true, Setsid: true})
	if err != nil {
		return fmt.Errorf("%w; is kernel.yama.ptrace_scope above 1, or does a seccomp profile forbid ptrace?", err)
	}
	return nil
}

// tryStart starts this program in some way, as one that ends at once.
func tryStart(attributes *syscall.SysProcAttr) error {
	cmd := &exec.Cmd{Path: Program, Args: []string{probeName}, Env: []string{}, SysProcAttr: attributes}
	if !attributes.Ptrace {
		return cmd.Run()
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	_ = cmd.Process.Kill() // it waits before its first instruction
	_ = cmd.Wait()
	return nil
}
