package imaging

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"
)

// FuzzImage checks that any file is rejected with an InputError, or that its
// stripped bytes are an image of the same size.
func FuzzImage(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		info, err := readInfo(bytes.NewReader(content))
		if err == nil {
			err = info.check()
		}
		if rejected(t, err) || info.width > 1000 || info.height > 1000 { // valid, but slow
			return
		}
		length := len(content)
		stripped, orientation, err := info.format.strip(content)
		if rejected(t, err) {
			return
		}
		if len(stripped) > length+maxEnd || orientation < 1 || orientation > 8 {
			t.Fatalf("%d bytes of %d, orientation %d", len(stripped), length, orientation)
		}
		colors, err := info.format.readColors(stripped)
		rejected(t, err)
		colors.jpegSegments(true)
		colors.pngChunks(false)
		if _, err := info.decode(stripped); err == nil {
			checkStripped(t, info, stripped)
		}
	})
}

// seeds returns the contents of testdata/images.
func seeds(f *testing.F) (contents [][]byte) {
	files, err := filepath.Glob("testdata/images/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		contents = append(contents, content)
	}
	return contents
}

// rejected reports whether there is an error, which must be an InputError.
func rejected(t *testing.T, err error) bool {
	t.Helper()
	if _, ok := errors.AsType[InputError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return err != nil
}

func checkStripped(t *testing.T, want imageInfo, stripped []byte) {
	t.Helper()
	info, err := readInfo(bytes.NewReader(stripped))
	if err != nil || info.width != want.width || info.height != want.height || info.mode != want.mode {
		t.Fatalf("%+v became %+v: %v", want, info, err)
	}
	if _, _, err := info.format.strip(stripped); err != nil {
		t.Fatal(err)
	}
}

// FuzzThumbnails renders images of any size, color model and orientation.
func FuzzThumbnails(f *testing.F) {
	f.Add(uint16(1), uint16(1), uint8(1), uint8(0))
	f.Add(uint16(5000), uint16(3), uint8(6), uint8(1))
	f.Add(uint16(7), uint16(3000), uint8(8), uint8(2))
	f.Fuzz(func(t *testing.T, width, height uint16, orientation, kind uint8) {
		if width == 0 || height == 0 || int(width)*int(height) > 1<<20 {
			return
		}
		rect := image.Rect(0, 0, int(width), int(height))
		images := []image.Image{image.NewGray(rect), image.NewNRGBA(rect), image.NewCMYK(rect), image.NewPaletted(rect, color.Palette{color.Black})}
		for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
			images = append(images, image.NewYCbCr(rect, ratio))
		}
		thumbnails, _, err := renderThumbnails(images[int(kind)%len(images)], int(orientation)%8+1, colorSpace{})
		if err != nil {
			t.Fatal(err)
		}
		for i, thumbnail := range thumbnails {
			if thumbnail.Width < 1 || thumbnail.Height < 1 || max(thumbnail.Width, thumbnail.Height) > Boxes[i] {
				t.Errorf("%d x %d in a box of %d", thumbnail.Width, thumbnail.Height, Boxes[i])
			}
		}
	})
}
