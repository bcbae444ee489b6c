package imaging

import (
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
)

// TestResize_KeepsUniformColor checks that resizing keeps a uniform color.
func TestResize_KeepsUniformColor(t *testing.T) {
	t.Parallel()
	for level := 255; level >= 0; level -= 5 {
		img := image.NewRGBA(image.Rect(0, 0, 37, 3000))
		for i := range img.Pix {
			img.Pix[i] = byte(level)
		}
		for _, size := range [][2]int{{37, 3000}, {36, 20}, {1, 1}, {1, 13}} {
			for _, factor := range []int{1, 2, 3} {
				for i, sample := range downsample(img, factor).resize(size[0], size[1]).list[0].pix {
					if sample != byte(level) {
						t.Fatalf("%v by %d: sample %d is %d, want %d", size, factor, i, sample, level)
					}
				}
			}
		}
	}
}

// TestResize_ClampsToAlpha resizes an image of opaque and transparent pixels. No
// channel may exceed alpha, or encoding would change the color.
func TestResize_ClampsToAlpha(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	img := image.NewNRGBA(image.Rect(0, 0, 100, 100))
	for y := range 100 {
		for x := range 100 {
			img.SetNRGBA(x, y, color.NRGBA{byte(random.Uint32()), 255, byte(random.Uint32()), byte(255 * random.IntN(2))})
		}
	}
	for _, size := range []int{90, 64, 33} {
		pix := downsample(img, 1).resize(size, size).list[0].pix
		for i := 0; i < len(pix); i += 4 {
			if max(pix[i], pix[i+1], pix[i+2]) > pix[i+3] {
				t.Fatalf("%d: sample %d is %v", size, i/4, pix[i:i+4])
			}
		}
	}
}
