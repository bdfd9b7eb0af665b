package subprocess

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// removeTries is how often a folder is emptied in which a process that was just killed may still have written.
const removeTries = 3

// readAtOnce is how many entries of a folder are read at a time.
const readAtOnce = 1000

// removeFolder deletes the run folder name in dir, whatever the modes of the folders in it are and however deep they are in
// one another. Links are deleted, never followed.
func removeFolder(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for range removeTries {
		err = (&remover{root: root}).remove(name)
		if !errors.Is(err, syscall.ENOTEMPTY) {
			break
		}
	}
	return err
}

// remover deletes a folder and all that is in it. A folder that is not empty is moved to a place of the worker's own before it is
// looked into: so no depth takes more than a few descriptors, or longer than its number of folders, and what was put in its place,
// such as a link, is not taken for it.
type remover struct {
	root *os.Root
	pit  string   // where folders are moved to, a run folder to whoever finds it; empty before there is one
	next []string // folders in it that are to be deleted
}

func (r *remover) remove(name string) error {
	if gone(r.root.Remove(name)) == nil {
		return nil
	}
	problems := r.move(name)
	for len(r.next) > 0 {
		last := len(r.next) - 1
		folder := r.next[last]
		r.next = r.next[:last]
		err := r.clear(folder)
		if err == nil {
			err = gone(r.root.Remove(folder))
		}
		problems = errors.Join(problems, err)
	}
	if r.pit != "" {
		if err := gone(r.root.Remove(r.pit)); problems == nil {
			problems = err
		}
	}
	return problems
}

// clear takes everything out of a folder that has been moved.
func (r *remover) clear(folder string) error {
	if err := r.root.Chmod(folder, 0o700); err != nil {
		return gone(err)
	}
	for {
		entries, err := r.read(folder)
		if err != nil {
			return err
		}
		var problems error
		fewer := false
		for _, entry := range entries {
			inside := path.Join(folder, entry.Name())
			err := gone(r.root.Remove(inside))
			if err != nil && entry.IsDir() {
				err = r.move(inside)
			}
			fewer = fewer || err == nil
			problems = errors.Join(problems, err)
		}
		if !fewer {
			return problems
		}
	}
}

// read gives the first entries of a folder.
func (r *remover) read(folder string) ([]fs.DirEntry, error) {
	file, err := r.root.Open(folder)
	if err != nil {
		return nil, gone(err)
	}
	defer file.Close()
	entries, err := file.ReadDir(readAtOnce)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}

// move takes a folder into the pit, to be deleted later.
func (r *remover) move(folder string) error {
	if r.pit == "" {
		pit := folderPrefix + rand.Text()
		if err := r.root.Mkdir(pit, 0o700); err != nil {
			return err
		}
		r.pit = pit
	}
	to := path.Join(r.pit, rand.Text())
	err := r.root.Rename(folder, to)
	if errors.Is(err, fs.ErrPermission) { // an ordinary user may not move a folder that they may not write to
		err = errors.Join(r.root.Chmod(folder, 0o700), r.root.Rename(folder, to))
	}
	if err != nil {
		return gone(err)
	}
	found, err := r.root.Lstat(to)
	if err != nil {
		return err
	}
	if !found.IsDir() {
		return r.root.Remove(to)
	}
	r.next = append(r.next, to)
	return nil
}

// gone leaves out that there is no such file any more.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
