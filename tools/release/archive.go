package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"slices"
	"time"
)

// entry is one file of an archive.
type entry struct {
	name string
	mode int64
	data []byte
}

// archive packs the files into one folder of that name. The same files and time give the same bytes.
func archive(folder string, at time.Time, files []entry) ([]byte, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	var packed bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // with no name and no time in its header
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	header := func(name string, kind byte, mode, size int64) error {
		return w.WriteHeader(&tar.Header{
			Typeflag: kind, Name: folder + "/" + name, Mode: mode, Size: size, ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		})
	}
	if err := header("", tar.TypeDir, 0o755, 0); err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := header(file.name, tar.TypeReg, file.mode, int64(len(file.data))); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
