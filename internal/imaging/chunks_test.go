package imaging_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"portfolio/internal/imaging"
)

// TestRead_HoldsNoNamesOfChunks reads a PNG with a million chunks of different names.
// A map of the names takes more than ten times the size of the file.
func TestRead_HoldsNoNamesOfChunks(t *testing.T) {
	scene := readFile(t, "scene.png")
	const end, count = 8 + 25, 1_000_000
	content := bytes.Clone(scene[:end])
	for i := range count {
		content = appendChunk(content, string(binary.BigEndian.AppendUint32(nil, uint32(i)|0x61000000)), "")
	}
	content = append(content, scene[end:]...)
	before := allocated()
	if _, err := imaging.Read(bytes.NewReader(content), maxSize); err != nil {
		t.Fatal(err)
	}
	if got, limit := allocated()-before, uint64(4*len(content)); got > limit {
		t.Errorf("allocated %d bytes for a file of %d, want at most %d", got, len(content), limit)
	}
}
