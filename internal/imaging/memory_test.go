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

	"github.com/bbrks/go-blurhash"
)

// allocates returns how many bytes of memory making the files of a picture
// took in all, and the bound that its header gives.
func allocates(t testing.TB, content []byte) (took, bound int64, err error) {
	t.Helper()
	pictures := NewPictures(nil, math.MaxInt64, math.MaxInt64)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read, err := pictures.read(bytes.NewReader(content))
	if err == nil {
		_, err = read.render()
	}
	runtime.ReadMemStats(&after)
	if read != nil {
		bound = read.memory()
	}
	return int64(after.TotalAlloc - before.TotalAlloc), bound, err
}

func encodePNG(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// TestMemory: what is allocated is bounded by what the header says, whatever
// the shape of the picture.
func TestMemory(t *testing.T) {
	palette := color.Palette{color.Black, color.White}
	for _, size := range []image.Point{{1, 1}, {maxSide, 1}, {1, maxSide}, {maxSide, 41}, {41, maxSide}, {3239, 3239}, {4000, 1500}} {
		rect := image.Rectangle{Max: size}
		var encodedJPEG, grey, encodedGIF bytes.Buffer
		if err := errors.Join(
			jpeg.Encode(&encodedJPEG, image.NewYCbCr(rect, image.YCbCrSubsampleRatio420), nil),
			jpeg.Encode(&grey, image.NewGray(rect), nil),
			gif.Encode(&encodedGIF, image.NewPaletted(rect, palette), nil),
		); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{
			"palette": encodePNG(t, image.NewPaletted(rect, palette)),
			"RGBA":    encodePNG(t, image.NewNRGBA(rect)),
			"16 bits": encodePNG(t, image.NewNRGBA64(rect)),
			"grey":    grey.Bytes(),
			"JPEG":    encodedJPEG.Bytes(),
			"GIF":     encodedGIF.Bytes(),
		} {
			took, bound, err := allocates(t, content)
			t.Logf("%v %s: took %d of %d", size, name, took, bound)
			if err != nil || took > bound {
				t.Errorf("%v %s: took %d bytes, more than %d; %v", size, name, took, bound, err)
			}
		}
	}
	files, _ := filepath.Glob("testdata/pictures/*")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		took, bound, err := allocates(t, content)
		t.Logf("%s: took %d of %d", file, took, bound)
		if err == nil && took > bound {
			t.Errorf("%s: took %d bytes, more than %d", file, took, bound)
		}
	}
}

// TestBombs: what a few bytes would make large is refused by its header.
func TestBombs(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		want          error
	}{
		"one row":  {50_000_000, 1, errSide},
		"few rows": {8_000_000, 6, errSide},
		"a column": {1, 50_000_000, errSide},
		"a row":    {maxSide + 1, 1, errSide},
		"a square": {7072, 7072, errPixels},
	} {
		content := encodePNG(t, image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.Black}))
		copy(content[16:], []byte{byte(c.width >> 24), byte(c.width >> 16), byte(c.width >> 8), byte(c.width), byte(c.height >> 24), byte(c.height >> 16), byte(c.height >> 8), byte(c.height)})
		took, _, err := allocates(t, content)
		if !errors.Is(err, c.want) || took > 1<<20 {
			t.Errorf("%s: %v, took %d bytes", name, err, took)
		}
	}
}

// TestMemoryIsRefused says what a picture would take.
func TestMemoryIsRefused(t *testing.T) {
	content := encodePNG(t, image.NewNRGBA(image.Rect(0, 0, 1000, 1000)))
	_, err := NewPictures(nil, math.MaxInt64, 10<<20).read(bytes.NewReader(content))
	if want := InputError("takes 20 MiB of memory to decode, of which there are 10"); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

// TestProgressive: a progressive JPEG keeps its coefficients until the last scan.
func TestProgressive(t *testing.T) {
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
		h, err := jpegHeader(frame(c.sampling), c.progressive)
		if err != nil || h.check() != nil {
			t.Fatal(err, h.check())
		}
		if got := h.memory(false) / 1e6; got < c.megabytes-5 || got > c.megabytes+5 {
			t.Errorf("%s: %d MB, want %d", c.name, got, c.megabytes)
		}
	}
}

// FuzzHeader makes files of any header: what is accepted takes no more than the
// header says.
func FuzzHeader(f *testing.F) {
	files, _ := filepath.Glob("testdata/pictures/*")
	var starts [][]byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		starts = append(starts, content)
	}
	f.Add(uint8(0), uint16(20), []byte("\x00\x10\x00\x00"))
	f.Add(uint8(3), uint16(16), []byte("\x02\xfa\xf0\x80\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, kind uint8, at uint16, change []byte) {
		content := slices.Clone(starts[int(kind)%len(starts)])
		if int(at) >= len(content) {
			return
		}
		copy(content[at:], change)
		took, bound, err := allocates(t, content)
		if _, told := errors.AsType[InputError](err); err != nil && !told {
			t.Fatal(err)
		}
		if took > max(bound, 4<<20) {
			t.Errorf("took %d bytes, more than %d; %v", took, bound, err)
		}
	})
}

// TestBlurOfNarrowPictures: a BlurHash has no more components than the picture
// has pixels, or they would be of nothing.
func TestBlurOfNarrowPictures(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 40}, {40, 1}, {2, 40}, {40, 2}} {
		picture := image.NewNRGBA(image.Rectangle{Max: size})
		for i := range picture.Pix {
			picture.Pix[i] = 255
		}
		for y := range size.Y { // from black to red
			for x := range size.X {
				share := float64(x+y) / float64(max(size.X+size.Y-2, 1))
				picture.SetNRGBA(x, y, color.NRGBA{uint8(255 * share), 0, 0, 255})
			}
		}
		var made rendered
		if err := made.renderThumbnails(picture, 1, colours{}); err != nil {
			t.Fatal(err)
		}
		decoded, err := blurhash.Decode(made.picture.Placeholder, size.X, size.Y, 1)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for y := range size.Y {
			for x := range size.X {
				r, _, _, _ := decoded.At(x, y).RGBA()
				difference := float64(r>>8) - float64(picture.NRGBAAt(x, y).R)
				sum += difference * difference
			}
		}
		if off := math.Sqrt(sum/float64(size.X*size.Y)) / 255; off > 0.05 {
			t.Errorf("%v: the blur %s is %.0f %% off", size, made.picture.Placeholder, 100*off)
		}
	}
}
