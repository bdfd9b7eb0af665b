package config

import "github.com/systole-run/systole/internal/bytesize"

// Size is a number of bytes. It is written as a number, or with a unit as in 64KiB or 16MiB.
type Size = bytesize.Size

const sizeAllowed = bytesize.Allowed
