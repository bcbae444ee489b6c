package imaging_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"strconv"
	"testing"

	"portfolio/internal/imaging"
)

// TestRender_OrientsImages checks that images look the same in each orientation once
// they are rendered, and that no EXIF is left.
func TestRender_OrientsImages(t *testing.T) {
	t.Parallel()
	scene := resizeNearest(readPNG(t, "scene.png"), 480, 360)
	small := resizeNearest(scene, 161, 121) // odd, so that blocks and chroma are cut
	references := map[image.Point]image.Image{}
	for _, size := range []image.Point{{480, 360}, {161, 121}, {160, 120}, {64, 48}, {128, 96}} {
		references[size] = resizeLanczos(scene, size.X, size.Y)
	}
	for orientation := 1; orientation <= 8; orientation++ {
		t.Run(strconv.Itoa(orientation), func(t *testing.T) {
			t.Parallel()
			stored := unorient(scene, orientation)
			var odd bytes.Buffer
			if err := jpeg.Encode(&odd, unorient(small, orientation), nil); err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string][]byte{
				"scene.jpg": encodeJPEG(t, stored),
				"scene.png": encodePNG(t, stored),
				"odd.jpg":   odd.Bytes(),
			} {
				renditions := render(t, name, withOrientation(name, content, orientation))
				original := renditions.Original
				if bytes.Contains(original.Content, []byte("Exif")) || bytes.Contains(original.Content, []byte("eXIf")) {
					t.Errorf("%s: EXIF is left", name)
				}
				for _, r := range append([]imaging.Rendition{original}, renditions.Thumbnails[:3]...) {
					reference, known := references[image.Pt(r.Width, r.Height)]
					if !known {
						reference = resizeLanczos(scene, r.Width, r.Height)
					}
					compare(t, closeLimits, name, decode(t, name, r.Content), reference)
					if r.Width <= r.Height {
						t.Errorf("%s: %d x %d", name, r.Width, r.Height)
					}
				}
			}
		})
	}
}

// TestRender_OrientsSubsampledJPEG covers every kind of chroma subsampling.
func TestRender_OrientsSubsampledJPEG(t *testing.T) {
	t.Parallel()
	scene := readPNG(t, "scene.png")
	for _, name := range []string{"411.jpg", "420.jpg", "422.jpg", "440.jpg", "progressive.jpg", "cmyk.jpg", "gray.jpg"} {
		content := readFile(t, name)
		want := scene
		if name == "gray.jpg" {
			want = decode(t, name, content)
		}
		renditions := render(t, name, withOrientation(name, content, 6))
		compare(t, closeLimits, name, decode(t, name, renditions.Original.Content), unorient(want, 8))
		if wantMode := map[string]string{"gray.jpg": "L"}[name]; renditions.Mode != "RGB" && renditions.Mode != wantMode {
			t.Errorf("%s: mode %s", name, renditions.Mode)
		}
	}
}

// TestRender_KeepsQualityOfOrientedImages checks that orienting keeps the subsampling of a
// JPEG if possible, and that a lossless WebP stays lossless.
func TestRender_KeepsQualityOfOrientedImages(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]image.YCbCrSubsampleRatio{
		"420.jpg": image.YCbCrSubsampleRatio420,
		"422.jpg": image.YCbCrSubsampleRatio440, // rotated
		"440.jpg": image.YCbCrSubsampleRatio422,
		"444.jpg": image.YCbCrSubsampleRatio444,
		"411.jpg": image.YCbCrSubsampleRatio444, // there is no 1:1:4
	} {
		original := render(t, name, withOrientation(name, readFile(t, name), 6)).Original
		got, ok := decode(t, name, original.Content).(*image.YCbCr)
		if !ok || got.SubsampleRatio != want {
			t.Errorf("%s: %v, want %v", name, got.SubsampleRatio, want)
		}
	}
	const name = "lossless.webp"
	original := render(t, name, withOrientation(name, readFile(t, name), 6)).Original
	if difference(decode(t, name, original.Content), unorient(readPNG(t, "scene.png"), 8)) != 0 {
		t.Errorf("%s is not lossless", name)
	}
}
