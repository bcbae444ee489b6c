package imaging

import (
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
)

// TestEvenSurface resizes one colour to any size: it stays what it is.
func TestEvenSurface(t *testing.T) {
	for level := 255; level >= 0; level -= 5 {
		picture := image.NewRGBA(image.Rect(0, 0, 37, 3000))
		for i := range picture.Pix {
			picture.Pix[i] = byte(level)
		}
		for _, size := range [][2]int{{37, 3000}, {36, 20}, {1, 1}, {1, 13}} {
			for _, factor := range []int{1, 2, 3} {
				for i, sample := range shrink(picture, factor).resized(size[0], size[1]).each[0].pix {
					if sample != byte(level) {
						t.Fatalf("%v by %d: sample %d is %d, want %d", size, factor, i, sample, level)
					}
				}
			}
		}
	}
}

// TestTransparentEdges resizes what is either opaque or not there: no colour
// may be above its alpha, or it would turn into another when it is encoded.
func TestTransparentEdges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewNRGBA(image.Rect(0, 0, 100, 100))
	for y := range 100 {
		for x := range 100 {
			picture.SetNRGBA(x, y, color.NRGBA{byte(random.Uint32()), 255, byte(random.Uint32()), byte(255 * random.IntN(2))})
		}
	}
	for _, size := range []int{90, 64, 33} {
		pix := shrink(picture, 1).resized(size, size).each[0].pix
		for i := 0; i < len(pix); i += 4 {
			if max(pix[i], pix[i+1], pix[i+2]) > pix[i+3] {
				t.Fatalf("%d: sample %d is %v", size, i/4, pix[i:i+4])
			}
		}
	}
}
