package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAnArchiveIsTheSameWhateverTheOrderOfItsFiles(t *testing.T) {
	t.Parallel()
	a, b := entry{"a", 0o644, []byte("1")}, entry{"b", 0o755, []byte("2")}
	at := time.Unix(1795388654, 0)
	one, err1 := archive("x", at, []entry{a, b})
	two, err2 := archive("x", at.UTC(), []entry{b, a})
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("archives differ, or %v, %v", err1, err2)
	}
	if other, err := archive("x", at.Add(time.Second), []entry{a, b}); err != nil || bytes.Equal(one, other) {
		t.Errorf("the time makes no difference, or %v", err)
	}
}

func TestWhatIsNotKnownToBePermissiveIsNotPacked(t *testing.T) {
	t.Parallel()
	for _, licence := range []string{
		"", "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007", "Mozilla Public License Version 2.0",
		"GNU AFFERO GENERAL PUBLIC LICENSE", "Business Source License 1.1", "all rights reserved",
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "LICENSE"), []byte(licence), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := readModule("example.com/m", "v1.0.0", folder); err == nil {
			t.Errorf("%q was taken for %v", licence, m.licences)
		}
	}
	both := t.TempDir()
	for name, licence := range map[string]string{"LICENSE": "Apache License Version 2.0", "LICENSE.docs": "GNU GENERAL PUBLIC LICENSE"} {
		if err := os.WriteFile(filepath.Join(both, name), []byte(licence), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := readModule("example.com/m", "v1.0.0", both); err == nil {
		t.Errorf("two licences were taken for %v", m.licences)
	}
	if _, err := readModule("example.com/m", "v1.0.0", t.TempDir()); err == nil {
		t.Error("a module without a licence was taken")
	}
}
