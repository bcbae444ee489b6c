package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"io"
	"math"
	"slices"
)

// colours says what the samples of a picture mean. The zero value stands for
// sRGB, as nothing said does.
type colours struct {
	profile []byte // ICC.1
	chunks  []byte // of a PNG, which no other format can say
}

const maxProfile = 4 << 20 // bytes

// newColours leaves out what goes without saying, and refuses what would make
// each thumbnail large.
func newColours(profile, chunks []byte) (colours, error) {
	switch {
	case len(profile) > maxProfile:
		return colours{}, errProfile
	case len(profile) < 132 || string(profile[36:40]) != "acsp" || isSRGB(profile):
		profile = nil
	}
	return colours{profile, chunks}, nil
}

// profileFor returns the profile for samples of grey, or of red, green and
// blue. It is nil if there is none for these.
func (c colours) profileFor(grey bool) []byte {
	if c.profile == nil {
		return nil
	}
	switch space := string(c.profile[16:20]); {
	case grey && space == "GRAY", !grey && space == "RGB ":
		return c.profile
	case !grey && space == "GRAY":
		return rgbProfile(c.profile)
	}
	return nil
}

func isGrey(picture image.Image) bool {
	switch picture.(type) {
	case *image.Gray, *image.Gray16:
		return true
	}
	return false
}

// memory bounds what carrying the colours allocates, in bytes: they are read,
// and stand in the picture and in each thumbnail.
func (c colours) memory() int64 { return int64(8 * (len(c.profile) + len(c.chunks))) }

// jpegColours joins the segments of a profile, annex B.4 of ICC.1.
func jpegColours(picture []byte) (colours, error) {
	var parts [256][]byte
	count := 0
	for at := 2; at+4 <= len(picture) && picture[at+1] != 0xda; {
		end := at + 2 + int(binary.BigEndian.Uint16(picture[at+2:]))
		payload, isProfile := bytes.CutPrefix(picture[at+4:end], []byte(profileName))
		if isProfile && picture[at+1] == 0xe2 && len(payload) > 2 {
			parts[payload[0]], count = payload[2:], int(payload[1])
		}
		at = end
	}
	for _, part := range parts[1 : count+1] {
		if part == nil {
			return colours{}, nil
		}
	}
	return newColours(slices.Concat(parts[1:count+1]...), nil)
}

const profileName = "ICC_PROFILE\x00"

// jpegSegments says the colours behind the start of a JPEG.
func (c colours) jpegSegments(grey bool) []byte {
	const most = math.MaxUint16 - 2 - len(profileName) - 2
	parts := slices.Collect(slices.Chunk(c.profileFor(grey), most))
	var segments []byte
	for i, part := range parts {
		segments = append(segments, 0xff, 0xe2)
		segments = binary.BigEndian.AppendUint16(segments, uint16(2+len(profileName)+2+len(part)))
		segments = append(append(segments, profileName...), byte(i+1), byte(len(parts)))
		segments = append(segments, part...)
	}
	return segments
}

// pngColours reads the chunks of section 11.3.2 of the PNG specification, in
// the order in which they count.
func pngColours(picture []byte) (colours, error) {
	data, whole := map[string][]byte{}, map[string][]byte{}
	for at := len(pngMagic); ; {
		end := at + 12 + int(binary.BigEndian.Uint32(picture[at:]))
		name := string(picture[at+4 : at+8])
		if name == "IDAT" || name == "IEND" {
			break
		}
		if whole[name] == nil { // the first of two counts
			data[name], whole[name] = picture[at+8:end-4], picture[at:end]
		}
		at = end
	}
	if data["cICP"] != nil {
		return newColours(nil, slices.Concat(whole["cICP"], whole["mDCV"], whole["cLLI"]))
	}
	if _, compressed, ok := bytes.Cut(data["iCCP"], []byte{0}); ok && len(compressed) > 0 {
		if reader, err := zlib.NewReader(bytes.NewReader(compressed[1:])); err == nil {
			profile, err := io.ReadAll(io.LimitReader(reader, maxProfile+1))
			if err == nil {
				return newColours(profile, nil)
			}
		}
	}
	if data["sRGB"] != nil || saysSRGB(data["gAMA"], "\x00\x00\xb1\x8f") && saysSRGB(data["cHRM"], srgbPoints) {
		return colours{}, nil
	}
	return newColours(nil, slices.Concat(whole["gAMA"], whole["cHRM"]))
}

func saysSRGB(chunk []byte, srgb string) bool { return chunk == nil || string(chunk) == srgb }

// srgbPoints are the white point and the primaries of sRGB, as cHRM has them.
const srgbPoints = "\x00\x00\x7a\x26\x00\x00\x80\x84\x00\x00\xfa\x00\x00\x00\x80\xe8" +
	"\x00\x00\x75\x30\x00\x00\xea\x60\x00\x00\x3a\x98\x00\x00\x17\x70"

// pngChunks says the colours behind IHDR.
func (c colours) pngChunks(grey bool) []byte {
	profile := c.profileFor(grey)
	if profile == nil {
		return c.chunks
	}
	var data bytes.Buffer
	data.WriteString("iCCPICC profile\x00\x00")
	w := zlib.NewWriter(&data)
	_, _ = w.Write(profile) // to memory
	_ = w.Close()
	chunk := binary.BigEndian.AppendUint32(nil, uint32(data.Len()-4))
	chunk = append(chunk, data.Bytes()...)
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(data.Bytes()))
}

func webpColours(picture []byte) (colours, error) {
	for at := 12; at+8 <= len(picture); {
		length := int(binary.LittleEndian.Uint32(picture[at+4:]))
		if string(picture[at:at+4]) == "ICCP" {
			return newColours(picture[at+8:at+8+length], nil)
		}
		at += 8 + length + length&1
	}
	return colours{}, nil
}

func noColours([]byte) (colours, error) { return colours{}, nil }

// profileTag returns what a profile holds by a name, nil if that is not there.
func profileTag(profile []byte, name string) []byte {
	entries := profile[132:]
	for range binary.BigEndian.Uint32(profile[128:]) {
		if len(entries) < 12 {
			break
		}
		if string(entries[:4]) == name {
			start, length := int(binary.BigEndian.Uint32(entries[4:])), int(binary.BigEndian.Uint32(entries[8:]))
			if length < 12 || length > len(profile) || start > len(profile)-length {
				break
			}
			return profile[start:][:length]
		}
		entries = entries[12:]
	}
	return nil
}

// srgbPrimaries are what the profile of sRGB has, adapted to D50.
var srgbPrimaries = map[string]string{
	"rXYZ": "XYZ \x00\x00\x00\x00\x00\x00\x6f\xa2\x00\x00\x38\xf5\x00\x00\x03\x90",
	"gXYZ": "XYZ \x00\x00\x00\x00\x00\x00\x62\x99\x00\x00\xb7\x85\x00\x00\x18\xda",
	"bXYZ": "XYZ \x00\x00\x00\x00\x00\x00\x24\xa0\x00\x00\x0f\x84\x00\x00\xb6\xcf",
}

// isSRGB reports whether a profile describes sRGB, by its numbers, whatever its
// name.
func isSRGB(profile []byte) bool {
	if string(profile[16:24]) != "RGB XYZ " || profileTag(profile, "A2B0") != nil {
		return false
	}
	for name, want := range srgbPrimaries {
		tag := profileTag(profile, name)
		if len(tag) < len(want) {
			return false
		}
		for at := 8; at < len(want); at += 4 {
			if math.Abs(fixed(tag[at:])-fixed([]byte(want[at:]))) > 0.002 {
				return false
			}
		}
	}
	for _, name := range []string{"rTRC", "gTRC", "bTRC"} {
		curve := profileTag(profile, name)
		for i := range 256 {
			x := float64(i) / 255
			if difference := math.Abs(fromLinear(toLinear(curve, x)) - x); !(difference <= 0.005) { // nor not a number
				return false
			}
		}
	}
	return true
}

// fixed is a number of type s15Fixed16Number.
func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / (1 << 16) }

// toLinear applies a curve of the types that profiles of sRGB have, section
// 10.6 and 10.18 of ICC.1. It is not a number for another.
func toLinear(curve []byte, x float64) float64 {
	switch {
	case len(curve) >= 12 && string(curve[:4]) == "curv":
		count := int(binary.BigEndian.Uint32(curve[8:]))
		if count < 2 || count > (len(curve)-12)/2 {
			break
		}
		whole, part := math.Modf(x * float64(count-1))
		at := func(i int) float64 {
			return float64(binary.BigEndian.Uint16(curve[12+2*min(i, count-1):])) / math.MaxUint16
		}
		return at(int(whole))*(1-part) + at(int(whole)+1)*part
	case len(curve) >= 32 && string(curve[:4]) == "para" && curve[9] == 3:
		g, a, b, c, d := fixed(curve[12:]), fixed(curve[16:]), fixed(curve[20:]), fixed(curve[24:]), fixed(curve[28:])
		if x < d {
			return c * x
		}
		return math.Pow(a*x+b, g)
	}
	return math.NaN()
}

// fromLinear is the curve of sRGB, IEC 61966-2-1.
func fromLinear(y float64) float64 {
	if y <= 0.0031308 {
		return 12.92 * y
	}
	return 1.055*math.Pow(y, 1/2.4) - 0.055
}

// rgbProfile makes a profile for pictures whose samples of red, green and blue
// are alike out of one for grey. It is nil if that cannot be done.
func rgbProfile(grey []byte) []byte {
	curve := profileTag(grey, "kTRC")
	if curve == nil || string(grey[20:24]) != "XYZ " {
		return nil
	}
	const tags = 6
	const start = 132 + 12*tags
	profile := slices.Clone(grey[:128])
	copy(profile[16:], "RGB ")
	profile = binary.BigEndian.AppendUint32(profile, tags)
	entry := func(name string, at, length int) {
		profile = append(profile, name...)
		profile = binary.BigEndian.AppendUint32(profile, uint32(at))
		profile = binary.BigEndian.AppendUint32(profile, uint32(length))
	}
	names := []string{"rXYZ", "gXYZ", "bXYZ"}
	for i, name := range names {
		entry(name, start+20*i, 20)
	}
	for _, name := range []string{"rTRC", "gTRC", "bTRC"} {
		entry(name, start+20*len(names), len(curve))
	}
	for _, name := range names {
		profile = append(profile, srgbPrimaries[name]...)
	}
	profile = append(profile, curve...)
	binary.BigEndian.PutUint32(profile, uint32(len(profile)))
	return profile
}
