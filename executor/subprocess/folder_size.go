package subprocess

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/systole-run/systole/store"
)

// sizeEvery is how often the size of a run folder is looked at.
const sizeEvery = 250 * time.Millisecond

// watch holds the folder against a limit until the run has ended, and once more then. The answer is closed when it is done.
func (f *folder) watch(limit store.Size, ended <-chan struct{}, over chan<- *exceeded) <-chan struct{} {
	watched := make(chan struct{})
	if limit == 0 {
		close(watched)
		return watched
	}
	go func() {
		defer close(watched)
		look := time.NewTicker(sizeEvery)
		defer look.Stop()
		for last := false; !last; {
			select {
			case <-look.C:
			case <-ended:
				last = true
			}
			if found := f.tooMuch(int64(limit)); found != "" {
				over <- &exceeded{limitFolder, found, limit.String()}
				return
			}
		}
	}()
	return watched
}

// maxDepth is how deep folders may be in one another: looking into them takes a descriptor for each.
const maxDepth = 100

// tooMuch says what of the folder is beyond the limit, or gives nothing.
func (f *folder) tooMuch(limit int64) (found string) {
	root, err := f.open()
	if err != nil {
		return ""
	}
	m := &measure{left: limit}
	m.add(root, maxDepth)
	switch {
	case m.deep:
		return fmt.Sprintf("more than %d folders in one another", maxDepth)
	case m.left < 0:
		return "more"
	}
	return ""
}

// measure is what is left of a limit, in bytes on the disk.
type measure struct {
	left int64
	deep bool
}

// add counts what is in a folder, which it closes, until the limit is passed.
func (m *measure) add(dir *os.Root, depth int) {
	defer dir.Close()
	list, err := dir.Open(".")
	if err != nil {
		return
	}
	var folders []string
	for m.left >= 0 {
		entries, err := list.ReadDir(readAtOnce)
		for _, entry := range entries {
			info, err := dir.Lstat(entry.Name())
			if err != nil {
				continue // it has gone
			}
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				m.left -= max(stat.Blocks*512, 512) // a file without content takes some, too
			}
			if info.IsDir() {
				folders = append(folders, entry.Name())
			}
		}
		if err != nil {
			break
		}
	}
	_ = list.Close() // it was read only
	for _, name := range folders {
		if m.deep = m.deep || depth == 0; m.deep || m.left < 0 {
			return
		}
		inner, err := dir.OpenRoot(name)
		if errors.Is(err, fs.ErrPermission) { // an ordinary user may shut even a folder of their own
			_ = dir.Chmod(name, 0o700)
			inner, err = dir.OpenRoot(name)
		}
		if err == nil {
			m.add(inner, depth-1)
		}
	}
}
