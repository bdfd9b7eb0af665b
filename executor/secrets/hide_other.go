//go:build !linux

package secrets

import (
	"errors"
	"fmt"
)

// HideProcess is not to be had here: commands that run as the same user can read this process's environment.
func HideProcess() error {
	return fmt.Errorf("hide environment and memory: %w on this platform", errors.ErrUnsupported)
}
