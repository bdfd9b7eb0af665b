// Command release packs binaries for whoever downloads them: for each system an archive with the program, its licence, the
// README and the licences of all that is compiled in, a bill of materials (CycloneDX) beside it, and SHA256SUMS of them all.
//
// The same source and the same Go give the same bytes, wherever and whenever it runs: every time is that of the commit,
// owners and modes are fixed, and what could differ is sorted. Nothing is packed whose licence is not known to be
// permissive.
//
//	go -C tools run ./release -root .. -dist ../dist -version v1.2.3 -time 1795388654 linux/amd64 darwin/arm64
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release is what all archives have in common.
type release struct {
	root    string // of the repository
	dist    string // has os-arch/systole, and gets what is made
	version string
	at      time.Time
}

func main() {
	var r release
	var seconds int64
	flag.StringVar(&r.root, "root", "..", "root of the repository")
	flag.StringVar(&r.dist, "dist", "../dist", "folder with the binaries, as os-arch/systole")
	flag.StringVar(&r.version, "version", "", "version that the binaries say they are")
	flag.Int64Var(&seconds, "time", 0, "time of the commit, in seconds since 1970")
	flag.Parse()
	if r.version == "" || seconds == 0 || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "release: found no -version, no -time or no system, allowed is as in: -version v1.2.3 -time 1795388654 linux/amd64")
		os.Exit(2)
	}
	r.at = time.Unix(seconds, 0).UTC()
	if err := r.run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r release) run(systems []string) error {
	folders, err := moduleFolders(r.root)
	if err != nil {
		return err
	}
	var made []string
	for _, system := range systems {
		files, err := r.pack(system, folders)
		if err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
		made = append(made, files...)
	}
	return r.sums(made)
}

// pack makes the archive and the bill of materials of one system, and gives their names.
func (r release) pack(system string, folders map[string]string) ([]string, error) {
	platform := strings.ReplaceAll(system, "/", "-")
	binary := filepath.Join(r.dist, platform, "systole")
	modules, err := modulesOf(binary, folders)
	if err != nil {
		return nil, err
	}
	name := "systole-" + r.version + "-" + platform
	bill, err := r.bill(binary, system, modules)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(r.dist, name+".cdx.json"), bill, 0o644); err != nil {
		return nil, err
	}
	packed := []entry{{"THIRD_PARTY_LICENSES", 0o644, notices(modules)}}
	for file, path := range map[string]string{"LICENSE": filepath.Join(r.root, "LICENSE"), "README.md": filepath.Join(r.root, "README.md"), "systole": binary} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		packed = append(packed, entry{file, map[bool]int64{true: 0o755, false: 0o644}[file == "systole"], data})
	}
	data, err := archive(name, r.at, packed)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s.tar.gz  %d MiB, %d modules\n", name, len(data)>>20, len(modules))
	return []string{name + ".tar.gz", name + ".cdx.json"}, os.WriteFile(filepath.Join(r.dist, name+".tar.gz"), data, 0o644)
}

// sums writes SHA256SUMS as sha256sum --check reads it.
func (r release) sums(files []string) error {
	var list strings.Builder
	for _, file := range slices.Sorted(slices.Values(files)) {
		data, err := os.ReadFile(filepath.Join(r.dist, file))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(data), file)
	}
	return os.WriteFile(filepath.Join(r.dist, "SHA256SUMS"), []byte(list.String()), 0o644)
}
