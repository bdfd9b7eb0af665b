package main

import "golang.org/x/sys/unix"

// hideProcess keeps other processes of the same user, such as the commands of flows, from this one's environment, memory
// and descriptors, where the secrets of the settings are. Root can still look, but for commands in a sandbox. It also means
// that a crash leaves no core dump.
func hideProcess() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
