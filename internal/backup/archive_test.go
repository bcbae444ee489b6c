package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is what an archive of a test has.
type entry struct {
	name, content string
	header        tar.Header // more fields of the entry
	line          any        // of the manifest; nil is the right one
}

// notListed and onlyListed are lines of entries that lack their line, and of lines
// that lack their entry.
type (
	notListed  struct{}
	onlyListed struct{ line }
)

var firstLine = Info{Format: format, Program: "test", Schema: "1"}

// archiveOf returns an archive with the entries and, unless they have one, a
// manifest that begins with first.
func archiveOf(t testing.TB, first any, entries ...entry) []byte {
	t.Helper()
	var archive, lines bytes.Buffer
	w := writer{tar.NewWriter(&archive), bufio.NewWriter(&lines)}
	errs := []error{w.writeLine(first)}
	for _, e := range entries {
		listed := e.line
		if only, ok := listed.(onlyListed); ok {
			errs = append(errs, w.writeLine(only.line))
			continue
		}
		header := e.header
		header.Name, header.Size, header.Format = e.name, int64(len(e.content)), tar.FormatPAX
		errs = append(errs, w.tar.WriteHeader(&header))
		_, err := io.WriteString(w.tar, e.content)
		errs = append(errs, err)
		if listed == nil {
			listed = line{Name: e.name, Size: header.Size, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(e.content)))}
		}
		if _, skip := listed.(notListed); !skip {
			errs = append(errs, w.writeLine(listed))
		}
	}
	errs = append(errs, w.lines.Flush(), w.close(bytes.NewReader(lines.Bytes())))
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return archive.Bytes()
}

// contentsOf reads a whole archive.
func contentsOf(archive []byte) (map[string]string, error) {
	a, err := Read(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	_, err = a.each(context.Background(), func(header *tar.Header, content io.Reader) error {
		text, err := io.ReadAll(content)
		found[header.Name] = string(text)
		return err
	}, func(key string) error {
		delete(found, mediaPrefix+key)
		return nil
	})
	return found, err
}

var database = entry{name: databaseName, content: "the database"}

// TestArchive_ReturnsFilesWithRows checks that an archive has all files but unreferenced ones.
func TestArchive_ReturnsFilesWithRows(t *testing.T) {
	t.Parallel()
	long := "media/" + strings.Repeat("directory/", 50) + "تصویر.png"
	archive := archiveOf(t, firstLine,
		entry{name: "media/a.png", content: "a"}, entry{name: long, content: strings.Repeat("b", 100_000)},
		entry{name: "media/dropped.png", content: "c"}, database,
		entry{line: onlyListed{line{Name: "media/dropped.png", Unreferenced: true}}})
	found, err := contentsOf(archive)
	want := map[string]string{"media/a.png": "a", long: strings.Repeat("b", 100_000), databaseName: database.content}
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestRead_RejectsDamagedArchives checks the errors of archives that no backup writes.
func TestRead_RejectsDamagedArchives(t *testing.T) {
	t.Parallel()
	image := entry{name: "media/a.png", content: "a"}
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"empty":             {nil, "not a backup, or truncated"},
		"no archive":        {[]byte(strings.Repeat("text ", 1000)), "the backup is damaged: archive/tar: invalid tar header"},
		"no manifest":       {tarOf(t, database), "not a backup, or truncated"},
		"parent directory":  {archiveOf(t, firstLine, entry{name: "../a.png"}), `the backup is damaged: unexpected entry "../a.png"`},
		"parent in media":   {archiveOf(t, firstLine, entry{name: "media/../a.png"}), `the backup is damaged: unexpected entry "media/../a.png"`},
		"absolute path":     {archiveOf(t, firstLine, entry{name: "/media/a.png"}), `the backup is damaged: unexpected entry "/media/a.png"`},
		"reserved name":     {archiveOf(t, firstLine, entry{name: "media/.restore-outgoing/a.png"}), `the backup is damaged: unexpected entry "media/.restore-outgoing/a.png"`},
		"hidden directory":  {archiveOf(t, firstLine, entry{name: "media/a/.b/c.png"}), `the backup is damaged: unexpected entry "media/a/.b/c.png"`},
		"hidden and listed": {archiveOf(t, firstLine, database, entry{line: onlyListed{line{Name: "media/.a/b.png", Unreferenced: true}}}), `the backup is damaged: "media/.a/b.png" is missing`},
		"other name":        {archiveOf(t, firstLine, entry{name: "a.png"}), `the backup is damaged: unexpected entry "a.png"`},
		"media itself":      {archiveOf(t, firstLine, entry{name: "media/."}), `the backup is damaged: unexpected entry "media/."`},
		"symbolic link":     {archiveOf(t, firstLine, entry{name: "media/a.png", header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: "/etc"}}), `the backup is damaged: unexpected entry "media/a.png"`},
		"hard link":         {archiveOf(t, firstLine, entry{name: "media/a.png", header: tar.Header{Typeflag: tar.TypeLink, Linkname: databaseName}}), `the backup is damaged: unexpected entry "media/a.png"`},
		"directory":         {archiveOf(t, firstLine, entry{name: "media/a", header: tar.Header{Typeflag: tar.TypeDir}}), `the backup is damaged: unexpected entry "media/a"`},
		"device":            {archiveOf(t, firstLine, entry{name: "media/a", header: tar.Header{Typeflag: tar.TypeChar}}), `the backup is damaged: unexpected entry "media/a"`},
		"sparse":            {sparse(t, 10_000), "the backup is damaged: it has a sparse entry"},
		"sparse and huge":   {sparse(t, 1<<40), "not a backup, or truncated"},
		"huge size":         {resized(archiveOf(t, firstLine, database), "77777777777"), "not a backup, or truncated"},
		"after manifest":    {append(bytes.TrimRight(archiveOf(t, firstLine, database), "\x00"), padded(tarOf(t, image))...), "the backup is damaged: data after the manifest"},
		"other format":      {archiveOf(t, Info{Format: 2}, database), "the backup has format 2; this version reads format 1"},
		"unknown field":     {archiveOf(t, map[string]int{"format": 1, "x": 1}, database), "the backup is damaged: the manifest has an invalid line"},
		"long line":         {archiveOf(t, Info{Format: 1, Program: strings.Repeat("x", maxLine)}, database), "the backup is damaged: the manifest ends early"},
		"other checksum":    {archiveOf(t, firstLine, entry{name: "media/a.png", content: "a", line: line{Name: "media/a.png", Size: 1, SHA256: strings.Repeat("0", 64)}}), `the backup is damaged: "media/a.png" has a wrong checksum`},
		"other size":        {archiveOf(t, firstLine, entry{name: "media/a.png", content: "a", line: line{Name: "media/a.png", Size: 2}}), `the backup is damaged: the manifest has "media/a.png" of 2 bytes, not "media/a.png" of 1 bytes`},
		"other order":       {archiveOf(t, firstLine, entry{name: "media/a.png", line: line{Name: databaseName}}, database), `the backup is damaged: the manifest has "portfolio.db" of 0 bytes, not "media/a.png" of 0 bytes`},
		"not listed":        {archiveOf(t, firstLine, database, entry{name: "media/a.png", line: notListed{}}), `the backup is damaged: the manifest has "" of 0 bytes, not "media/a.png" of 0 bytes`},
		"only listed":       {archiveOf(t, firstLine, database, entry{line: onlyListed{line{Name: "media/a.png"}}}), `the backup is damaged: "media/a.png" is missing`},
		"dropped outside":   {archiveOf(t, firstLine, database, entry{line: onlyListed{line{Name: "media/../a.png", Unreferenced: true}}}), `the backup is damaged: "media/../a.png" is missing`},
		"dropped database":  {archiveOf(t, firstLine, database, entry{line: onlyListed{line{Name: databaseName, Unreferenced: true}}}), `the backup is damaged: "portfolio.db" is missing`},
		"no database":       {archiveOf(t, firstLine, image), "the backup is damaged: it has 0 databases"},
		"two databases":     {archiveOf(t, firstLine, database, database), "the backup is damaged: it has 2 databases"},
		"manifest replaced": {bytes.Replace(archiveOf(t, firstLine, database), []byte(`"program":"test"`), []byte(`"program":"Test"`), 1), "the backup is damaged: the manifest has a wrong checksum"},
	} {
		if found, err := contentsOf(c.archive); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, %v, want %s", name, found, err, c.want)
		}
	}
}

// tarOf returns a tar file without a manifest.
func tarOf(t testing.TB, e entry) []byte {
	t.Helper()
	before, _, _ := bytes.Cut(archiveOf(t, firstLine, e), []byte(manifestName))
	return padded(before)
}

// padded fills a tar file up to whole blocks.
func padded(archive []byte) []byte {
	return archive[:len(archive)/512*512]
}

// resized sets the size in the first header, which is octal.
func resized(archive []byte, size string) []byte {
	copy(archive[124:136], size)
	fixHeader(archive[:512])
	return archive
}

// fixHeader sets the checksum of a header.
func fixHeader(header []byte) {
	copy(header[148:156], "        ") // counts as spaces
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// sparse returns an archive whose database has a size but no content.
func sparse(t testing.TB, size int64) []byte {
	t.Helper()
	blocks := fmt.Sprintf("1\n%d\n0\n", size) // one of no bytes, at the end
	archive := archiveOf(t, firstLine, entry{name: databaseName, content: blocks + strings.Repeat("\x00", 512-len(blocks)), header: tar.Header{
		PAXRecords: map[string]string{"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.realsize": strconv.FormatInt(size, 10)},
	}}, entry{name: "media/a.png", content: strings.Repeat("a", 20_000)})
	return bytes.ReplaceAll(archive, []byte("XXX.sparse"), []byte("GNU.sparse")) // package tar does not write it
}

// TestRead_DetectsFlippedBits flips bits of an archive. Read must reject the archive or return the
// original content, since some bytes have no meaning.
func TestRead_DetectsFlippedBits(t *testing.T) {
	t.Parallel()
	archive := archiveOf(t, firstLine, entry{name: "media/a.png", content: "a"}, entry{name: "media/b.png", content: strings.Repeat("b", 600)}, database)
	want, err := contentsOf(archive)
	if err != nil {
		t.Fatal(err)
	}
	rejected := 0
	for i := range archive {
		for bit := range 8 {
			archive[i] ^= 1 << bit
			found, err := contentsOf(archive)
			archive[i] ^= 1 << bit
			if err != nil {
				rejected++
			} else if !maps.Equal(found, want) {
				t.Fatalf("bit %d of byte %d: got %v, want %v", bit, i, found, want)
			}
		}
	}
	for size := range archive {
		found, err := contentsOf(archive[:size])
		if err != nil {
			rejected++
		} else if !maps.Equal(found, want) {
			t.Fatalf("the first %d bytes: got %v, want %v", size, found, want)
		}
	}
	t.Logf("rejected %d of %d", rejected, 9*len(archive))
}

// FuzzArchive checks that no archive has files outside of the media directory, or more bytes than it
// takes itself.
func FuzzArchive(f *testing.F) {
	f.Add(archiveOf(f, firstLine, entry{name: "media/a/b.png", content: "a"}, database, entry{name: "media/c.png"},
		entry{line: onlyListed{line{Name: "media/a/b.png", Unreferenced: true}}}))
	f.Add(archiveOf(f, firstLine, entry{name: "media/../a.png"}))
	f.Add(sparse(f, 10_000))
	f.Fuzz(func(t *testing.T, content []byte) {
		content = bytes.Clone(content)
		for block := range slices.Chunk(content, 512) {
			if len(block) == 512 && bytes.HasPrefix(block[257:], []byte("ustar")) {
				fixHeader(block)
			}
		}
		archive, err := Read(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		checkKey := func(key string) error {
			if !filepath.IsLocal(key) || strings.HasPrefix(key, ".restore") {
				t.Errorf("the key %q", key)
			}
			return nil
		}
		size := int64(0)
		_, _ = archive.each(t.Context(), func(header *tar.Header, content io.Reader) error {
			n, err := io.Copy(io.Discard, content)
			size += n
			if key, media := strings.CutPrefix(header.Name, mediaPrefix); media {
				_ = checkKey(key)
			}
			return err
		}, checkKey)
		if size > int64(len(content)) {
			t.Errorf("%d bytes of files in %d bytes", size, len(content))
		}
	})
}
