package imaging_test

import (
	"bytes"
	"errors"
	"image"
	"maps"
	"math"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/imaging"
)

// declaration is a way of saying what the samples of an image mean.
type declaration struct {
	add         func(name string, content []byte, profile string) []byte
	color, gray string // profiles
	extensions  string
}

// TestRender_KeepsColors checks that all renditions look like the image, whatever its
// samples mean.
func TestRender_KeepsColors(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"scene.jpg": encodeJPEG(t, readPNG(t, "scene.png"))}
	for _, name := range []string{
		"420.jpg", "progressive.jpg", "gray.jpg",
		"scene.png", "rgba.png", "rgb16.png", "paletted.png", "gray.png", "gray16.png", "grayalpha.png",
		"lossless.webp", "lossless-alpha.webp", "lossy.webp",
	} {
		files[name] = readFile(t, name)
	}
	gamma := func(_ string, content []byte, _ string) []byte {
		return withChunk(content, "gAMA", "\x00\x01\x86\xa0") // 1
	}
	for title, d := range map[string]declaration{
		"swapped channels": {withProfile, profile(2500, power(2.2), swapped[:]...), profile(2500, power(1)), ".jpg .png .webp"},
		"Adobe RGB":        {withProfile, profile(560, power(2.2), adobeRGB[:]...), profile(560, power(1.4)), ".jpg .png .webp"},
		"long profile":     {withProfile, profile(150_000, power(1.4), adobeRGB[:]...), profile(150_000, power(1.4)), ".jpg .png .webp"},
		"gamma of 1":       {gamma, "", "", ".png"},
	} {
		for name, content := range files {
			if strings.Contains(d.extensions, path.Ext(name)) {
				t.Run(title+"/"+name, func(t *testing.T) {
					t.Parallel()
					checkColors(t, name, content, d)
				})
			}
		}
	}
}

func checkColors(t *testing.T, name string, content []byte, d declaration) {
	t.Helper()
	profile := d.color
	if strings.HasPrefix(name, "gray") {
		profile = d.gray
	}
	content = d.add(name, content, profile)
	want := toSRGB(t, name, content)
	if difference(decode(t, name, content), want) < 0.03 {
		t.Fatal("the declaration makes no difference")
	}
	for orientation, want := range map[int]image.Image{1: blurred(want), 6: unorient(blurred(want), 8)} {
		worst := 0.0
		renditions := render(t, name, withOrientation(name, content, orientation))
		for _, rendition := range append(distinct(renditions.Thumbnails), renditions.Original) {
			differs := difference(blurred(toSRGB(t, rendition.Extension, rendition.Content)), want)
			worst = max(worst, differs)
			if differs > 0.03 {
				t.Errorf("orientation %d, %d x %d: differs by %.3f", orientation, rendition.Width, rendition.Height, differs)
			}
		}
		t.Logf("orientation %d: %.3f", orientation, worst)
	}
}

// difference returns the root mean square of the differences, 1 for the whole
// range.
func difference(got, want image.Image) float64 {
	at, wantAt := got.Bounds(), want.Bounds()
	if at.Size() != wantAt.Size() {
		return 1
	}
	sum := 0.0
	for y := range at.Dy() {
		for x := range at.Dx() {
			r, g, b, a := got.At(at.Min.X+x, at.Min.Y+y).RGBA()
			wantR, wantG, wantB, wantA := want.At(wantAt.Min.X+x, wantAt.Min.Y+y).RGBA()
			for _, pair := range [][2]uint32{{r, wantR}, {g, wantG}, {b, wantB}, {a, wantA}} {
				sum += square((float64(pair[0]) - float64(pair[1])) / 0xffff)
			}
		}
	}
	return math.Sqrt(sum / float64(4*at.Dx()*at.Dy()))
}

// blurred reduces an image to its colors, without the edges that subsampling
// changes.
func blurred(img image.Image) image.Image {
	size := img.Bounds().Size()
	return resizeLanczos(img, 24*size.X/max(size.X, size.Y), 24*size.Y/max(size.X, size.Y))
}

// TestRender_DeclaresColorsOfThumbnails checks what thumbnails declare about their colors.
func TestRender_DeclaresColorsOfThumbnails(t *testing.T) {
	t.Parallel()
	scene := readPNG(t, "scene.png")
	gray := image.NewGray(image.Rect(0, 0, 100, 80))
	srgbProfile := profile(7000, srgbCurve(), srgb[:]...)
	adobe, grayProfile := profile(2500, power(2.2), adobeRGB[:]...), profile(2500, power(2.2))
	const cicp, gama = "\x09\x10\x00\x01", "\x00\x01\x86\xa0"
	type declared map[string]string
	plain := declared{"extension": ".jpg"}
	for name, c := range map[string]struct {
		content []byte
		want    declared
	}{
		"sRGB profile.jpg":           {withProfile(".jpg", encodeJPEG(t, scene), srgbProfile), plain},
		"RGB profile, gray.jpg":      {withProfile(".jpg", encodeJPEG(t, gray), adobe), plain},
		"gray profile, no curve.jpg": {withProfile(".jpg", encodeJPEG(t, scene), strings.Replace(grayProfile, "kTRC", "what", 1)), plain},
		"invalid profile.jpg":        {withProfile(".jpg", encodeJPEG(t, scene), strings.Repeat("p", 2500)), plain},
		"short profile.jpg":          {withProfile(".jpg", encodeJPEG(t, scene), adobe[:131]), plain},
		"profile, part 1 of 2.jpg":   {withSegment(encodeJPEG(t, scene), 0xe2, "ICC_PROFILE\x00\x01\x02"+adobe), plain},
		"Adobe RGB profile.jpg":      {withProfile(".jpg", encodeJPEG(t, scene), adobe), declared{"extension": ".jpg", "profile": adobe}},
		"gray profile.jpg":           {withProfile(".jpg", encodeJPEG(t, gray), grayProfile), declared{"extension": ".jpg", "profile": grayProfile}},
		"Adobe RGB profile.png":      {withProfile(".png", encodePNG(t, scene), adobe), declared{"extension": ".jpg", "profile": adobe}},
		"gAMA.png":                   {withChunk(encodePNG(t, scene), "gAMA", gama), declared{"extension": ".png", "gAMA": gama}},
		"gAMA and cICP.png":          {withChunk(withChunk(encodePNG(t, scene), "gAMA", gama), "cICP", cicp), declared{"extension": ".png", "cICP": cicp}},
		"gAMA and sRGB.png":          {withChunk(withChunk(encodePNG(t, scene), "gAMA", gama), "sRGB", "\x00"), plain},
		"gAMA of sRGB.png":           {withChunk(encodePNG(t, scene), "gAMA", "\x00\x00\xb1\x8f"), plain},
		"corrupt iCCP.png":           {withChunk(encodePNG(t, scene), "iCCP", "a name\x00\x00not compressed"), plain},
	} {
		for _, thumbnail := range render(t, name, c.content).Thumbnails {
			got := declared{"extension": thumbnail.Extension, "profile": profileOf(t, thumbnail.Content)}
			for _, chunk := range []string{"cICP", "gAMA"} {
				got[chunk] = chunkOf(thumbnail.Content, chunk)
			}
			maps.DeleteFunc(got, func(_, v string) bool { return v == "" })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %d x %d: %s", name, thumbnail.Width, thumbnail.Height, diff)
			}
		}
	}
}

// TestRead_RejectsLargeProfile checks that a small file cannot expand to a large profile.
func TestRead_RejectsLargeProfile(t *testing.T) {
	content := withProfile(".png", encodePNG(t, readPNG(t, "scene.png")), profile(40<<20, power(2.2), adobeRGB[:]...))
	before := allocated()
	_, err := imaging.Read(bytes.NewReader(content), maxSize)
	if want := imaging.InputError("may have a color profile of at most 4194304 bytes"); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	if took := allocated() - before; took > 32<<20 {
		t.Errorf("%d bytes were allocated", took)
	}
}

// allocated returns how many bytes were ever allocated. Tests that compare it
// must not be parallel.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}
