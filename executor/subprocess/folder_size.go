package subprocess

import (
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
			if size := f.size(int64(limit)); size > int64(limit) {
				over <- &exceeded{limitFolder, "more", limit.String()}
				return
			}
		}
	}()
	return watched
}

// size is what the folder takes on the disk, counted until it is above the limit. What cannot be looked into is not counted.
func (f *folder) size(limit int64) int64 {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return 0
	}
	defer root.Close()
	var total int64
	_ = fs.WalkDir(root.FS(), ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil // it has gone
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			total += max(stat.Blocks*512, 1) // a file without content takes some, too
		}
		if total > limit {
			return fs.SkipAll
		}
		return nil
	})
	return total
}
