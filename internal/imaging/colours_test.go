package imaging_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/imaging"
)

// Primaries as profiles have them, adapted to D50.
var (
	srgb     = [3][3]float64{{0.4361, 0.2225, 0.0139}, {0.3851, 0.7169, 0.0971}, {0.1431, 0.0606, 0.7141}}
	swapped  = [3][3]float64{srgb[1], srgb[2], srgb[0]}
	adobeRGB = [3][3]float64{{0.60974, 0.31111, 0.01947}, {0.20528, 0.62567, 0.06087}, {0.14919, 0.06322, 0.74457}}
)

// power is a curve of a profile.
func power(gamma float64) string {
	return "curv\x00\x00\x00\x00\x00\x00\x00\x01" + string([]byte{byte(gamma), byte(math.Round(gamma * 256))}) + "\x00\x00"
}

// srgbCurve is that of sRGB as a table, as the most used profile has it.
func srgbCurve() string {
	const entries = 1024
	curve := []byte("curv\x00\x00\x00\x00\x00\x00\x04\x00")
	for i := range entries {
		var linear float64
		if v := float64(i) / (entries - 1); v <= 0.04045 {
			linear = v / 12.92
		} else {
			linear = math.Pow((v+0.055)/1.055, 2.4)
		}
		curve = binary.BigEndian.AppendUint16(curve, uint16(math.Round(0xffff*linear)))
	}
	return string(curve)
}

// profile describes colours, in length bytes. Without primaries they are grey.
func profile(length int, curve string, primaries ...[3]float64) string {
	tags := map[string]string{}
	space := "GRAY"
	if primaries == nil {
		tags["kTRC"] = curve
	}
	for i, xyz := range primaries {
		space = "RGB "
		point := []byte("XYZ \x00\x00\x00\x00")
		for _, v := range xyz {
			point = binary.BigEndian.AppendUint32(point, uint32(math.Round(v*(1<<16))))
		}
		tags["rgb"[i:i+1]+"XYZ"], tags["rgb"[i:i+1]+"TRC"] = string(point), curve
	}
	header := make([]byte, 128)
	binary.BigEndian.PutUint32(header, uint32(length))
	copy(header[8:], "\x02\x40\x00\x00mntr"+space+"XYZ ")
	copy(header[36:], "acsp")
	copy(header[68:], "\x00\x00\xf6\xd6\x00\x01\x00\x00\x00\x00\xd3\x2d")
	table, values := binary.BigEndian.AppendUint32(nil, uint32(len(tags))), ""
	for name, value := range tags {
		table = append(table, name...)
		table = binary.BigEndian.AppendUint32(table, uint32(len(header)+4+12*len(tags)+len(values)))
		table = binary.BigEndian.AppendUint32(table, uint32(len(value)))
		values += value
	}
	whole := string(header) + string(table) + values
	return whole + strings.Repeat("\x00", length-len(whole))
}

func withProfile(name string, content []byte, profile string) []byte {
	switch {
	case strings.HasSuffix(name, ".jpg"):
		const most = 60_000
		parts := slices.Collect(slices.Chunk([]byte(profile), most))
		for i, part := range slices.Backward(parts) { // each stands before the last
			content = withSegment(content, 0xe2, "ICC_PROFILE\x00"+string([]byte{byte(i + 1), byte(len(parts))})+string(part))
		}
		return content
	case strings.HasSuffix(name, ".png"):
		return withChunk(content, "iCCP", "a name\x00\x00"+deflate(profile))
	}
	return withRIFF(content, "ICCP", profile)
}

func deflate(s string) string {
	var compressed bytes.Buffer
	w := zlib.NewWriter(&compressed)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return compressed.String()
}

func withOrientation(name string, content []byte, orientation int) []byte {
	switch {
	case strings.HasSuffix(name, ".jpg"):
		return withSegment(content, 0xe1, "Exif\x00\x00"+exif(orientation))
	case strings.HasSuffix(name, ".png"):
		return withChunk(content, "eXIf", exif(orientation))
	}
	return withRIFF(content, "EXIF", exif(orientation))
}

// profileOf finds the profile of a picture, whatever its format.
func profileOf(t testing.TB, content []byte) string {
	t.Helper()
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xd8")):
		var profile strings.Builder
		const name = "ICC_PROFILE\x00"
		for _, at := range indexes(content, "\xff\xe2") {
			length := int(binary.BigEndian.Uint16(content[at+2:]))
			if segment := string(content[at+4:][:length-2]); strings.HasPrefix(segment, name) {
				profile.WriteString(segment[len(name)+2:])
			}
		}
		return profile.String()
	case bytes.HasPrefix(content, []byte("RIFF")):
		if at := bytes.Index(content, []byte("ICCP")); at >= 0 {
			return string(content[at+8:][:binary.LittleEndian.Uint32(content[at+4:])])
		}
		return ""
	}
	chunk := chunkOf(content, "iCCP")
	if chunk == "" {
		return ""
	}
	reader, err := zlib.NewReader(strings.NewReader(chunk[strings.Index(chunk, "\x00")+2:]))
	if err != nil {
		t.Fatal(err)
	}
	profile, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(profile)
}

func indexes(content []byte, what string) (all []int) {
	for at := 0; ; at++ {
		i := bytes.Index(content[at:], []byte(what))
		if i < 0 {
			return all
		}
		at += i
		all = append(all, at)
	}
}

// chunkOf returns the data of a chunk of a PNG, "" if it has none.
func chunkOf(png []byte, name string) string {
	at := bytes.Index(png, []byte(name))
	if at < 0 || !bytes.HasPrefix(png, []byte("\x89PNG")) {
		return ""
	}
	return string(png[at+4:][:binary.BigEndian.Uint32(png[at-4:])])
}

// look decodes a picture and converts it to sRGB by what its file says of its
// colours.
func look(t testing.TB, name string, content []byte) image.Image {
	t.Helper()
	decoded := decode(t, name, content)
	if lossy, ok := decoded.(*image.YCbCr); ok && strings.HasSuffix(name, ".webp") { // whose range is that of BT.601
		for i, y := range lossy.Y {
			lossy.Y[i] = uint8(min(max(255*(float64(y)-16)/219, 0), 255))
		}
		for _, chroma := range [][]uint8{lossy.Cb, lossy.Cr} {
			for i, c := range chroma {
				chroma[i] = uint8(min(max(128+255*(float64(c)-128)/224, 0), 255))
			}
		}
	}
	gamma, primaries := 0.0, srgb
	if profile := profileOf(t, content); profile != "" {
		tag := func(name string) string {
			at := strings.Index(profile, name)
			start := binary.BigEndian.Uint32([]byte(profile[at+4:]))
			return profile[start:][:binary.BigEndian.Uint32([]byte(profile[at+8:]))]
		}
		curve := "kTRC"
		if profile[16:20] == "RGB " {
			curve = "rTRC"
			for i, name := range []string{"rXYZ", "gXYZ", "bXYZ"} {
				for j := range 3 {
					primaries[i][j] = float64(int32(binary.BigEndian.Uint32([]byte(tag(name)[8+4*j:])))) / (1 << 16)
				}
			}
		}
		gamma = float64(binary.BigEndian.Uint16([]byte(tag(curve)[12:]))) / 256
	} else if chunk := chunkOf(content, "gAMA"); chunk != "" {
		gamma = 100_000 / float64(binary.BigEndian.Uint32([]byte(chunk)))
	}
	if gamma == 0 {
		return decoded
	}
	bounds := decoded.Bounds()
	converted := image.NewNRGBA64(bounds)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.NRGBA64Model.Convert(decoded.At(x, y)).(color.NRGBA64)
			var xyz [3]float64
			for i, sample := range []uint16{c.R, c.G, c.B} {
				for j := range xyz {
					xyz[j] += math.Pow(float64(sample)/0xffff, gamma) * primaries[i][j]
				}
			}
			r, g, b := solve(srgb, xyz)
			converted.SetNRGBA64(x, y, color.NRGBA64{srgbSample(r), srgbSample(g), srgbSample(b), c.A})
		}
	}
	return converted
}

// solve finds how much of each column of three adds up to a sum.
func solve(columns [3][3]float64, sum [3]float64) (a, b, c float64) {
	det := func(x, y, z [3]float64) float64 {
		return x[0]*(y[1]*z[2]-z[1]*y[2]) - y[0]*(x[1]*z[2]-z[1]*x[2]) + z[0]*(x[1]*y[2]-y[1]*x[2])
	}
	all := det(columns[0], columns[1], columns[2])
	return det(sum, columns[1], columns[2]) / all, det(columns[0], sum, columns[2]) / all, det(columns[0], columns[1], sum) / all
}

func srgbSample(linear float64) uint16 {
	linear = min(max(linear, 0), 1)
	if linear <= 0.0031308 {
		return uint16(0xffff * 12.92 * linear)
	}
	return uint16(0xffff * (1.055*math.Pow(linear, 1/2.4) - 0.055))
}

// difference is the root of the mean of the squares, of the whole range.
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

// blurred leaves the colours of a picture, without the edges that subsampling
// changes.
func blurred(picture image.Image) image.Image {
	size := picture.Bounds().Size()
	return resizeSlowly(picture, 24*size.X/max(size.X, size.Y), 24*size.Y/max(size.X, size.Y))
}

// TestColours shows that a picture looks like what was uploaded in all that is
// made of it, whatever its file says its samples mean.
func TestColours(t *testing.T) {
	read := func(name string) []byte {
		content, err := os.ReadFile("testdata/pictures/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	pictures := map[string][]byte{"scene.jpg": jpegOf(t, readPNG(t, "scene.png"))}
	for _, name := range []string{
		"420.jpg", "progressive.jpg", "grey.jpg",
		"scene.png", "rgba.png", "rgb16.png", "paletted.png", "grey.png", "grey16.png", "greyalpha.png",
		"lossless.webp", "lossless-alpha.webp", "lossy.webp",
	} {
		pictures[name] = read(name)
	}
	gamma := func(_ string, content []byte, _ string) []byte {
		return withChunk(content, "gAMA", "\x00\x01\x86\xa0") // 1
	}
	for meaning, c := range map[string]struct {
		say           func(name string, content []byte, profile string) []byte
		profile, grey string
		formats       string
	}{
		"swapped channels": {withProfile, profile(2500, power(2.2), swapped[:]...), profile(2500, power(1)), ".jpg .png .webp"},
		"Adobe RGB":        {withProfile, profile(560, power(2.2), adobeRGB[:]...), profile(560, power(1.4)), ".jpg .png .webp"},
		"a long profile":   {withProfile, profile(150_000, power(1.4), adobeRGB[:]...), profile(150_000, power(1.4)), ".jpg .png .webp"},
		"a gamma of 1":     {gamma, "", "", ".png"},
	} {
		for name, content := range pictures {
			if !strings.Contains(c.formats, name[strings.LastIndex(name, "."):]) {
				continue
			}
			said := c.profile
			if strings.HasPrefix(name, "grey") {
				said = c.grey
			}
			content = c.say(name, content, said)
			want := look(t, name, content)
			if difference(decode(t, name, content), want) < 0.03 {
				t.Fatalf("%s, %s: this shows nothing", meaning, name)
			}
			for orientation, want := range map[int]image.Image{1: want, 6: turn(turn(turn(want, 6), 6), 6)} {
				shelf := newShelf(t)
				picture := shelf.save(t, name, withOrientation(name, content, orientation))
				worst := 0.0
				check := func(key string) {
					content := shelf.read(t, key)
					got := look(t, key, content)
					differs := difference(blurred(got), blurred(want))
					worst = max(worst, differs)
					if differs > 0.03 {
						t.Errorf("%s, %s, orientation %d: %s differs by %.3f", meaning, name, orientation, key, differs)
					}
				}
				check(picture.Key)
				for _, thumbnail := range picture.Thumbnails {
					check(thumbnail.Key)
				}
				t.Logf("%s, %s, orientation %d: %.3f", meaning, name, orientation, worst)
			}
		}
	}
}

// TestWhatSaysColours shows what of it goes into the thumbnails.
func TestWhatSaysColours(t *testing.T) {
	scene := readPNG(t, "scene.png")
	grey := image.NewGray(image.Rect(0, 0, 100, 80))
	srgbProfile := profile(7000, srgbCurve(), srgb[:]...)
	adobe, onGrey := profile(2500, power(2.2), adobeRGB[:]...), profile(2500, power(2.2))
	const cicp, gama = "\x09\x10\x00\x01", "\x00\x01\x86\xa0"
	plain := map[string]string{"extension": ".jpg"}
	for name, c := range map[string]struct {
		content []byte
		want    map[string]string // of a thumbnail
	}{
		"of sRGB.jpg":          {withProfile(".jpg", jpegOf(t, scene), srgbProfile), plain},
		"of another space.jpg": {withProfile(".jpg", jpegOf(t, grey), adobe), plain},
		"grey for colours.jpg": {withProfile(".jpg", jpegOf(t, scene), strings.Replace(onGrey, "kTRC", "what", 1)), plain},
		"not a profile.jpg":    {withProfile(".jpg", jpegOf(t, scene), strings.Repeat("p", 2500)), plain},
		"too short.jpg":        {withProfile(".jpg", jpegOf(t, scene), adobe[:131]), plain},
		"one of two.jpg":       {withSegment(jpegOf(t, scene), 0xe2, "ICC_PROFILE\x00\x01\x02"+adobe), plain},
		"of Adobe RGB.jpg":     {withProfile(".jpg", jpegOf(t, scene), adobe), map[string]string{"extension": ".jpg", "profile": adobe}},
		"of grey.jpg":          {withProfile(".jpg", jpegOf(t, grey), onGrey), map[string]string{"extension": ".jpg", "profile": onGrey}},
		"of Adobe RGB.png":     {withProfile(".png", pngOf(t, scene), adobe), map[string]string{"extension": ".jpg", "profile": adobe}},
		"gamma.png":            {withChunk(pngOf(t, scene), "gAMA", gama), map[string]string{"extension": ".png", "gAMA": gama}},
		"gamma and cICP.png":   {withChunk(withChunk(pngOf(t, scene), "gAMA", gama), "cICP", cicp), map[string]string{"extension": ".png", "cICP": cicp}},
		"gamma and sRGB.png":   {withChunk(withChunk(pngOf(t, scene), "gAMA", gama), "sRGB", "\x00"), plain},
		"gamma of sRGB.png":    {withChunk(pngOf(t, scene), "gAMA", "\x00\x00\xb1\x8f"), plain},
		"broken.png":           {withChunk(pngOf(t, scene), "iCCP", "a name\x00\x00not compressed"), plain},
	} {
		shelf := newShelf(t)
		for _, thumbnail := range shelf.save(t, name, c.content).Thumbnails {
			content := shelf.read(t, thumbnail.Key)
			got := map[string]string{"extension": path.Ext(thumbnail.Key), "profile": profileOf(t, content)}
			for _, chunk := range []string{"cICP", "gAMA"} {
				got[chunk] = chunkOf(content, chunk)
			}
			maps.DeleteFunc(got, func(_, v string) bool { return v == "" })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %s: %s", name, thumbnail.Key, diff)
			}
		}
	}
}

// TestLargeProfile shows that a few bytes cannot make a large profile.
func TestLargeProfile(t *testing.T) {
	content := withProfile(".png", pngOf(t, readPNG(t, "scene.png")), profile(100<<20, power(2.2), adobeRGB[:]...))
	before := allocated()
	err := newShelf(t).Save(t.Context(), "large.png", bytes.NewReader(content), func(imaging.Picture) error { return nil })
	if want := imaging.InputError("may have a colour profile of at most 4194304 bytes"); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	if took := allocated() - before; took > 32<<20 {
		t.Errorf("took %d bytes", took)
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// TestTurnKeeps shows that turning a picture costs no more than it must: the
// subsampling of a JPEG stays where it can, and a lossless WebP is lossless.
func TestTurnKeeps(t *testing.T) {
	scene := readPNG(t, "scene.png")
	for name, want := range map[string]image.YCbCrSubsampleRatio{
		"420.jpg": image.YCbCrSubsampleRatio420,
		"422.jpg": image.YCbCrSubsampleRatio440, // on its side
		"440.jpg": image.YCbCrSubsampleRatio422,
		"444.jpg": image.YCbCrSubsampleRatio444,
		"411.jpg": image.YCbCrSubsampleRatio444, // as there is no 1:1:4
	} {
		content, err := os.ReadFile("testdata/pictures/" + name)
		if err != nil {
			t.Fatal(err)
		}
		shelf := newShelf(t)
		picture := shelf.save(t, name, withOrientation(name, content, 6))
		got, ok := decode(t, name, shelf.read(t, picture.Key)).(*image.YCbCr)
		if !ok || got.SubsampleRatio != want {
			t.Errorf("%s: %v, want %v", name, got.SubsampleRatio, want)
		}
	}
	content, err := os.ReadFile("testdata/pictures/lossless.webp")
	if err != nil {
		t.Fatal(err)
	}
	shelf := newShelf(t)
	picture := shelf.save(t, "lossless.webp", withOrientation("lossless.webp", content, 6))
	if got := decode(t, picture.Key, shelf.read(t, picture.Key)); difference(got, turn(turn(turn(scene, 6), 6), 6)) != 0 {
		t.Errorf("%s is not lossless", picture.Key)
	}
}
