package imaging_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"slices"
	"testing"

	"portfolio/internal/imaging"
)

const maxSize = 20 << 20 // bytes

// readFile reads a file of testdata/images.
func readFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/images/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func readPNG(t testing.TB, name string) image.Image {
	t.Helper()
	return decode(t, name, readFile(t, name))
}

// render makes the renditions of a valid image. It leaves content as it is.
func render(t testing.TB, name string, content []byte) *imaging.Renditions {
	t.Helper()
	source, err := imaging.Read(bytes.NewReader(content), maxSize)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	renditions, err := source.Render()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return renditions
}

// distinct returns the thumbnails without repetitions: an image that fits into
// several boxes has one rendition for these.
func distinct(thumbnails []imaging.Rendition) []imaging.Rendition {
	return slices.CompactFunc(slices.Clone(thumbnails), func(a, b imaging.Rendition) bool { return bytes.Equal(a.Content, b.Content) })
}

func decode(t testing.TB, name string, content []byte) image.Image {
	t.Helper()
	decoded, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return decoded
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, img); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// ditheredGIF dithers an image on a screen of any size.
func ditheredGIF(t testing.TB, img image.Image, screen image.Rectangle) []byte {
	t.Helper()
	levels := []uint8{0, 51, 102, 153, 204, 255}
	var palette color.Palette
	for _, r := range levels {
		for _, g := range levels {
			for _, b := range levels {
				palette = append(palette, color.NRGBA{r, g, b, 255})
			}
		}
	}
	frame := image.NewPaletted(img.Bounds(), palette)
	draw.FloydSteinberg.Draw(frame, frame.Rect, img, image.Point{})
	return encodeGIF(t, &gif.GIF{Image: []*image.Paletted{frame}, Delay: []int{0}, Config: image.Config{Width: screen.Dx(), Height: screen.Dy(), ColorModel: palette}})
}

func grayGIF(t testing.TB, img *image.Gray) []byte {
	t.Helper()
	var ramp color.Palette
	for i := range 256 {
		ramp = append(ramp, color.Gray{uint8(i)})
	}
	frame := &image.Paletted{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect, Palette: ramp}
	return encodeGIF(t, &gif.GIF{Image: []*image.Paletted{frame}, Delay: []int{0}})
}

func frames(t testing.TB, count int) []byte {
	t.Helper()
	frame := image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.Black, color.White})
	return encodeGIF(t, &gif.GIF{Image: slices.Repeat([]*image.Paletted{frame}, count), Delay: make([]int, count)})
}

func encodeGIF(t testing.TB, animation *gif.GIF) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := gif.EncodeAll(&encoded, animation); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// bomb returns a PNG of 20,000 x 20,000 black pixels in 50 KB.
func bomb() []byte {
	const side = 20_000
	png := []byte("\x89PNG\r\n\x1a\n")
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, side), side)
	png = appendChunk(png, "IHDR", string(header)+"\x01\x03\x00\x00\x00") // one bit per pixel, palette
	png = appendChunk(png, "PLTE", "\x00\x00\x00")
	png = appendChunk(png, "IDAT", deflate(string(make([]byte, side*(1+side/8)))))
	return appendChunk(png, "IEND", "")
}

// resizeNearest resizes without interpolation.
func resizeNearest(img image.Image, width, height int) image.Image {
	from := img.Bounds()
	into := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			into.Set(x, y, img.At(x*from.Dx()/width, y*from.Dy()/height))
		}
	}
	if _, gray := img.(*image.Gray); gray {
		converted := image.NewGray(into.Rect)
		draw.Draw(converted, converted.Rect, into, image.Point{}, draw.Src)
		return converted
	}
	return into
}

// unorient is the inverse of what an EXIF orientation asks for, written from
// its table of what row 0 and column 0 show.
func unorient(img image.Image, orientation int) image.Image {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	into := image.NewNRGBA(size)
	for y := range h {
		for x := range w {
			at := [...]image.Point{
				1: {x, y}, 2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y},
				5: {y, x}, 6: {y, w - 1 - x}, 7: {h - 1 - y, w - 1 - x}, 8: {h - 1 - y, x},
			}[orientation]
			into.Set(at.X, at.Y, img.At(x, y))
		}
	}
	return into
}
