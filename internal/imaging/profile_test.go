package imaging_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// Primaries in profiles, adapted to D50.
var (
	srgb     = [3][3]float64{{0.4361, 0.2225, 0.0139}, {0.3851, 0.7169, 0.0971}, {0.1431, 0.0606, 0.7141}}
	swapped  = [3][3]float64{srgb[1], srgb[2], srgb[0]}
	adobeRGB = [3][3]float64{{0.60974, 0.31111, 0.01947}, {0.20528, 0.62567, 0.06087}, {0.14919, 0.06322, 0.74457}}
)

// power returns the curve of a gamma.
func power(gamma float64) string {
	return "curv\x00\x00\x00\x00\x00\x00\x00\x01" + string([]byte{byte(gamma), byte(math.Round(gamma * 256))}) + "\x00\x00"
}

// srgbCurve returns the curve of sRGB as a table, as the most common profile
// has it.
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

// profile returns a profile of length bytes, for gray if there are no primaries.
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
		for i, part := range slices.Backward(parts) { // each is inserted before the last
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

// profileOf returns the profile of an image of any format, "" if it has none.
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

// chunkOf returns the data of a chunk of a PNG, "" if there is none.
func chunkOf(png []byte, name string) string {
	at := bytes.Index(png, []byte(name))
	if at < 0 || !bytes.HasPrefix(png, []byte("\x89PNG")) {
		return ""
	}
	return string(png[at+4:][:binary.BigEndian.Uint32(png[at-4:])])
}

// toSRGB decodes an image and converts it to sRGB by its profile or gamma.
func toSRGB(t testing.TB, name string, content []byte) image.Image {
	t.Helper()
	decoded := decode(t, name, content)
	if lossy, ok := decoded.(*image.YCbCr); ok && strings.HasSuffix(name, ".webp") { // whose range follows BT.601
		for i, y := range lossy.Y {
			lossy.Y[i] = uint8(min(max(255*(float64(y)-16)/219, 0), 255))
		}
		for _, chroma := range [][]uint8{lossy.Cb, lossy.Cr} {
			for i, c := range chroma {
				chroma[i] = uint8(min(max(128+255*(float64(c)-128)/224, 0), 255))
			}
		}
	}
	gamma, primaries := meaning(t, content)
	if gamma == 0 {
		return decoded
	}
	linear := powers(gamma)
	bounds := decoded.Bounds()
	converted := image.NewNRGBA64(bounds)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.NRGBA64Model.Convert(decoded.At(x, y)).(color.NRGBA64)
			var xyz [3]float64
			for i, sample := range []uint16{c.R, c.G, c.B} {
				for j := range xyz {
					xyz[j] += linear(sample) * primaries[i][j]
				}
			}
			r, g, b := solve(srgb, xyz)
			converted.SetNRGBA64(x, y, color.NRGBA64{srgbSample(r), srgbSample(g), srgbSample(b), c.A})
		}
	}
	return converted
}

// powers returns a function that raises samples to gamma, and remembers the
// results.
func powers(gamma float64) func(sample uint16) float64 {
	var table [1 << 16]float64
	return func(sample uint16) float64 {
		if table[sample] == 0 {
			table[sample] = math.Pow(float64(sample)/0xffff, gamma)
		}
		return table[sample]
	}
}

// meaning returns what the samples of an image mean, a gamma of 0 for sRGB.
func meaning(t testing.TB, content []byte) (gamma float64, primaries [3][3]float64) {
	t.Helper()
	primaries = srgb
	profile := profileOf(t, content)
	if profile == "" {
		if chunk := chunkOf(content, "gAMA"); chunk != "" {
			gamma = 100_000 / float64(binary.BigEndian.Uint32([]byte(chunk)))
		}
		return gamma, primaries
	}
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
	return float64(binary.BigEndian.Uint16([]byte(tag(curve)[12:]))) / 256, primaries
}

// solve returns the factors of three columns that add up to sum.
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
