package imaging

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
	"math"

	"golang.org/x/image/webp"
)

// Flags of the chunk VP8X, RFC 9649 section 2.7.
const webpAnimated, webpXMP, webpEXIF, webpAlpha = 0x02, 0x04, 0x08, 0x10

// readWebPInfo reads the first chunk, RFC 9649 section 2. The decoder rejects
// files whose other chunks do not match the size of the canvas.
func readWebPInfo(r io.Reader) (imageInfo, error) {
	var start [30]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return imageInfo{}, err
	}
	info := imageInfo{mode: "RGB", decodeBytes: 8, pixelBytes: 4}
	alpha := false
	switch chunk := start[20:]; string(start[12:16]) {
	case "VP8 ":
		info.width, info.height = int(binary.LittleEndian.Uint16(chunk[6:])&0x3fff), int(binary.LittleEndian.Uint16(chunk[8:])&0x3fff)
	case "VP8L":
		bits := binary.LittleEndian.Uint32(chunk[1:])
		info.width, info.height, alpha = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1, bits>>28&1 == 1
		info.decodeBytes, info.lossless = 12, true
	case "VP8X":
		if chunk[0]&webpAnimated != 0 {
			return imageInfo{}, errAnimated
		}
		info.width, info.height, alpha = uint24(chunk[4:])+1, uint24(chunk[7:])+1, chunk[0]&webpAlpha != 0
		info.decodeBytes, info.lossless = 12, true
	default:
		return imageInfo{}, errCorrupt
	}
	if alpha {
		info.mode = "RGBA"
	}
	return info, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// stripWebP keeps the image, its alpha channel and its color profile.
func stripWebP(file []byte) (stripped []byte, orientation int, err error) {
	if len(file) < 12 {
		return nil, 0, errCorrupt
	}
	size := 8 + int(binary.LittleEndian.Uint32(file[4:]))
	if size < 12 || size > len(file) {
		return nil, 0, errCorrupt
	}
	file, stripped = file[:size], file[:12]
	for start := 12; start < len(file); {
		if start+8 > len(file) {
			return nil, 0, errCorrupt
		}
		length := int(binary.LittleEndian.Uint32(file[start+4:]))
		if length < 0 || length > len(file)-start-8 {
			return nil, 0, errCorrupt
		}
		stop := min(start+8+length+length&1, len(file))
		chunk := file[start:stop]
		switch string(chunk[:4]) {
		case "EXIF":
			if orientation > 0 {
				break
			}
			orientation = exifOrientation(bytes.TrimPrefix(chunk[8:], []byte("Exif\x00\x00")))
		case "VP8X":
			if length < 10 {
				return nil, 0, errCorrupt
			}
			chunk[8] &^= webpEXIF | webpXMP
			stripped = append(stripped, chunk...)
		case "VP8 ", "VP8L", "ALPH", "ICCP":
			stripped = append(stripped, chunk...)
		}
		start = stop
	}
	binary.LittleEndian.PutUint32(stripped[4:], uint32(len(stripped)-8))
	return stripped, max(orientation, 1), nil
}

func readWebPColors(stripped []byte) (colorSpace, error) {
	for i := 12; i+8 <= len(stripped); {
		length := int(binary.LittleEndian.Uint32(stripped[i+4:]))
		if string(stripped[i:i+4]) == "ICCP" {
			return newColorSpace(stripped[i+8:i+8+length], nil)
		}
		i += 8 + length + length&1
	}
	return colorSpace{}, nil
}

// decodeWebP decodes a WebP file, and expands the samples of a lossy file to the range of JPEG. Their
// luma is 16 to 235 and their chroma 16 to 240, RFC 6386 section 9.2. Package image ignores that, so
// the image would look pale.
func decodeWebP(r io.Reader) (image.Image, error) {
	decoded, err := webp.Decode(r)
	if err != nil {
		return nil, err
	}
	yCbCr, ok := decoded.(*image.YCbCr)
	if withAlpha, is := decoded.(*image.NYCbCrA); is {
		yCbCr, ok = &withAlpha.YCbCr, true
	}
	if ok {
		expandRange(yCbCr.Y, 219, 16, 0)
		expandRange(yCbCr.Cb, 224, 128, 128)
		expandRange(yCbCr.Cr, 224, 128, 128)
	}
	return decoded, nil
}

// expandRange scales samples with a range of span to the full range of a byte.
// The level zero becomes the level target.
func expandRange(samples []byte, span, zero, target int) {
	var table [256]byte
	for i := range table {
		level := int(math.Round(float64((i-zero)*255)/float64(span))) + target
		table[i] = byte(min(max(level, 0), 255))
	}
	for i, sample := range samples {
		samples[i] = table[sample]
	}
}
