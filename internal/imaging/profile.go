package imaging

import (
	"encoding/binary"
	"image"
	"math"
	"slices"
)

// colorSpace describes the meaning of the samples of an image. The zero value is sRGB, the default.
type colorSpace struct {
	profile []byte // ICC.1
	chunks  []byte // of a PNG, which other formats cannot express
}

// newColorSpace returns a color space without a profile if the profile is sRGB or invalid. It rejects
// a profile that would make each thumbnail large.
func newColorSpace(profile, chunks []byte) (colorSpace, error) {
	switch {
	case len(profile) > maxProfile:
		return colorSpace{}, errProfile
	case len(profile) < 132 || string(profile[36:40]) != "acsp" || isSRGB(profile):
		profile = nil
	}
	return colorSpace{profile, chunks}, nil
}

// profileFor returns the profile for gray or RGB samples, nil if there is none.
func (c colorSpace) profileFor(gray bool) []byte {
	if c.profile == nil {
		return nil
	}
	switch space := string(c.profile[16:20]); {
	case gray && space == "GRAY", !gray && space == "RGB ":
		return c.profile
	case !gray && space == "GRAY":
		return rgbProfile(c.profile)
	}
	return nil
}

func isGray(img image.Image) bool {
	switch img.(type) {
	case *image.Gray, *image.Gray16:
		return true
	}
	return false
}

// memory returns an upper bound of the bytes that the profile takes while it is read, and while it is
// written into each image.
func (c colorSpace) memory() int64 { return int64(8 * (len(c.profile) + len(c.chunks))) }

// profileTag returns the data of a tag, nil if the profile does not have it.
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

// srgbPrimaries are the primaries in a profile of sRGB, adapted to D50.
var srgbPrimaries = map[string]string{
	"rXYZ": "XYZ \x00\x00\x00\x00\x00\x00\x6f\xa2\x00\x00\x38\xf5\x00\x00\x03\x90",
	"gXYZ": "XYZ \x00\x00\x00\x00\x00\x00\x62\x99\x00\x00\xb7\x85\x00\x00\x18\xda",
	"bXYZ": "XYZ \x00\x00\x00\x00\x00\x00\x24\xa0\x00\x00\x0f\x84\x00\x00\xb6\xcf",
}

// isSRGB reports whether a profile has the primaries and curves of sRGB. Profile names vary.
func isSRGB(profile []byte) bool {
	if string(profile[16:24]) != "RGB XYZ " || profileTag(profile, "A2B0") != nil {
		return false
	}
	for name, want := range srgbPrimaries {
		tag := profileTag(profile, name)
		if len(tag) < len(want) {
			return false
		}
		for i := 8; i < len(want); i += 4 {
			if math.Abs(fixed(tag[i:])-fixed([]byte(want[i:]))) > 0.002 {
				return false
			}
		}
	}
	for _, name := range []string{"rTRC", "gTRC", "bTRC"} {
		curve := profileTag(profile, name)
		for i := range 256 {
			x := float64(i) / 255
			if difference := math.Abs(fromLinear(toLinear(curve, x)) - x); !(difference <= 0.005) { // or if it is NaN
				return false
			}
		}
	}
	return true
}

// fixed decodes an s15Fixed16Number.
func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / (1 << 16) }

// toLinear applies a curve of a type that profiles of sRGB use, sections 10.6
// and 10.18 of ICC.1. It returns NaN for other types.
func toLinear(curve []byte, x float64) float64 {
	switch {
	case len(curve) >= 12 && string(curve[:4]) == "curv":
		count := int(binary.BigEndian.Uint32(curve[8:]))
		if count < 2 || count > (len(curve)-12)/2 {
			break
		}
		whole, part := math.Modf(x * float64(count-1))
		sample := func(i int) float64 {
			return float64(binary.BigEndian.Uint16(curve[12+2*min(i, count-1):])) / math.MaxUint16
		}
		return sample(int(whole))*(1-part) + sample(int(whole)+1)*part
	case len(curve) >= 32 && string(curve[:4]) == "para" && curve[9] == 3:
		g, a, b, c, d := fixed(curve[12:]), fixed(curve[16:]), fixed(curve[20:]), fixed(curve[24:]), fixed(curve[28:])
		if x < d {
			return c * x
		}
		return math.Pow(a*x+b, g)
	}
	return math.NaN()
}

// fromLinear applies the transfer function of sRGB, IEC 61966-2-1.
func fromLinear(y float64) float64 {
	if y <= 0.0031308 {
		return 12.92 * y
	}
	return 1.055*math.Pow(y, 1/2.4) - 0.055
}

// rgbProfile converts a profile for gray images to a profile for RGB images whose three samples are
// equal. It returns nil if that is impossible.
func rgbProfile(gray []byte) []byte {
	curve := profileTag(gray, "kTRC")
	if curve == nil || string(gray[20:24]) != "XYZ " {
		return nil
	}
	const tags = 6
	const start = 132 + 12*tags
	profile := slices.Clone(gray[:128])
	copy(profile[16:], "RGB ")
	profile = binary.BigEndian.AppendUint32(profile, tags)
	entry := func(name string, offset, length int) {
		profile = append(profile, name...)
		profile = binary.BigEndian.AppendUint32(profile, uint32(offset))
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
