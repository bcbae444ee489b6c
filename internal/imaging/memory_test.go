package imaging

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// allocates returns how many bytes rendering an image allocates, and the bound
// that its header gives.
func allocates(content []byte) (took, bound int64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	source, err := Read(bytes.NewReader(content), math.MaxInt64)
	if err == nil {
		_, err = source.Render()
	}
	runtime.ReadMemStats(&after)
	if source != nil {
		bound = source.Memory()
	}
	return int64(after.TotalAlloc - before.TotalAlloc), bound, err
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var encoded bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&encoded, img); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// TestSource_MemoryBoundsAllocations checks that rendering allocates no more than the header
// announces, for images of any shape.
func TestSource_MemoryBoundsAllocations(t *testing.T) {
	palette := color.Palette{color.Black, color.White}
	for _, size := range []image.Point{{1, 1}, {maxSide, 1}, {1, maxSide}, {maxSide, 41}, {41, maxSide}, {3239, 3239}, {4000, 1500}} {
		rect := image.Rectangle{Max: size}
		var encodedJPEG, gray, encodedGIF bytes.Buffer
		if err := errors.Join(
			jpeg.Encode(&encodedJPEG, image.NewYCbCr(rect, image.YCbCrSubsampleRatio420), nil),
			jpeg.Encode(&gray, image.NewGray(rect), nil),
			gif.Encode(&encodedGIF, image.NewPaletted(rect, palette), nil),
		); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{
			"paletted": encodePNG(t, image.NewPaletted(rect, palette)),
			"RGBA":     encodePNG(t, image.NewNRGBA(rect)),
			"16-bit":   encodePNG(t, image.NewNRGBA64(rect)),
			"gray":     gray.Bytes(),
			"JPEG":     encodedJPEG.Bytes(),
			"GIF":      encodedGIF.Bytes(),
		} {
			took, bound, err := allocates(content)
			t.Logf("%v %s: took %d of %d", size, name, took, bound)
			if err != nil || took > bound {
				t.Errorf("%v %s: took %d bytes, more than %d; %v", size, name, took, bound, err)
			}
		}
	}
	files, _ := filepath.Glob("testdata/images/*")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		took, bound, err := allocates(content)
		t.Logf("%s: took %d of %d", file, took, bound)
		if err == nil && took > bound {
			t.Errorf("%s: took %d bytes, more than %d", file, took, bound)
		}
	}
}

// TestRead_RejectsLargeDimensions checks that headers of too large images are rejected.
func TestRead_RejectsLargeDimensions(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		want          error
	}{
		"one row":    {50_000_000, 1, errSide},
		"few rows":   {8_000_000, 6, errSide},
		"one column": {1, 50_000_000, errSide},
		"wide row":   {maxSide + 1, 1, errSide},
		"square":     {7072, 7072, errPixels},
	} {
		content := encodePNG(t, image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.Black}))
		copy(content[16:], []byte{byte(c.width >> 24), byte(c.width >> 16), byte(c.width >> 8), byte(c.width), byte(c.height >> 24), byte(c.height >> 16), byte(c.height >> 8), byte(c.height)})
		took, _, err := allocates(content)
		if !errors.Is(err, c.want) || took > 1<<20 {
			t.Errorf("%s: %v, took %d bytes", name, err, took)
		}
	}
}

// TestSource_MemoryBoundsProgressiveJPEG checks the bound for progressive JPEGs, whose
// coefficients are kept until the last scan.
func TestSource_MemoryBoundsProgressiveJPEG(t *testing.T) {
	const width, height = 8165, 6123 // 50 megapixels
	frame := func(sampling byte) []byte {
		return []byte{8, height >> 8, height & 255, width >> 8, width & 255, 3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1}
	}
	for _, c := range []struct {
		name        string
		sampling    byte
		progressive bool
		megabytes   int64
	}{
		{"baseline 4:2:0", 0x22, false, 100},
		{"baseline 4:4:4", 0x11, false, 175},
		{"progressive 4:2:0", 0x22, true, 402},
		{"progressive 4:4:4", 0x11, true, 779},
	} {
		info, err := parseJPEGFrame(frame(c.sampling), c.progressive)
		if err != nil || info.check() != nil {
			t.Fatal(err, info.check())
		}
		if got := info.memory(false) / 1e6; got < c.megabytes-5 || got > c.megabytes+5 {
			t.Errorf("%s: %d MB, want %d", c.name, got, c.megabytes)
		}
	}
}

// FuzzHeader checks that files with changed headers allocate no more than the
// header allows.
func FuzzHeader(f *testing.F) {
	starts := seeds(f)
	f.Add(uint8(0), uint16(20), []byte("\x00\x10\x00\x00"))
	f.Add(uint8(3), uint16(16), []byte("\x02\xfa\xf0\x80\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, kind uint8, at uint16, change []byte) {
		content := slices.Clone(starts[int(kind)%len(starts)])
		if int(at) >= len(content) {
			return
		}
		copy(content[at:], change)
		took, bound, err := allocates(content)
		rejected(t, err)
		if took > max(bound, 4<<20) {
			t.Errorf("took %d bytes, more than %d; %v", took, bound, err)
		}
	})
}
