//go:build !linux

package testenv

import "os/exec"

func dieWithParent(*exec.Cmd) {}

func startLocked(cmd *exec.Cmd) error { return cmd.Start() }
