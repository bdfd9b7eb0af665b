//go:build compose

package deploytest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// layer writes a root file system as a tar stream. The first error stays and is told by Close.
type layer struct {
	tar  *tar.Writer
	seen map[string]bool
	err  error
}

func newLayer(w io.Writer) *layer {
	return &layer{tar: tar.NewWriter(w), seen: map[string]bool{}}
}

func (l *layer) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// Close ends the stream and tells what went wrong, if anything did.
func (l *layer) Close() error {
	return errors.Join(l.err, l.tar.Close())
}

// dir adds a folder. Folders above it need no mention.
func (l *layer) dir(path string, mode int64, uid, gid int) {
	l.header(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode, Uid: uid, Gid: gid})
}

// link adds a symbolic link.
func (l *layer) link(path, target string) {
	l.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777})
}

// text adds a file with this content.
func (l *layer) text(path, content string) {
	if l.header(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content))}) {
		_, err := io.WriteString(l.tar, content)
		l.fail(err)
	}
}

// file adds the file that is at from on this machine, links followed.
func (l *layer) file(path, from string) {
	f, err := os.Open(from)
	if err != nil {
		l.fail(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		l.fail(err)
		return
	}
	if l.header(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: int64(info.Mode().Perm()), Size: info.Size()}) {
		_, err = io.Copy(l.tar, f)
		l.fail(err)
	}
}

// tree adds the folder from with all that is in it, less the entries whose path below it skip matches.
func (l *layer) tree(path, from string, skip *regexp.Regexp) {
	l.fail(filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, name)
		switch {
		case err != nil:
			return err
		case skip != nil && skip.MatchString(below):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.IsDir():
			l.dir(filepath.Join(path, below), 0o755, 0, 0)
		case entry.Type().IsRegular():
			l.file(filepath.Join(path, below), name)
		}
		return l.err
	}))
}

// program adds a program of this machine, by its name or path, to /bin, with the shared libraries that it is linked to.
func (l *layer) program(ctx context.Context, name string) {
	from, err := exec.LookPath(name)
	if err != nil {
		l.fail(fmt.Errorf("%w (make e2e installs it)", err))
		return
	}
	l.file("bin/"+filepath.Base(from), from)
	// For a static program ldd fails and says so on standard error.
	out, _ := exec.CommandContext(ctx, "ldd", from).Output()
	for _, library := range libraryPattern.FindAllString(string(out), -1) {
		l.file(strings.TrimPrefix(library, "/"), library)
	}
}

var libraryPattern = regexp.MustCompile(`/\S+\.so\S*`)

// busybox adds the static busybox under the names of these of its programs.
func (l *layer) busybox(applets ...string) {
	from := "/bin/busybox"
	if _, err := os.Stat(from); err != nil {
		from = "/usr/bin/busybox"
	}
	l.file("bin/busybox", from)
	for _, applet := range applets {
		l.link("bin/"+applet, "busybox")
	}
}

// header reports whether the entry's content is to follow: not after an error, and not for a path that is there.
func (l *layer) header(h *tar.Header) bool {
	h.Name = strings.TrimPrefix(h.Name, "/")
	if l.err != nil || l.seen[h.Name] {
		return false
	}
	l.seen[h.Name] = true
	l.fail(l.tar.WriteHeader(h))
	return l.err == nil
}
