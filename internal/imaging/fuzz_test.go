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

// FuzzPicture reads anything as a picture: it is refused as a fault of the
// file, or its stripped bytes are a picture of the same size.
func FuzzPicture(f *testing.F) {
	files, err := filepath.Glob("testdata/pictures/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		h, err := readHeader(bytes.NewReader(content))
		if err == nil {
			err = h.check()
		}
		if err != nil {
			if _, ok := errors.AsType[InputError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		if h.width > 1000 || h.height > 1000 { // legal, but slow to fuzz
			return
		}
		length := len(content)
		stripped, orientation, err := h.format.strip(content)
		if err != nil {
			if _, ok := errors.AsType[InputError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		if len(stripped) > length || orientation < 1 || orientation > 8 {
			t.Fatalf("%d bytes of %d, orientation %d", len(stripped), length, orientation)
		}
		said, err := h.format.colours(stripped)
		if _, ok := errors.AsType[InputError](err); err != nil && !ok {
			t.Fatal(err)
		}
		said.jpegSegments(true)
		said.pngChunks(false)
		if _, err := h.decode(stripped); err != nil {
			return
		}
		again, err := readHeader(bytes.NewReader(stripped))
		if err != nil || again.width != h.width || again.height != h.height || again.mode != h.mode {
			t.Fatalf("%+v became %+v: %v", h, again, err)
		}
		if _, _, err := h.format.strip(stripped); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzThumbnails makes thumbnails of every size and orientation.
func FuzzThumbnails(f *testing.F) {
	f.Add(uint16(1), uint16(1), uint8(1), uint8(0))
	f.Add(uint16(5000), uint16(3), uint8(6), uint8(1))
	f.Add(uint16(7), uint16(3000), uint8(8), uint8(2))
	f.Fuzz(func(t *testing.T, width, height uint16, orientation, kind uint8) {
		if width == 0 || height == 0 || int(width)*int(height) > 1<<20 {
			return
		}
		rect := image.Rect(0, 0, int(width), int(height))
		pictures := []image.Image{image.NewGray(rect), image.NewNRGBA(rect), image.NewCMYK(rect), image.NewPaletted(rect, color.Palette{color.Black})}
		for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
			pictures = append(pictures, image.NewYCbCr(rect, ratio))
		}
		var made rendered
		if err := made.renderThumbnails(pictures[int(kind)%len(pictures)], int(orientation)%8+1, colours{}); err != nil {
			t.Fatal(err)
		}
		for _, thumbnail := range made.picture.Thumbnails {
			if thumbnail.Width < 1 || thumbnail.Height < 1 || thumbnail.Width > thumbnail.Box || thumbnail.Height > thumbnail.Box {
				t.Errorf("%+v", thumbnail)
			}
		}
	})
}
