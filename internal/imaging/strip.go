package imaging

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// The functions here remove what a picture holds beside itself: places, names,
// comments, smaller copies, whatever follows its end. What decides how it
// looks stays, to the byte. They write into the bytes that they are given,
// check the structure on the way, and return the orientation that EXIF asks
// for, 1 if it asks for none.

// stripJPEG keeps what is decoded, and of the application segments JFIF, the
// colour profile and Adobe's colour transform.
func stripJPEG(picture []byte) (stripped []byte, orientation int, err error) {
	stripped, orientation = picture[:2], 1
	for at, scans := 2, 0; ; {
		for at+1 < len(picture) && picture[at] == 0xff && picture[at+1] == 0xff { // fill bytes
			at++
		}
		if at+1 >= len(picture) || picture[at] != 0xff {
			return nil, 0, errBroken
		}
		marker := picture[at+1]
		if marker == 0xd9 { // end of image
			return append(stripped, 0xff, 0xd9), orientation, nil
		}
		if at+4 > len(picture) {
			return nil, 0, errBroken
		}
		end := at + 2 + int(binary.BigEndian.Uint16(picture[at+2:]))
		if end < at+4 || end > len(picture) {
			return nil, 0, errBroken
		}
		payload := picture[at+4 : end]
		if marker == 0xda { // start of scan
			if scans++; scans > maxScans {
				return nil, 0, errScans
			}
			end += entropyCoded(picture[end:])
		}
		if tiff, ok := bytes.CutPrefix(payload, []byte("Exif\x00\x00")); ok && marker == 0xe1 {
			orientation = exifOrientation(tiff)
		}
		switch {
		case marker == 0xe0 && bytes.HasPrefix(payload, []byte("JFIF\x00")) && len(payload) >= 14:
			stripped = append(stripped, 0xff, 0xe0, 0, 16)
			stripped = append(append(stripped, payload[:12]...), 0, 0) // without its thumbnail
		case marker >= 0xc0 && marker <= 0xdf, // tables, frames and scans
			marker == 0xe2 && bytes.HasPrefix(payload, []byte(profileName)),
			marker == 0xee && scans == 0 && isAdobe(payload):
			stripped = append(stripped, picture[at:end]...)
		}
		at = end
	}
}

// isAdobe reports whether the payload of a segment APP14 says which colours a
// JPEG has, and nothing else.
func isAdobe(payload []byte) bool {
	return len(payload) == 12 && bytes.HasPrefix(payload, []byte("Adobe"))
}

// entropyCoded counts the bytes up to the next marker that ends a scan.
func entropyCoded(data []byte) int {
	for at := 0; ; at += 2 {
		next := bytes.IndexByte(data[at:], 0xff)
		if next < 0 || at+next+1 >= len(data) {
			return len(data)
		}
		at += next
		if marker := data[at+1]; marker == 0xff {
			at--
		} else if marker != 0 && (marker < 0xd0 || marker > 0xd7) {
			return at
		}
	}
}

// stripPNG keeps the chunks that decide how the picture looks.
func stripPNG(picture []byte) (stripped []byte, orientation int, err error) {
	stripped, orientation = picture[:len(pngMagic)], 1
	for at, frames := len(pngMagic), 0; ; {
		if at+12 > len(picture) {
			return nil, 0, errBroken
		}
		length := int(binary.BigEndian.Uint32(picture[at:]))
		end := at + 12 + length
		if length < 0 || length > len(picture) || end > len(picture) {
			return nil, 0, errBroken
		}
		name, data := string(picture[at+4:at+8]), picture[at+8:end-4]
		if name == "eXIf" && binary.BigEndian.Uint32(picture[end-4:]) == crc32.ChecksumIEEE(picture[at+4:end-4]) {
			orientation = exifOrientation(data)
		}
		if name == "fcTL" {
			if frames++; frames > maxFrames {
				return nil, 0, errFrames
			}
		}
		if slices.Contains(keptChunks, name) {
			stripped = append(stripped, picture[at:end]...)
		}
		if name == "IEND" {
			return stripped, orientation, nil
		}
		at = end
	}
}

var keptChunks = []string{
	"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "cICP", "mDCV", "cLLI", "sBIT", "bKGD", "pHYs",
	"acTL", "fcTL", "fdAT", // animation
}

// stripGIF keeps frames, their timing and how often they repeat.
func stripGIF(picture []byte) (stripped []byte, orientation int, err error) {
	if len(picture) < 13 {
		return nil, 0, errBroken
	}
	at := 13 + paletteLength(picture[10])
	if at > len(picture) {
		return nil, 0, errBroken
	}
	stripped = picture[:at]
	for frames := 0; ; {
		rest := picture[at:]
		var data int // where the sub-blocks begin
		keep := true
		switch {
		case len(rest) > 0 && rest[0] == gifTrailer && frames > 0:
			return append(stripped, gifTrailer), 1, nil
		case len(rest) > 2 && rest[0] == gifExtension:
			data = 2
			keep = rest[1] == 0xf9 || rest[1] == 0xff && // graphic control, application
				(bytes.HasPrefix(rest[2:], []byte("\x0bNETSCAPE2.0")) || bytes.HasPrefix(rest[2:], []byte("\x0bANIMEXTS1.0")))
		case len(rest) > 10 && rest[0] == gifImage:
			data = 11 + paletteLength(rest[9])
			if frames++; frames > maxFrames {
				return nil, 0, errFrames
			}
		default:
			return nil, 0, errBroken
		}
		end := at + data
		for {
			if end >= len(picture) {
				return nil, 0, errBroken
			}
			length := int(picture[end])
			end += 1 + length
			if length == 0 {
				break
			}
		}
		if keep {
			stripped = append(stripped, picture[at:end]...)
		}
		at = end
	}
}

func paletteLength(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// stripWebP keeps the picture, its transparency and its colour profile.
func stripWebP(picture []byte) (stripped []byte, orientation int, err error) {
	if len(picture) < 12 {
		return nil, 0, errBroken
	}
	size := 8 + int(binary.LittleEndian.Uint32(picture[4:]))
	if size < 12 || size > len(picture) {
		return nil, 0, errBroken
	}
	picture, stripped, orientation = picture[:size], picture[:12], 1
	for at := 12; at < len(picture); {
		if at+8 > len(picture) {
			return nil, 0, errBroken
		}
		length := int(binary.LittleEndian.Uint32(picture[at+4:]))
		if length < 0 || length > len(picture)-at-8 {
			return nil, 0, errBroken
		}
		end := min(at+8+length+length&1, len(picture))
		chunk := picture[at:end]
		switch string(chunk[:4]) {
		case "EXIF":
			orientation = exifOrientation(bytes.TrimPrefix(chunk[8:], []byte("Exif\x00\x00")))
		case "VP8X":
			if length < 10 {
				return nil, 0, errBroken
			}
			stripped = append(stripped, chunk...)
			stripped[len(stripped)-len(chunk)+8] &^= webpEXIF | webpXMP
		case "VP8 ", "VP8L", "ALPH", "ICCP":
			stripped = append(stripped, chunk...)
		}
		at = end
	}
	binary.LittleEndian.PutUint32(stripped[4:], uint32(len(stripped)-8))
	return stripped, orientation, nil
}

// exifOrientation is the value of tag 274 in the first directory of a TIFF
// file, as EXIF is one; 1 where there is none that makes sense.
func exifOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int(order.Uint32(tiff[4:]))
	if at < 0 || at > len(tiff)-2 {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == 274 && order.Uint16(entries[2:]) == 3 { // of type SHORT
			if value := int(order.Uint16(entries[8:])); value >= 1 && value <= 8 {
				return value
			}
		}
		entries = entries[12:]
	}
	return 1
}
