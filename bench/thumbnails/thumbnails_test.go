// Package thumbnails measures how the server makes thumbnails beside the way
// of PocketBase, which decodes and scales with disintegration/imaging for each
// thumbnail.
package thumbnails

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/disintegration/imaging"

	"portfolio/internal/imaging"
)

// photograph is the file named by PICTURE, or a drawn one of 12 megapixels.
func photograph(b *testing.B) []byte {
	b.Helper()
	if name := os.Getenv("PICTURE"); name != "" {
		picture, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		return picture
	}
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewRGBA(image.Rect(0, 0, 4000, 3000))
	for y := range 3000 {
		for x := range 4000 {
			wave := 40 * math.Sin(float64(x)/90) * math.Sin(float64(y)/70)
			noise := float64(random.IntN(12))
			picture.SetRGBA(x, y, color.RGBA{uint8(float64(x)/20 + noise), uint8(100 + wave + noise), uint8(float64(y)/15 + noise), 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return encoded.Bytes()
}

// nowhere is a store that only counts: what is measured is the work on the
// picture.
type nowhere struct{}

func (nowhere) Create(_ context.Context, _ string, content io.Reader, _ int64) error {
	_, err := io.Copy(io.Discard, content)
	return err
}
func (nowhere) Exists(context.Context, string) (bool, error) { return false, nil }
func (nowhere) Remove(context.Context, string) error         { return nil }
func (nowhere) Files(context.Context) iter.Seq2[imaging.File, error] {
	return func(func(imaging.File, error) bool) {}
}
func (nowhere) Handler() http.Handler { return http.NotFoundHandler() }
func (nowhere) Close() error          { return nil }

// BenchmarkServer stores a picture: header, metadata, four thumbnails,
// placeholder, hash.
func BenchmarkServer(b *testing.B) {
	picture := photograph(b)
	pictures := imaging.NewPictures(nowhere{}, int64(len(picture)))
	b.ReportAllocs()
	for b.Loop() {
		err := pictures.Save(b.Context(), "a.jpg", bytes.NewReader(picture), func(stored imaging.Picture) error {
			for _, thumbnail := range stored.Thumbnails {
				b.ReportMetric(float64(thumbnail.Size), "B/"+strconv.Itoa(thumbnail.Box))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkImaging makes the four thumbnails as PocketBase does: each from the
// file.
func BenchmarkImaging(b *testing.B) { benchmarkImaging(b, false) }

// BenchmarkImagingDecodedOnce is kinder to it: the file is decoded once.
func BenchmarkImagingDecodedOnce(b *testing.B) { benchmarkImaging(b, true) }

func benchmarkImaging(b *testing.B, once bool) {
	b.Helper()
	picture := photograph(b)
	b.ReportAllocs()
	for b.Loop() {
		var decoded image.Image
		for _, box := range imaging.Boxes {
			if decoded == nil || !once {
				var err error
				if decoded, err = imaging.Decode(bytes.NewReader(picture), imaging.AutoOrientation(true)); err != nil {
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
