// Package thumbnails compares the speed of thumbnails with the speed of PocketBase, which
// decodes and scales with disintegration/imaging for each thumbnail.
package thumbnails

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/disintegration/imaging"

	server "portfolio/internal/imaging"
)

// photograph returns the file named by IMAGE, or a generated JPEG of 12
// megapixels.
func photograph(b *testing.B) []byte {
	b.Helper()
	if name := os.Getenv("IMAGE"); name != "" {
		content, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		return content
	}
	random := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, 4000, 3000))
	for y := range 3000 {
		for x := range 4000 {
			wave := 40 * math.Sin(float64(x)/90) * math.Sin(float64(y)/70)
			noise := float64(random.IntN(12))
			img.SetRGBA(x, y, color.RGBA{uint8(float64(x)/20 + noise), uint8(100 + wave + noise), uint8(float64(y)/15 + noise), 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, img, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return encoded.Bytes()
}

// BenchmarkServer renders an image: header, metadata, four thumbnails,
// placeholder, hash.
func BenchmarkServer(b *testing.B) {
	photo := photograph(b)
	b.ReportAllocs()
	for b.Loop() {
		source, err := server.Read(bytes.NewReader(photo), int64(len(photo)))
		if err != nil {
			b.Fatal(err)
		}
		renditions, err := source.Render()
		if err != nil {
			b.Fatal(err)
		}
		for i, box := range server.Boxes {
			b.ReportMetric(float64(len(renditions.Thumbnails[i].Content)), "B/"+strconv.Itoa(box))
		}
	}
}

// BenchmarkImaging makes the four thumbnails as PocketBase does, each from the
// file.
func BenchmarkImaging(b *testing.B) { benchmarkImaging(b, false) }

// BenchmarkImagingDecodedOnce decodes the file only once.
func BenchmarkImagingDecodedOnce(b *testing.B) { benchmarkImaging(b, true) }

func benchmarkImaging(b *testing.B, once bool) {
	b.Helper()
	photo := photograph(b)
	b.ReportAllocs()
	for b.Loop() {
		var decoded image.Image
		for _, box := range server.Boxes {
			if decoded == nil || !once {
				var err error
				if decoded, err = imaging.Decode(bytes.NewReader(photo), imaging.AutoOrientation(true)); err != nil {
					b.Fatal(err)
				}
			}
			var encoded bytes.Buffer
			if err := imaging.Encode(&encoded, imaging.Fit(decoded, box, box, imaging.Linear), imaging.JPEG); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(encoded.Len()), "B/"+strconv.Itoa(box))
		}
	}
}
