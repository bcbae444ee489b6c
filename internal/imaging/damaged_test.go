package imaging_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"slices"
	"strings"
	"testing"

	"portfolio/internal/imaging"
)

// damagedFile is a file that breaks a rule of its format.
type damagedFile struct {
	name    string
	content []byte
	refused string // the error, "" if the file is accepted
}

const (
	corrupt     = "is corrupt or truncated"
	unsupported = "is a JPEG of a kind that is not supported: save it again, with chroma subsampling 4:2:0 or 4:4:4"
)

// damagedFiles returns files of the scene as editors and cameras write them.
func damagedFiles(t testing.TB) []damagedFile {
	t.Helper()
	return slices.Concat(damagedPNGs(t), damagedJPEGs(t), sampledJPEGs(t), unfinishedFiles(t))
}

// damagedPNGs returns PNGs with a damaged chunk of each kind.
func damagedPNGs(t testing.TB) (files []damagedFile) {
	t.Helper()
	scene := readFile(t, "scene.png")
	for name, data := range map[string]string{
		"iCCP": "a name\x00\x00" + deflate(profile(4096, power(1.8), swapped[:]...)), "gAMA": "\x00\x00\x20\x00", "cHRM": strings.Repeat("\x00\x00\x10\x00", 8),
		"sBIT": "\x08\x08\x08", "bKGD": "\x00\xff\x00\x00\x00\x00", "pHYs": "\x00\x00\x0b\x13\x00\x00\x0b\x13\x01", "sRGB": "\x00",
		"cICP": "\x09\x10\x00\x01", "mDCV": strings.Repeat("\x01", 24), "cLLI": "\x00\x00\x00\x01\x00\x00\x00\x01", "eXIf": exif(6),
		"tRNS": "\x00\xff\x00\xff\x00\xff", "acTL": "\x00\x00\x00\x01\x00\x00\x00\x00", "fcTL": strings.Repeat("\x00", 26), "fdAT": "\x00\x00\x00\x01x",
		"tEXt": "Comment\x00x", "tIME": "\x07\xe0\x01\x01\x01\x01\x01", "prVt": "x",
	} {
		files = append(files, damagedFile{name + " with a wrong CRC.png", withWrongCRC(withChunk(scene, name, data), name), ""})
	}
	animated := animatedPNG(t)
	for _, name := range []string{"acTL", "fcTL", "fdAT"} {
		files = append(files, damagedFile{"animation with a wrong CRC of " + name + ".png", withWrongCRC(animated, name), ""})
	}
	second := bytes.Index(animated, []byte("fdAT")) - 4
	paletted := readFile(t, "paletted.png")
	for _, name := range []string{"IHDR", "PLTE", "IDAT"} {
		files = append(files, damagedFile{name + " with a wrong CRC.png", withWrongCRC(paletted, name), corrupt})
	}
	return append(files,
		damagedFile{"animation without an end.png", animated[:len(animated)-12], ""},
		damagedFile{"animation without its second frame.png", animated[:second+100], ""},
		damagedFile{"IEND with a wrong CRC.png", withWrongCRC(scene, "IEND"), ""},
		damagedFile{"data after the end.png", slices.Concat(scene, []byte("PK\x03\x04"), scene), ""},
		damagedFile{"more pixel data than pixels.png", withPixelData(paletted, deflate(strings.Repeat("\x00", 1<<20))), corrupt},
		damagedFile{"data after the pixel data.png", withPixelData(paletted, chunkOf(paletted, "IDAT")+"x"), ""},
		damagedFile{"palette of true color with a wrong CRC.png", withWrongCRC(withChunk(scene, "PLTE", "abc"), "PLTE"), ""},
		damagedFile{"palette of gray.png", withChunk(readFile(t, "gray.png"), "PLTE", "abc"), ""},
		damagedFile{"transparency of another length.png", withChunk(scene, "tRNS", "\x00"), ""},
		damagedFile{"transparency beside alpha.png", withChunk(readFile(t, "rgba.png"), "tRNS", "\x00\x00\x00\x00\x00\x00"), ""},
		damagedFile{"transparency twice.png", withChunk(withChunk(scene, "tRNS", "\x01\x02\x03\x04\x05\x06"), "tRNS", "\x01\x02\x03\x04\x05\x06"), ""},
		damagedFile{"transparency before the palette.png", withChunk(paletted, "tRNS", strings.Repeat("\xff", 8)), ""},
		damagedFile{"transparency of too many colors.png", withTransparency(paletted, strings.Repeat("\x00", 256)), ""},
		damagedFile{"two orientations.png", withChunk(withChunk(scene, "eXIf", exif(6)), "eXIf", exif(1)), ""},
		damagedFile{"an orientation after an invalid one.png", withChunk(withChunk(scene, "eXIf", exif(6)), "eXIf", exif(9)), ""},
	)
}

// animatedPNG returns an animation of two frames, which both show the scene.
func animatedPNG(t testing.TB) []byte {
	t.Helper()
	scene := encodePNG(t, readPNG(t, "scene.png"))
	const control = "\x00\x00\x00\xa0\x00\x00\x00\x78\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00"
	const end = 12
	frame := chunkOf(scene, "IDAT")
	start := withChunk(withChunk(scene, "fcTL", "\x00\x00\x00\x00"+control), "acTL", "\x00\x00\x00\x02\x00\x00\x00\x00")
	second := appendChunk(appendChunk(nil, "fcTL", "\x00\x00\x00\x01"+control), "fdAT", "\x00\x00\x00\x02"+frame)
	return slices.Concat(start[:len(start)-end], second, start[len(start)-end:])
}

// withWrongCRC changes the CRC of the first chunk of a name.
func withWrongCRC(png []byte, name string) []byte {
	png = slices.Clone(png)
	at := bytes.Index(png, []byte(name))
	png[at+4+int(binary.BigEndian.Uint32(png[at-4:]))] ^= 0xff
	return png
}

// withPixelData replaces the pixel data of a PNG that has one chunk of them.
func withPixelData(png []byte, data string) []byte {
	at := bytes.Index(png, []byte("IDAT")) - 4
	return appendChunk(appendChunk(slices.Clone(png[:at]), "IDAT", data), "IEND", "")
}

// withTransparency inserts a chunk after the palette.
func withTransparency(png []byte, data string) []byte {
	at := bytes.Index(png, []byte("PLTE"))
	end := at + 8 + int(binary.BigEndian.Uint32(png[at-4:]))
	return append(appendChunk(slices.Clone(png[:end]), "tRNS", data), png[end:]...)
}

// damagedJPEGs returns JPEGs with segments that are missing, repeated or damaged.
func damagedJPEGs(t testing.TB) []damagedFile {
	t.Helper()
	scene := encodeJPEG(t, readPNG(t, "scene.png"))
	cmyk := readFile(t, "cmyk.jpg")
	frame := bytes.Index(scene, []byte("\xff\xc0"))
	return []damagedFile{
		{"CMYK without APP14.jpg", withoutSegment(t, cmyk, 0xee), ""},
		{"CMYK with a longer APP14.jpg", withSegment(withoutSegment(t, cmyk, 0xee), 0xee, "Adobe\x00\x64\x00\x00\x00\x00\x00"+"more"), ""},
		{"CMYK with another APP14.jpg", withSegment(withoutSegment(t, cmyk, 0xee), 0xee, "Adobd\x00\x64\x00\x00\x00\x00\x00"), ""},
		{"two orientations.webp", withRIFF(withRIFF(readFile(t, "lossy.webp"), "EXIF", exif(1)), "EXIF", exif(6)), ""},
		{"two orientations.jpg", withSegment(withSegment(scene, 0xe1, "Exif\x00\x00"+exif(6)), 0xe1, "Exif\x00\x00"+exif(1)), ""},
		{"an orientation after one that is empty.jpg", withSegment(withSegment(scene, 0xe1, "Exif\x00\x00"+exif(6)), 0xe1, "Exif\x00\x00"), ""},
		{"an orientation after another tag.jpg", withSegment(withSegment(scene, 0xe1, "Exif\x00\x00"+exif(6)), 0xe1, "Exif\x00\x00"+strings.Replace(exif(8), "\x01\x12", "\x01\x13", 1)), ""},
		{"an orientation after an invalid one.jpg", withSegment(withSegment(scene, 0xe1, "Exif\x00\x00"+exif(6)), 0xe1, "Exif\x00\x00"+exif(9)), ""},
		{"bytes before a segment.jpg", slices.Concat(scene[:frame], []byte("\x00\x01\x02"), scene[frame:]), ""},
		{"marker without a segment.jpg", slices.Concat(scene[:frame], []byte("\xff\xd0\xff\x01\xff\x00"), scene[frame:]), ""},
		{"no Huffman tables.jpg", withoutSegment(t, scene, 0xc4), ""},
		{"no Huffman tables of gray.jpg", withoutSegment(t, encodeJPEG(t, grayScene(t)), 0xc4), ""},
		{"number of lines.jpg", withSegment(scene, 0xdc, "\x00\x78"), ""},
	}
}

func withoutSegment(t testing.TB, jpeg []byte, marker byte) []byte {
	t.Helper()
	at := bytes.Index(jpeg, []byte{0xff, marker})
	if at < 0 {
		t.Fatalf("there is no segment %#x", marker)
	}
	return slices.Concat(jpeg[:at], jpeg[at+2+int(binary.BigEndian.Uint16(jpeg[at+2:])):])
}

// sampledJPEGs returns JPEGs with rare sampling factors.
func sampledJPEGs(t testing.TB) (files []damagedFile) {
	t.Helper()
	scene := readPNG(t, "scene.png")
	for _, c := range []struct {
		name    string
		factors [3]byte // horizontal and vertical, of each component
		refused string
	}{
		{"3x1,1x1,1x1", [3]byte{0x31, 0x11, 0x11}, unsupported},
		{"2x1,1x2,1x1", [3]byte{0x21, 0x12, 0x11}, unsupported},
		{"1x1,2x2,2x2", [3]byte{0x11, 0x22, 0x22}, unsupported},
		{"2x2,1x1,2x1", [3]byte{0x22, 0x11, 0x21}, unsupported},
		{"1x4,1x1,1x1", [3]byte{0x14, 0x11, 0x11}, unsupported},
		{"2x2,2x1,2x1", [3]byte{0x22, 0x21, 0x21}, ""},
		{"2x2,2x2,2x2", [3]byte{0x22, 0x22, 0x22}, ""},
		{"4x2,1x1,1x1", [3]byte{0x42, 0x11, 0x11}, ""},
		{"0x1,1x1,1x1", [3]byte{0x01, 0x11, 0x11}, corrupt},
	} {
		files = append(files, damagedFile{c.name + ".jpg", encodeSampled(t, scene, c.factors), c.refused})
	}
	return files
}

// encodeSampled encodes a JPEG of the sampling factors, with a scan for each
// component, which is encoded as a gray image.
func encodeSampled(t testing.TB, img image.Image, factors [3]byte) []byte {
	t.Helper()
	size, across, down := img.Bounds().Size(), 1, 1
	for _, factor := range factors {
		across, down = max(across, int(factor>>4)), max(down, int(factor&15))
	}
	frame := binary.BigEndian.AppendUint16([]byte{0xff, 0xc0, 0, 17, 8}, uint16(size.Y))
	frame = append(binary.BigEndian.AppendUint16(frame, uint16(size.X)), 3)
	var scans []byte
	for i, factor := range factors {
		frame = append(frame, byte(i+1), factor, 0)
		stepX, stepY := across/max(int(factor>>4), 1), down/int(factor&15)
		plane := image.NewGray(image.Rect(0, 0, (size.X+stepX-1)/stepX, (size.Y+stepY-1)/stepY))
		for y := range plane.Rect.Dy() {
			for x := range plane.Rect.Dx() {
				r, g, b, _ := img.At(x*stepX, y*stepY).RGBA()
				luma, cb, cr := color.RGBToYCbCr(uint8(r>>8), uint8(g>>8), uint8(b>>8))
				plane.Pix[y*plane.Stride+x] = [...]byte{luma, cb, cr}[i]
			}
		}
		encoded := encodeJPEG(t, plane)
		scan := encoded[bytes.Index(encoded, []byte("\xff\xda")) : len(encoded)-2]
		scan[5] = byte(i + 1)
		scans = append(scans, scan...)
	}
	encoded := encodeJPEG(t, image.NewGray(image.Rect(0, 0, 1, 1))) // for its tables
	start := bytes.Index(encoded, []byte("\xff\xc0"))
	end := start + 2 + int(binary.BigEndian.Uint16(encoded[start+2:]))
	scan := bytes.Index(encoded, []byte("\xff\xda"))
	return slices.Concat(encoded[:start], frame, encoded[end:scan], scans, []byte("\xff\xd9"))
}

// unfinishedFiles returns files that lack their end, but no pixel unless they are
// refused.
func unfinishedFiles(t testing.TB) []damagedFile {
	t.Helper()
	scene := readPNG(t, "scene.png")
	jpg, png, animated := encodeJPEG(t, scene), encodePNG(t, scene), readFile(t, "animated.gif")
	progressive, sampled := readFile(t, "progressive.jpg"), encodeSampled(t, scene, [3]byte{0x21, 0x11, 0x11})
	without := func(content []byte, n int) []byte { return content[:len(content)-n] }
	still := readFile(t, "still.gif")
	return []damagedFile{
		{"no end.jpg", without(jpg, 2), ""},
		{"half of an end.jpg", without(jpg, 1), ""},
		{"no end of a progressive one.jpg", without(progressive, 2), ""},
		{"end of a comment.jpg", append(without(jpg, 2), "\xff\xfe\x00\x20x"...), ""},
		{"no end but zeros.jpg", append(without(jpg, 2), 0, 0, 0, 0), ""},
		{"no last block.jpg", without(jpg, 30), corrupt},
		{"no last component.jpg", sampled[:bytes.LastIndex(sampled, []byte("\xff\xda"))], corrupt},
		{"no end.png", without(png, 12), ""},
		{"half of an end.png", without(png, 5), ""},
		{"half of a comment.png", without(appendChunk(without(png, 12), "tEXt", "Comment\x00x"), 6), ""},
		{"no last row.png", without(png, 12+40), corrupt},
		{"no end.gif", without(still, 1), ""},
		{"no end of an animation.gif", without(animated, 1), ""},
		{"no end of the second frame.gif", without(animated, 100), ""},
		{"no last row.gif", without(still, 100), corrupt},
		{"no last row.webp", without(readFile(t, "lossy.webp"), 100), corrupt},
	}
}

// TestRead_AcceptsWhatBrowsersShow reads files that lack no pixel, but break a rule
// that browsers do not insist on.
func TestRead_AcceptsWhatBrowsersShow(t *testing.T) {
	t.Parallel()
	for _, file := range damagedFiles(t) {
		t.Run(file.name, func(t *testing.T) {
			t.Parallel()
			source, err := imaging.Read(bytes.NewReader(file.content), maxSize)
			var renditions *imaging.Renditions
			if err == nil {
				renditions, err = source.Render()
			}
			if got, _ := errors.AsType[imaging.InputError](err); string(got) != file.refused {
				t.Fatalf("got %v, want %q", err, file.refused)
			}
			if err != nil {
				return
			}
			if _, err := imaging.Read(bytes.NewReader(renditions.Original.Content), maxSize); err != nil {
				t.Errorf("the stored file: %v", err)
			}
		})
	}
}
