// Package backup writes an SQLite database and the files of its rows into an
// archive, and restores them from the archive.
//
// An archive is a tar file of the files below media/, the database, and a manifest, which is last.
// The manifest has one JSON value per line:
//   - Info
//   - each previous entry in order, with its size and SHA-256
//   - the files that were deleted during the backup
//   - the SHA-256 of the previous lines
package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"time"

	"portfolio/internal/storage"
)

const (
	mediaPrefix  = "media/"
	databaseName = "portfolio.db"
	manifestName = "manifest.jsonl"

	format  = 1
	maxLine = 64 << 10 // bytes of a line of the manifest
)

// Info describes the origin of a backup.
type Info struct {
	Format  int       `json:"format"`
	Program string    `json:"program"` // name and version of the program that wrote the backup
	Schema  string    `json:"schema"`  // the last migration of the database
	Time    time.Time `json:"time"`    // start of the backup, which has all earlier changes
}

// line is a line of the manifest after the first.
type line struct {
	Name     string `json:"name,omitempty"`
	Size     int64  `json:"size,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	Manifest string `json:"manifest,omitempty"` // SHA-256 of the previous lines; on the last line only

	Unreferenced bool `json:"dropped,omitempty"` // whether no row refers to the file
}

// writer writes an archive.
type writer struct {
	tar   *tar.Writer
	lines *bufio.Writer // of the manifest, except for the last
}

func (w *writer) writeLine(value any) error {
	encoded, err := json.Marshal(value)
	if err == nil {
		_, err = w.lines.Write(append(encoded, '\n'))
	}
	return err
}

func (w *writer) writeHeader(name string, size int64, modified time.Time) error {
	return w.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: modified, Format: tar.FormatPAX,
	})
}

// add copies a file into the archive.
func (w *writer) add(ctx context.Context, name string, file fs.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := w.writeHeader(name, info.Size(), info.ModTime()); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, sum), reader{ctx, file}, info.Size()); errors.Is(err, io.EOF) {
		return fmt.Errorf("%s has shrunk during the backup", name)
	} else if err != nil {
		return err
	}
	return w.writeLine(line{Name: name, Size: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))})
}

// close adds the manifest, whose lines are in the file lines, and closes the archive.
func (w *writer) close(lines io.ReadSeeker) error {
	if err := w.lines.Flush(); err != nil {
		return err
	}
	size, err := lines.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := lines.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha256.New()
	last := func() []byte { return fmt.Appendf(nil, "{\"manifest\":\"%x\"}\n", sum.Sum(nil)) }
	if err := w.writeHeader(manifestName, size+int64(len(last())), time.Now()); err != nil {
		return err
	}
	if _, err := io.Copy(io.MultiWriter(w.tar, sum), lines); err != nil {
		return err
	}
	if _, err := w.tar.Write(last()); err != nil {
		return err
	}
	return w.tar.Close()
}

// reader reads until ctx is canceled.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// Archive is an archive to read.
type Archive struct {
	Info     Info
	content  *io.SectionReader
	manifest *io.SectionReader
}

// damaged returns the error of a damaged archive.
func damaged(reason string, args ...any) error {
	return errors.New("the backup is damaged: " + fmt.Sprintf(reason, args...))
}

var errTruncated = errors.New("not a backup, or truncated")

// Read reads the names of all entries, and the first line of the manifest. It rejects entries
// that do not belong in a backup.
func Read(content io.ReaderAt, size int64) (*Archive, error) {
	a := &Archive{content: io.NewSectionReader(content, 0, size)}
	entries := tar.NewReader(a.content)
	entryEnd := int64(0)
	for a.manifest == nil {
		header, err := nextEntry(entries)
		if err != nil {
			return nil, err
		}
		start, err := a.content.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if start < entryEnd {
			return nil, damaged("it has a sparse entry")
		}
		if header.Size > size-start {
			return nil, errTruncated
		}
		entryEnd = start + header.Size
		if header.Name == manifestName {
			a.manifest = io.NewSectionReader(content, start, header.Size)
		}
	}
	if _, err := entries.Next(); !errors.Is(err, io.EOF) {
		return nil, damaged("data after the manifest")
	}
	var err error
	_, a.Info, err = a.openManifest()
	return a, err
}

// nextEntry returns the next entry. It rejects entries that do not belong in a backup.
func nextEntry(entries *tar.Reader) (*tar.Header, error) {
	header, err := entries.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errTruncated
	case err != nil:
		return nil, damaged("%v", err)
	}
	key, inMedia := strings.CutPrefix(header.Name, mediaPrefix)
	if header.Typeflag != tar.TypeReg || header.Name != databaseName && header.Name != manifestName && (!inMedia || !storage.ValidKey(key)) {
		return nil, damaged("unexpected entry %.100q", header.Name)
	}
	return header, nil
}

// manifest reads the lines of a manifest.
type manifest struct {
	lines *bufio.Scanner
	sum   hash.Hash // of the previous lines
}

// openManifest returns a reader of the manifest after its first line, and the first line.
func (a *Archive) openManifest() (*manifest, Info, error) {
	if _, err := a.manifest.Seek(0, io.SeekStart); err != nil {
		return nil, Info{}, err
	}
	m := &manifest{bufio.NewScanner(a.manifest), sha256.New()}
	m.lines.Buffer(nil, maxLine)
	var info Info
	if err := m.decode(&info); err != nil {
		return nil, info, err
	}
	if info.Format != format {
		return nil, info, fmt.Errorf("the backup has format %d; this version reads format %d", info.Format, format)
	}
	return m, info, nil
}

// decode decodes the next line of the manifest.
func (m *manifest) decode(value any) error {
	if !m.lines.Scan() {
		if err := m.lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return err
		}
		return damaged("the manifest ends early")
	}
	decoder := json.NewDecoder(bytes.NewReader(m.lines.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return damaged("the manifest has an invalid line")
	}
	return nil
}

// next returns the next line. The error is io.EOF at the end of a manifest with the correct
// checksum.
func (m *manifest) next() (l line, err error) {
	m.sum.Write(m.lines.Bytes())
	m.sum.Write([]byte{'\n'})
	if err := m.decode(&l); err != nil {
		return l, err
	}
	if l.Name != "" {
		return l, nil
	}
	if l.Manifest != hex.EncodeToString(m.sum.Sum(nil)) || m.lines.Scan() {
		return l, damaged("the manifest has a wrong checksum")
	}
	return l, io.EOF
}

// Contents counts the files of an archive.
type Contents struct {
	Files int64 // of images
	Bytes int64 // of the files and the database
}

// Check compares the checksum of every entry, and counts the contents.
func (a *Archive) Check(ctx context.Context) (Contents, error) {
	return a.each(ctx,
		func(*tar.Header, io.Reader) error { return nil },
		func(string) error { return nil })
}

// each calls add with every entry but the manifest, then remove with the key of every unreferenced
// file. It compares the checksum of each entry after add.
func (a *Archive) each(ctx context.Context, add func(*tar.Header, io.Reader) error, remove func(key string) error) (contents Contents, err error) {
	manifest, _, err := a.openManifest()
	if err != nil {
		return contents, err
	}
	if _, err := a.content.Seek(0, io.SeekStart); err != nil {
		return contents, err
	}
	entries, databases := tar.NewReader(a.content), 0
	for {
		header, err := nextEntry(entries)
		if err != nil {
			return contents, err
		}
		if header.Name == manifestName {
			break
		}
		if err := manifest.compare(header, reader{ctx, entries}, add); err != nil {
			return contents, err
		}
		contents.Bytes += header.Size
		if header.Name == databaseName {
			databases++
		} else {
			contents.Files++
		}
	}
	unreferenced, err := manifest.readUnreferenced(remove)
	if err == nil && databases != 1 {
		err = damaged("it has %d databases", databases)
	}
	contents.Files -= unreferenced
	return contents, err
}

// readUnreferenced reads the rest of a manifest. It calls remove with the key of each line, and
// counts the lines.
func (m *manifest) readUnreferenced(remove func(key string) error) (count int64, err error) {
	for {
		next, err := m.next()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		key, inMedia := strings.CutPrefix(next.Name, mediaPrefix)
		if !next.Unreferenced || !inMedia || !storage.ValidKey(key) {
			return count, damaged("%.100q is missing", next.Name)
		}
		count++
		if err := remove(key); err != nil {
			return count, err
		}
	}
}

// compare calls add with an entry and compares it with the next line.
func (m *manifest) compare(header *tar.Header, content io.Reader, add func(*tar.Header, io.Reader) error) error {
	want, err := m.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if want.Name != header.Name || want.Size != header.Size || want.Unreferenced {
		return damaged("the manifest has %.100q of %d bytes, not %.100q of %d bytes", want.Name, want.Size, header.Name, header.Size)
	}
	sum := sha256.New()
	content = io.TeeReader(content, sum)
	if err := add(header, content); err != nil {
		return err
	}
	switch _, err := io.Copy(io.Discard, content); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	case err != nil:
		return err
	case want.SHA256 != hex.EncodeToString(sum.Sum(nil)):
		return damaged("%.100q has a wrong checksum", header.Name)
	}
	return nil
}
