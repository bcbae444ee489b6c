package imaging

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/bbrks/go-blurhash"
)

// TestRender_BoundsComponentsOfPlaceholder checks that a BlurHash has no more components
// than the image has pixels.
func TestRender_BoundsComponentsOfPlaceholder(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{1, 1}, {1, 40}, {40, 1}, {2, 40}, {40, 2}} {
		img := image.NewNRGBA(image.Rectangle{Max: size})
		for i := range img.Pix {
			img.Pix[i] = 255
		}
		for y := range size.Y { // from black to red
			for x := range size.X {
				share := float64(x+y) / float64(max(size.X+size.Y-2, 1))
				img.SetNRGBA(x, y, color.NRGBA{uint8(255 * share), 0, 0, 255})
			}
		}
		_, placeholder, err := renderThumbnails(img, 1, colorSpace{})
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := blurhash.Decode(placeholder, size.X, size.Y, 1)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for y := range size.Y {
			for x := range size.X {
				r, _, _, _ := decoded.At(x, y).RGBA()
				difference := float64(r>>8) - float64(img.NRGBAAt(x, y).R)
				sum += difference * difference
			}
		}
		if off := math.Sqrt(sum/float64(size.X*size.Y)) / 255; off > 0.05 {
			t.Errorf("%v: the placeholder %s is %.0f %% off", size, placeholder, 100*off)
		}
	}
}
