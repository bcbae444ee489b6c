package imaging_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/imaging"
)

var update = flag.Bool("update", false, "write the golden file anew")

const maxBytes = 20 << 20

// shelf is a store in a folder, with pictures in it.
type shelf struct {
	imaging.Store
	*imaging.Pictures
}

func newShelf(t testing.TB) shelf {
	t.Helper()
	store, err := imaging.Open("file:" + t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return shelf{store, imaging.NewPictures(store, maxBytes, 512<<20)}
}

// save stores a picture that must be good.
func (s shelf) save(t testing.TB, name string, content []byte) imaging.Picture {
	t.Helper()
	var saved imaging.Picture
	err := s.Save(t.Context(), name, bytes.NewReader(content), func(picture imaging.Picture) error {
		saved = picture
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

// read fetches a file as a browser does.
func (s shelf) read(t testing.TB, key string) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, imaging.URL(imaging.Prefix, key), nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d", key, w.Code)
	}
	return w.Body.Bytes()
}

func (s shelf) keys(t testing.TB) []string {
	t.Helper()
	keys := []string{}
	for file, err := range s.Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, file.Key)
	}
	slices.Sort(keys)
	return keys
}

// TestKinds stores every kind of picture and compares what is known of it with
// a golden file, whose modes are those that Pillow says. Each shows the same
// scene, so the thumbnails of all are held against one that was made slowly.
func TestKinds(t *testing.T) {
	const golden = "testdata/pictures.txt"
	scene := readPNG(t, "scene.png")
	grey := image.NewGray(scene.Bounds())
	draw.Draw(grey, grey.Rect, scene, image.Point{}, draw.Src)
	kinds := map[string][]byte{
		"dithered.gif":     gifOf(t, scene, scene.Bounds()),
		"small-frame.gif":  gifOf(t, scene, image.Rect(0, 0, 200, 150)),
		"grey-palette.gif": greyGIF(t, grey),
		"large.jpg":        jpegOf(t, enlarged(scene, 3400, 1300)),
		"large.png":        pngOf(t, enlarged(scene, 1700, 900)),
		"large-alpha.png":  pngOf(t, enlarged(readPNG(t, "rgba.png"), 3300, 1300)),
		"large-grey.png":   pngOf(t, enlarged(grey, 3300, 1000)),
		"one-pixel.png":    pngOf(t, enlarged(scene, 1, 1)),
		"wide.png":         pngOf(t, enlarged(scene, 5000, 3)),
		"tall.jpg":         jpegOf(t, enlarged(scene, 7, 3000)),
	}
	files, err := filepath.Glob("testdata/pictures/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if kinds[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	references := map[string]image.Image{
		"grey.png": grey, "grey.jpg": grey, "grey16.png": grey, "large-grey.png": grey, "grey-palette.gif": grey,
		"rgba.png": readPNG(t, "rgba.png"), "rgba16.png": readPNG(t, "rgba.png"),
		"lossy-alpha.webp": readPNG(t, "rgba.png"), "lossless-alpha.webp": readPNG(t, "rgba.png"), "large-alpha.png": readPNG(t, "rgba.png"),
		"greyalpha.png": readPNG(t, "greyalpha.png"), "transparent-paletted.png": readPNG(t, "transparent-paletted.png"),
		"one-pixel.png": nil, "wide.png": nil, "tall.jpg": nil, "small-frame.gif": nil,
	}
	noisy := map[string]bool{"bilevel.png": true, "dithered.gif": true} // no filter keeps that, and none should
	var got []string
	shelf := newShelf(t)
	for name, content := range kinds {
		t.Run(name, func(t *testing.T) {
			picture := shelf.save(t, name, content)
			var line strings.Builder
			fmt.Fprintf(&line, "%s: %s %s %dx%d%s", name, picture.MIMEType, picture.Mode, picture.Width, picture.Height, path.Ext(picture.Key))
			reference, known := references[name]
			if !known {
				reference = scene
			}
			limits := closely
			if noisy[name] {
				reference, limits = decode(t, name, content), roughly
			}
			for i, thumbnail := range picture.Thumbnails {
				shown := decode(t, thumbnail.Key, shelf.read(t, thumbnail.Key))
				if shown.Bounds() != image.Rect(0, 0, thumbnail.Width, thumbnail.Height) {
					t.Errorf("%s is %v, not %d x %d", thumbnail.Key, shown.Bounds(), thumbnail.Width, thumbnail.Height)
				}
				if reference != nil && (i == 0 || thumbnail.Width != picture.Thumbnails[i-1].Width) {
					compareTo(t, limits, thumbnail.Key, shown, resizeSlowly(reference, thumbnail.Width, thumbnail.Height))
				}
				fmt.Fprintf(&line, ", %dx%d%s", thumbnail.Width, thumbnail.Height, path.Ext(thumbnail.Key))
			}
			if size := len(shelf.read(t, picture.Key)); int64(size) != picture.Size {
				t.Errorf("size is %d, but the file has %d", picture.Size, size)
			}
			got = append(got, line.String())
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

// TestOrientations turns one scene in each way that EXIF knows and tells how to
// turn it back: all must look alike, and none may say anything of it any more.
func TestOrientations(t *testing.T) {
	scene := enlarged(readPNG(t, "scene.png"), 480, 360)
	shelf := newShelf(t)
	for orientation := 1; orientation <= 8; orientation++ {
		tiff := exif(orientation)
		turned := turn(scene, orientation)
		var odd bytes.Buffer
		if err := jpeg.Encode(&odd, turn(enlarged(scene, 161, 121), orientation), nil); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{
			"turned.jpg": withSegment(jpegOf(t, turned), 0xe1, "Exif\x00\x00"+tiff),
			"turned.png": withChunk(pngOf(t, turned), "eXIf", tiff),
			"odd.jpg":    withSegment(odd.Bytes(), 0xe1, "Exif\x00\x00"+tiff),
		} {
			picture := shelf.save(t, name, content)
			if picture.Width <= picture.Height {
				t.Errorf("%s, orientation %d: %d x %d", name, orientation, picture.Width, picture.Height)
			}
			original := shelf.read(t, picture.Key)
			if bytes.Contains(original, []byte("Exif")) || bytes.Contains(original, []byte("eXIf")) {
				t.Errorf("%s, orientation %d: there is EXIF left", name, orientation)
			}
			compare(t, name, decode(t, picture.Key, original), resizeSlowly(scene, picture.Width, picture.Height))
			for _, thumbnail := range picture.Thumbnails[:3] {
				compare(t, thumbnail.Key, decode(t, thumbnail.Key, shelf.read(t, thumbnail.Key)), resizeSlowly(scene, thumbnail.Width, thumbnail.Height))
			}
		}
	}
}

// TestOrientationOfSubsampledJPEG does the same for each way of subsampling.
func TestOrientationOfSubsampledJPEG(t *testing.T) {
	shelf, scene := newShelf(t), readPNG(t, "scene.png")
	for _, name := range []string{"411.jpg", "420.jpg", "422.jpg", "440.jpg", "progressive.jpg", "cmyk.jpg", "grey.jpg"} {
		content, err := os.ReadFile("testdata/pictures/" + name)
		if err != nil {
			t.Fatal(err)
		}
		want := scene
		if name == "grey.jpg" {
			want = decode(t, name, content)
		}
		picture := shelf.save(t, name, withSegment(content, 0xe1, "Exif\x00\x00"+exif(6)))
		compare(t, name, decode(t, picture.Key, shelf.read(t, picture.Key)), turn(turn(turn(want, 6), 6), 6))
		if wantMode := map[string]string{"grey.jpg": "L"}[name]; picture.Mode != "RGB" && picture.Mode != wantMode {
			t.Errorf("%s: mode %s", name, picture.Mode)
		}
	}
}

// TestMetadataGoes puts a secret where each format may hold one.
func TestMetadataGoes(t *testing.T) {
	const secret = "35.6892N 51.3890E"
	scene := readPNG(t, "scene.png")
	read := func(name string) []byte {
		content, err := os.ReadFile("testdata/pictures/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	kinds := map[string][]byte{
		"exif.jpg":      withSegment(jpegOf(t, scene), 0xe1, "Exif\x00\x00"+exif(1)+secret),
		"xmp.jpg":       withSegment(jpegOf(t, scene), 0xe1, "http://ns.adobe.com/xap/1.0/\x00"+secret),
		"photoshop.jpg": withSegment(jpegOf(t, scene), 0xed, "Photoshop 3.0\x00"+secret),
		"adobe.jpg":     withSegment(jpegOf(t, scene), 0xee, "Adobe\x00\x64\x00\x00\x00\x00\x01"+secret),
		"app5.jpg":      withSegment(jpegOf(t, scene), 0xe5, "Adobe "+secret),
		"app9.jpg":      withSegment(jpegOf(t, scene), 0xe9, "ICC_PROFILE\x00\x01\x01"+secret),
		"comment.jpg":   withSegment(read("progressive.jpg"), 0xfe, secret),
		"pictures.jpg":  withSegment(jpegOf(t, scene), 0xe2, "MPF\x00"+secret),
		"jfif.jpg":      withSegment(jpegOf(t, scene), 0xe0, "JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x03\x02"+secret),
		"turned.jpg":    withSegment(jpegOf(t, scene), 0xe1, "Exif\x00\x00"+exif(6)+secret),
		"trailer.jpg":   append(jpegOf(t, scene), secret...),
		"between.jpg":   slices.Concat(read("progressive.jpg")[:len(read("progressive.jpg"))-2], []byte("\xff\xfe\x00\x13"+secret+"\xff\xd9")),
		"text.png":      withChunk(pngOf(t, scene), "tEXt", "Comment\x00"+secret),
		"itxt.png":      withChunk(pngOf(t, scene), "iTXt", "XML:com.adobe.xmp\x00\x00\x00\x00\x00"+secret),
		"ztxt.png":      withChunk(pngOf(t, scene), "zTXt", "Comment\x00\x00"+secret),
		"exif.png":      withChunk(pngOf(t, scene), "eXIf", exif(1)+secret),
		"private.png":   withChunk(pngOf(t, scene), "prVt", secret),
		"trailer.png":   append(pngOf(t, scene), secret...),
		"comment.gif":   withGIFBlock(read("animated.gif"), "\x21\xfe\x11"+secret+"\x00"),
		"xmp.gif":       withGIFBlock(read("animated.gif"), "\x21\xff\x0bXMP DataXMP\x11"+secret+"\x00"),
		"text.gif":      withGIFBlock(read("still.gif"), "\x21\x01\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11"+secret+"\x00"),
		"trailer.gif":   append(read("still.gif"), secret...),
		"exif.webp":     withRIFF(read("lossy-alpha.webp"), "EXIF", exif(1)+secret),
		"xmp.webp":      withRIFF(read("lossless.webp"), "XMP ", secret),
		"turned.webp":   withRIFF(read("lossy.webp"), "EXIF", exif(8)+secret),
		"trailer.webp":  append(read("lossy.webp"), secret...),
	}
	for name, content := range kinds {
		t.Run(name, func(t *testing.T) {
			if !bytes.Contains(content, []byte(secret)) {
				t.Fatal("the secret is not in the picture")
			}
			shelf := newShelf(t)
			picture := shelf.save(t, name, content)
			for _, key := range shelf.keys(t) {
				if bytes.Contains(shelf.read(t, key), []byte(secret)) {
					t.Errorf("%s holds the secret", key)
				}
			}
			if strings.HasPrefix(name, "turned") || filepath.Ext(name) == ".gif" {
				return
			}
			before, after := decode(t, name, content), decode(t, picture.Key, shelf.read(t, picture.Key))
			if !cmp.Equal(before, after) {
				t.Error("the picture itself is another")
			}
		})
	}
}

// TestAnimationStays shows that all frames are kept.
func TestAnimationStays(t *testing.T) {
	shelf := newShelf(t)
	content, err := os.ReadFile("testdata/pictures/animated.gif")
	if err != nil {
		t.Fatal(err)
	}
	picture := shelf.save(t, "animated.gif", content)
	want, err := gif.DecodeAll(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	got, err := gif.DecodeAll(bytes.NewReader(shelf.read(t, picture.Key)))
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Image) != 2 || !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
}

// TestRefuses sends what is no picture, or one that costs too much.
func TestRefuses(t *testing.T) {
	scene := readPNG(t, "scene.png")
	good := jpegOf(t, scene)
	webp, err := os.ReadFile("testdata/pictures/lossless-alpha.webp")
	if err != nil {
		t.Fatal(err)
	}
	progressive, err := os.ReadFile("testdata/pictures/progressive.jpg")
	if err != nil {
		t.Fatal(err)
	}
	const (
		noPicture = "must be a JPEG, PNG, GIF or WebP picture"
		broken    = "is a broken or cut off picture"
		pixels    = "may have at most 50 megapixels"
	)
	scans := bytes.LastIndex(progressive, []byte("\xff\xda"))
	cases := map[string]struct {
		content []byte
		want    string
	}{
		"empty":             {nil, noPicture},
		"html.jpg":          {[]byte("<!doctype html><script>alert(1)</script>"), noPicture},
		"svg":               {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), noPicture},
		"magic alone":       {[]byte("\xff\xd8\xff"), broken},
		"png magic alone":   {[]byte("\x89PNG\r\n\x1a\n"), broken},
		"polyglot.gif":      {[]byte("GIF89a/*<script>alert(1)</script>*/=1;"), broken},
		"cut.jpg":           {good[:len(good)/2], broken},
		"cut.png":           {pngOf(t, scene)[:900], broken},
		"cut.gif":           {gifOf(t, scene, scene.Bounds())[:3000], broken},
		"cut.webp":          {webp[:len(webp)/2], broken},
		"bomb.png":          {bomb(t), pixels},
		"bomb.jpg":          {bytes.Replace(good, []byte{0xff, 0xc0, 0, 17, 8, 0, 120, 0, 160}, []byte{0xff, 0xc0, 0, 17, 8, 0xff, 0xff, 0xff, 0xff}, 1), pixels},
		"bomb.gif":          {append([]byte("GIF89a\xff\xff\xff\xff"), gifOf(t, scene, scene.Bounds())[10:]...), pixels},
		"bomb.webp":         {bytes.Replace(withRIFF(webp, "EXIF", ""), []byte("\x9f\x00\x00\x77\x00\x00"), []byte("\xff\xff\xff\xff\xff\xff"), 1), pixels},
		"lying canvas.webp": {bytes.Replace(withRIFF(webp, "EXIF", ""), []byte("\x9f\x00\x00\x77\x00\x00"), []byte("\x10\x00\x00\x10\x00\x00"), 1), broken},
		"animated.webp":     {bytes.Replace(withRIFF(webp, "EXIF", ""), []byte("VP8X\x0a\x00\x00\x00"), []byte("VP8X\x0a\x00\x00\x00\x02"), 1), "must not be an animated WebP"},
		"frames.gif":        {frames(t, 10_000), "may have at most 1000 frames"},
		"scans.jpg": {slices.Concat(progressive[:scans], bytes.Repeat(progressive[scans:len(progressive)-2], 200), []byte("\xff\xd9")),
			"may have at most 100 scans"},
		"large": {make([]byte, maxBytes+1), "may have at most 20971520 bytes"},
	}
	shelf := newShelf(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := shelf.Save(t.Context(), name, bytes.NewReader(c.content), func(imaging.Picture) error {
				t.Error("it was stored")
				return nil
			})
			if fault, ok := errors.AsType[imaging.InputError](err); !ok || string(fault) != c.want {
				t.Errorf("the error is %v, want %s", err, c.want)
			}
			if keys := shelf.keys(t); len(keys) > 0 {
				t.Errorf("there are files: %q", keys)
			}
		})
	}
}

// TestBombAllocates shows that a picture of 20,000 x 20,000 is refused before
// memory is made for it.
func TestBombAllocates(t *testing.T) {
	content, shelf := bomb(t), newShelf(t)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := shelf.Save(t.Context(), "bomb.png", bytes.NewReader(content), nil); err == nil {
				b.Fatal("it was stored")
			}
		}
	})
	t.Log(len(content), "bytes of PNG:", result, result.MemString())
	if bytes := result.AllocedBytesPerOp(); bytes > 16<<10 {
		t.Errorf("%d bytes", bytes)
	}
}

// TestNames shows what becomes of the names that clients give.
func TestNames(t *testing.T) {
	content := pngOf(t, enlarged(readPNG(t, "scene.png"), 1, 1))
	day := time.Now().UTC().Format("core_media/2006/01/02/")
	for given, want := range map[string][2]string{
		"technology.png":                  {"technology", "technology.png"},
		"my photo.of me.JPEG":             {"my photo.of me", "my_photo.of_me.png"},
		"../../../etc/passwd.png":         {"passwd", "passwd.png"},
		`C:\Users\me\cat.png`:             {"cat", "cat.png"},
		"":                                {"image", "image.png"},
		".png":                            {"image", "image.png"},
		"...":                             {"..", "image.png"},
		"a\x00b.png":                      {"ab", "ab.png"},
		"<script>.png":                    {"<script>", "script.png"},
		"CON.png":                         {"CON", "_CON.png"},
		"com1.tar.png":                    {"com1.tar", "_com1.tar.png"},
		"invoice\u202egnp.exe":            {"invoicegnp", "invoicegnp.png"},
		"می\u200cخواهم.png":               {"می\u200cخواهم", "میخواهم.png"},
		"cafe\u0301.png":                  {"café", "café.png"},
		"bad\xffutf8.png":                 {"badutf8", "badutf8.png"},
		strings.Repeat("n", 300) + ".png": {strings.Repeat("n", 255), strings.Repeat("n", 120) + ".png"},
		strings.Repeat("م", 300) + ".png": {strings.Repeat("م", 255), strings.Repeat("م", 60) + ".png"},
	} {
		picture := newShelf(t).save(t, given, content)
		if got := [2]string{picture.Name, strings.TrimPrefix(picture.Key, day)}; got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}

// TestNameIsTaken stores three pictures of one name, one of another format:
// none replaces a file of another.
func TestNameIsTaken(t *testing.T) {
	shelf, scene := newShelf(t), readPNG(t, "scene.png")
	first := shelf.save(t, "a.png", pngOf(t, scene))
	before := shelf.read(t, first.Key)
	shelf.save(t, "a.png", pngOf(t, enlarged(scene, 50, 50)))
	shelf.save(t, "a.jpg", jpegOf(t, enlarged(scene, 40, 40)))
	if keys := shelf.keys(t); len(keys) != 15 {
		t.Errorf("there are %d files: %q", len(keys), keys)
	}
	if !bytes.Equal(before, shelf.read(t, first.Key)) {
		t.Error("the first picture was replaced")
	}
	day := time.Now().UTC().Format("core_media/2006/01/02/")
	want := []string{day + "a.png"}
	for _, box := range []string{"64x64", "128x128", "512x512", "1080x1080"} {
		want = append(want, day+"thumbnails/a_thumbnail_"+box+".jpg")
	}
	got := []string{first.Key}
	for _, thumbnail := range first.Thumbnails {
		got = append(got, thumbnail.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCommitFails shows what becomes of the files when the rows fail.
func TestCommitFails(t *testing.T) {
	failed := errors.New("no")
	for name, c := range map[string]struct {
		err   error
		files int
	}{
		"for certain": {failed, 0},
		"perhaps":     {errors.Join(imaging.ErrUncertain, failed), 5},
	} {
		t.Run(name, func(t *testing.T) {
			shelf := newShelf(t)
			ctx, cancel := context.WithCancel(t.Context())
			err := shelf.Save(ctx, "a.png", bytes.NewReader(pngOf(t, readPNG(t, "scene.png"))), func(imaging.Picture) error {
				if keys := shelf.keys(t); len(keys) != 5 {
					t.Errorf("before the rows there are %q", keys)
				}
				cancel() // the client has gone: the files go all the same
				return c.err
			})
			if !errors.Is(err, failed) {
				t.Errorf("the error is %v", err)
			}
			if keys := shelf.keys(t); len(keys) != c.files {
				t.Errorf("there are %q", keys)
			}
		})
	}
}

// The rest draws, encodes and compares.

func readPNG(t testing.TB, name string) image.Image {
	t.Helper()
	content, err := os.ReadFile("testdata/pictures/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, name, content)
}

func decode(t testing.TB, name string, content []byte) image.Image {
	t.Helper()
	decoded, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return decoded
}

func jpegOf(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

func pngOf(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// gifOf puts a picture on a screen of any size.
func gifOf(t testing.TB, picture image.Image, screen image.Rectangle) []byte {
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
	frame := image.NewPaletted(picture.Bounds(), palette)
	draw.FloydSteinberg.Draw(frame, frame.Rect, picture, image.Point{})
	return encodeGIF(t, &gif.GIF{Image: []*image.Paletted{frame}, Delay: []int{0}, Config: image.Config{Width: screen.Dx(), Height: screen.Dy(), ColorModel: palette}})
}

func greyGIF(t testing.TB, picture *image.Gray) []byte {
	t.Helper()
	var ramp color.Palette
	for i := range 256 {
		ramp = append(ramp, color.Gray{uint8(i)})
	}
	frame := &image.Paletted{Pix: picture.Pix, Stride: picture.Stride, Rect: picture.Rect, Palette: ramp}
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

// bomb is a PNG of 20,000 x 20,000 black pixels in 48 KB.
func bomb(t testing.TB) []byte {
	t.Helper()
	return pngOf(t, hole{})
}

type hole struct{}

func (hole) ColorModel() color.Model     { return color.Palette{color.Black} }
func (hole) Bounds() image.Rectangle     { return image.Rect(0, 0, 20_000, 20_000) }
func (hole) At(int, int) color.Color     { return color.Black }
func (hole) ColorIndexAt(_, _ int) uint8 { return 0 }

// enlarged resizes without a filter.
func enlarged(picture image.Image, width, height int) image.Image {
	from := picture.Bounds()
	into := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			into.Set(x, y, picture.At(x*from.Dx()/width, y*from.Dy()/height))
		}
	}
	if _, grey := picture.(*image.Gray); grey {
		converted := image.NewGray(into.Rect)
		draw.Draw(converted, converted.Rect, into, image.Point{}, draw.Src)
		return converted
	}
	return into
}

// turn stores a picture as a camera does that was held so that orientation
// puts it right: the reverse of what EXIF asks for, written from its table of
// what row 0 and column 0 show.
func turn(picture image.Image, orientation int) image.Image {
	w, h := picture.Bounds().Dx(), picture.Bounds().Dy()
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
			into.Set(at.X, at.Y, picture.At(x, y))
		}
	}
	return into
}

// resizeSlowly is the reference: for each pixel all that it covers, weighted
// by a Lanczos kernel of three lobes, in floating point.
func resizeSlowly(picture image.Image, width, height int) image.Image {
	from := picture.Bounds()
	rows := make([][][4]float64, from.Dy())
	for y := range rows {
		row := make([][4]float64, from.Dx())
		for x := range row {
			r, g, b, a := picture.At(x, y).RGBA()
			row[x] = [4]float64{float64(r), float64(g), float64(b), float64(a)}
		}
		rows[y] = lanczos(row, width)
	}
	into := image.NewRGBA64(image.Rect(0, 0, width, height))
	for x := range width {
		column := make([][4]float64, len(rows))
		for y := range rows {
			column[y] = rows[y][x]
		}
		for y, sum := range lanczos(column, height) {
			a := min(max(sum[3], 0), 0xffff)
			level := func(v float64) uint16 { return uint16(min(max(v, 0), a)) }
			into.SetRGBA64(x, y, color.RGBA64{level(sum[0]), level(sum[1]), level(sum[2]), uint16(a)})
		}
	}
	return into
}

func lanczos(samples [][4]float64, size int) [][4]float64 {
	scale := float64(len(samples)) / float64(size)
	stretch := max(scale, 1)
	into := make([][4]float64, size)
	for i := range into {
		centre, total := (float64(i)+0.5)*scale-0.5, 0.0
		for at := max(0, int(centre-3*stretch)); at < min(len(samples), int(centre+3*stretch)+2); at++ {
			weight := 1.0
			if x := (float64(at) - centre) / stretch * math.Pi; x != 0 {
				if math.Abs(x) >= 3*math.Pi {
					continue
				}
				weight = 3 * math.Sin(x) * math.Sin(x/3) / (x * x)
			}
			total += weight
			for c, v := range samples[at] {
				into[i][c] += weight * v
			}
		}
		for c := range into[i] {
			into[i][c] /= total
		}
	}
	return into
}

// limits bound how a picture may differ from a reference.
type limits struct {
	structure float64 // at least: 1 for the same
	colour    float64 // at most: distance in OKLab, where black and white are 1 apart
}

var closely, roughly = limits{0.90, 0.02}, limits{0.80, 0.06}

// compare holds a picture against a reference by how a person sees them, on
// white and on black: the structure of its lightness (SSIM over squares of 8 x
// 8) and the mean distance of its colours.
func compare(t testing.TB, name string, got, want image.Image) {
	t.Helper()
	compareTo(t, closely, name, got, want)
}

func compareTo(t testing.TB, limits limits, name string, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Errorf("%s is %v, want %v", name, got.Bounds(), want.Bounds())
		return
	}
	grounds := []float64{1, 0}
	if opaque, ok := got.(interface{ Opaque() bool }); ok && opaque.Opaque() {
		grounds = grounds[:1]
	}
	for _, ground := range grounds {
		a, b := inOKLab(got, ground), inOKLab(want, ground)
		colour := 0.0
		for i := range a {
			colour += math.Sqrt(square(a[i][0]-b[i][0]) + square(a[i][1]-b[i][1]) + square(a[i][2]-b[i][2]))
		}
		colour /= float64(len(a))
		similarity := ssim(a, b, got.Bounds().Dx())
		if colour > limits.colour || similarity < limits.structure {
			t.Errorf("%s on %v: structure %.3f, colour %.4f", name, ground, similarity, colour)
		}
	}
}

func square(x float64) float64 { return x * x }

func inOKLab(picture image.Image, ground float64) [][3]float64 {
	bounds := picture.Bounds()
	into := make([][3]float64, 0, bounds.Dx()*bounds.Dy())
	linear := func(v, a uint32) float64 { return linearLight[min(v+uint32(ground)*(0xffff-a), 0xffff)] }
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			r16, g16, b16, a := picture.At(x, y).RGBA()
			r, g, b := linear(r16, a), linear(g16, a), linear(b16, a)
			l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
			m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
			s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
			into = append(into, [3]float64{
				0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
				1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
				0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
			})
		}
	}
	return into
}

var linearLight = func() (table [1 << 16]float64) {
	for i := range table {
		if c := float64(i) / 0xffff; c <= 0.04045 {
			table[i] = c / 12.92
		} else {
			table[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return table
}()

func ssim(a, b [][3]float64, width int) float64 {
	height, total, count := len(a)/width, 0.0, 0.0
	for top := 0; top < height; top += 8 {
		for left := 0; left < width; left += 8 {
			var n, sumA, sumB, squareA, squareB, product float64
			for y := top; y < min(top+8, height); y++ {
				for x := left; x < min(left+8, width); x++ {
					va, vb := a[y*width+x][0], b[y*width+x][0]
					n, sumA, sumB, squareA, squareB, product = n+1, sumA+va, sumB+vb, squareA+va*va, squareB+vb*vb, product+va*vb
				}
			}
			meanA, meanB := sumA/n, sumB/n
			varA, varB, covariance := squareA/n-meanA*meanA, squareB/n-meanB*meanB, product/n-meanA*meanB
			const c1, c2 = 0.0001, 0.0009
			total += (2*meanA*meanB + c1) * (2*covariance + c2) / ((meanA*meanA + meanB*meanB + c1) * (varA + varB + c2))
			count++
		}
	}
	return total / count
}
