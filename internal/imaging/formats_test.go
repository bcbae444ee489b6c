package imaging_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/imaging"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// TestRender_MatchesReference renders an image of each kind. It compares its
// description with a golden file, whose modes are Pillow's. It compares its thumbnails with a slow and
// precise reference: nearly all images show the same scene.
func TestRender_MatchesReference(t *testing.T) {
	t.Parallel()
	const golden = "testdata/images.txt"
	var got []string
	for name, content := range formatFiles(t) {
		renditions := render(t, name, content)
		original := renditions.Original
		var line strings.Builder
		fmt.Fprintf(&line, "%s: %s %s %dx%d%s", name, renditions.MIMEType, renditions.Mode, original.Width, original.Height, original.Extension)
		for _, thumbnail := range renditions.Thumbnails {
			fmt.Fprintf(&line, ", %dx%d%s", thumbnail.Width, thumbnail.Height, thumbnail.Extension)
		}
		got = append(got, line.String())
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkThumbnails(t, name, content, renditions.Thumbnails)
		})
	}
	slices.Sort(got)
	text := strings.Join(got, "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Error(diff)
	}
}

func formatFiles(t *testing.T) map[string][]byte {
	t.Helper()
	scene, gray := readPNG(t, "scene.png"), grayScene(t)
	files := map[string][]byte{
		"dithered.gif":     ditheredGIF(t, scene, scene.Bounds()),
		"small-frame.gif":  ditheredGIF(t, scene, image.Rect(0, 0, 200, 150)),
		"gray-palette.gif": grayGIF(t, gray),
		"large.jpg":        encodeJPEG(t, resizeNearest(scene, 3400, 1300)),
		"large.png":        encodePNG(t, resizeNearest(scene, 1700, 900)),
		"large-alpha.png":  encodePNG(t, resizeNearest(readPNG(t, "rgba.png"), 3300, 1300)),
		"large-gray.png":   encodePNG(t, resizeNearest(gray, 3300, 1000)),
		"one-pixel.png":    encodePNG(t, resizeNearest(scene, 1, 1)),
		"wide.png":         encodePNG(t, resizeNearest(scene, 5000, 3)),
		"tall.jpg":         encodeJPEG(t, resizeNearest(scene, 7, 3000)),
	}
	names, err := filepath.Glob("testdata/images/*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		files[filepath.Base(name)] = readFile(t, filepath.Base(name))
	}
	return files
}

func grayScene(t testing.TB) *image.Gray {
	t.Helper()
	scene := readPNG(t, "scene.png")
	gray := image.NewGray(scene.Bounds())
	draw.Draw(gray, gray.Rect, scene, image.Point{}, draw.Src)
	return gray
}

func checkThumbnails(t *testing.T, name string, content []byte, thumbnails []imaging.Rendition) {
	t.Helper()
	var reference image.Image
	limits := closeLimits
	switch name {
	case "one-pixel.png", "wide.png", "tall.jpg", "small-frame.gif": // no scene
	case "bilevel.png", "dithered.gif": // no filter keeps the noise, and none should
		reference, limits = decode(t, name, content), roughLimits
	case "gray.png", "gray.jpg", "gray16.png", "large-gray.png", "gray-palette.gif":
		reference = grayScene(t)
	case "rgba.png", "rgba16.png", "lossy-alpha.webp", "lossless-alpha.webp", "large-alpha.png":
		reference = readPNG(t, "rgba.png")
	case "grayalpha.png", "transparent-paletted.png":
		reference = readPNG(t, name)
	default:
		reference = readPNG(t, "scene.png")
	}
	for _, thumbnail := range distinct(thumbnails) {
		decoded := decode(t, name, thumbnail.Content)
		if decoded.Bounds() != image.Rect(0, 0, thumbnail.Width, thumbnail.Height) {
			t.Errorf("the thumbnail is %v, not %d x %d", decoded.Bounds(), thumbnail.Width, thumbnail.Height)
		}
		if reference != nil {
			title := fmt.Sprintf("%d x %d", thumbnail.Width, thumbnail.Height)
			compare(t, limits, title, decoded, resizeLanczos(reference, thumbnail.Width, thumbnail.Height))
		}
	}
}

// TestRead_RejectsInvalidFiles reads files that are not images or too expensive.
func TestRead_RejectsInvalidFiles(t *testing.T) {
	t.Parallel()
	scene := readPNG(t, "scene.png")
	good, webp, progressive := encodeJPEG(t, scene), readFile(t, "lossless-alpha.webp"), readFile(t, "progressive.jpg")
	const (
		notImage = "must be a JPEG, PNG, GIF or WebP file"
		corrupt  = "is corrupt or truncated"
		pixels   = "may have at most 50 megapixels"
	)
	scans := bytes.LastIndex(progressive, []byte("\xff\xda"))
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":             {nil, notImage},
		"html.jpg":          {[]byte("<!doctype html><script>alert(1)</script>"), notImage},
		"svg":               {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), notImage},
		"magic alone":       {[]byte("\xff\xd8\xff"), corrupt},
		"png magic alone":   {[]byte("\x89PNG\r\n\x1a\n"), corrupt},
		"polyglot.gif":      {[]byte("GIF89a/*<script>alert(1)</script>*/=1;"), corrupt},
		"truncated.jpg":     {good[:len(good)/2], corrupt},
		"truncated.png":     {encodePNG(t, scene)[:900], corrupt},
		"truncated.gif":     {ditheredGIF(t, scene, scene.Bounds())[:3000], corrupt},
		"truncated.webp":    {webp[:len(webp)/2], corrupt},
		"bomb.png":          {bomb(), pixels},
		"bomb.jpg":          {bytes.Replace(good, []byte{0xff, 0xc0, 0, 17, 8, 0, 120, 0, 160}, []byte{0xff, 0xc0, 0, 17, 8, 0xff, 0xff, 0xff, 0xff}, 1), pixels},
		"bomb.gif":          {append([]byte("GIF89a\xff\xff\xff\xff"), ditheredGIF(t, scene, scene.Bounds())[10:]...), pixels},
		"bomb.webp":         {bytes.Replace(withRIFF(webp, "EXIF", ""), []byte("\x9f\x00\x00\x77\x00\x00"), []byte("\xff\xff\xff\xff\xff\xff"), 1), pixels},
		"wrong canvas.webp": {bytes.Replace(withRIFF(webp, "EXIF", ""), []byte("\x9f\x00\x00\x77\x00\x00"), []byte("\x10\x00\x00\x10\x00\x00"), 1), corrupt},
		"animated.webp":     {bytes.Replace(withRIFF(webp, "EXIF", ""), []byte("VP8X\x0a\x00\x00\x00"), []byte("VP8X\x0a\x00\x00\x00\x02"), 1), "must not be an animated WebP"},
		"frames.gif":        {frames(t, 10_000), "may have at most 1000 frames"},
		"scans.jpg": {slices.Concat(progressive[:scans], bytes.Repeat(progressive[scans:len(progressive)-2], 200), []byte("\xff\xd9")),
			"may have at most 100 scans"},
		"large": {make([]byte, maxSize+1), "may have at most 20971520 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := imaging.Read(bytes.NewReader(c.content), maxSize)
			if err == nil {
				_, err = source.Render()
			}
			if got, ok := errors.AsType[imaging.InputError](err); !ok || string(got) != c.want {
				t.Errorf("the error is %v, want %s", err, c.want)
			}
		})
	}
}

// TestRead_AllocatesNothingForBombs checks that an image of 20,000 x 20,000 pixels is rejected
// before memory is allocated for it.
func TestRead_AllocatesNothingForBombs(t *testing.T) {
	const runs = 100
	content := bomb()
	before := allocated()
	for range runs {
		if _, err := imaging.Read(bytes.NewReader(content), maxSize); err == nil {
			t.Fatal("the image is accepted")
		}
	}
	if bytes := (allocated() - before) / runs; bytes > 16<<10 {
		t.Errorf("%d bytes were allocated for each of %d", bytes, len(content))
	}
}
