package imaging

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"slices"
	"sync"
)

// Markers, table B.1 of ITU-T T.81.
const (
	sof0, sof2      = 0xc0, 0xc2 // start of frame: baseline, progressive
	dht, jpg, dac   = 0xc4, 0xc8, 0xcc
	rst0, rst7      = 0xd0, 0xd7
	soi, eoi, sos   = 0xd8, 0xd9, 0xda
	dqt, dri        = 0xdb, 0xdd
	app0, app1      = 0xe0, 0xe1 // JFIF, EXIF
	app2, app14     = 0xe2, 0xee // ICC profile, Adobe
	endOfImage      = "\xff\xd9"
	profileName     = "ICC_PROFILE\x00"
	maxProfileChunk = math.MaxUint16 - 2 - len(profileName) - 2 // bytes
)

// readJPEGInfo reads the frame header, section B.2.2 of ITU-T T.81. It also reads the segments before
// the first scan that mark samples as RGB, since the decoder converts such samples to a second image.
func readJPEGInfo(content io.Reader) (imageInfo, error) {
	r := bufio.NewReader(content)
	_, _ = r.Discard(2)
	var info imageInfo
	for rgb := false; ; {
		marker, length, err := readJPEGMarker(r)
		if err != nil {
			return imageInfo{}, err
		}
		if marker == sos {
			if rgb && info.mode == "RGB" {
				info.pixelBytes = 4
				info.decodeBytes += 4
			}
			return info, nil
		}
		payload, err := r.Peek(min(length, 18)) // a frame of four components
		if err != nil {
			return imageInfo{}, err
		}
		switch {
		case marker == app14:
			rgb = rgb || isAdobe(payload) && payload[11] == 0
		case isFrame(marker):
			if info, err = parseJPEGFrame(payload, marker == sof2); err != nil {
				return imageInfo{}, err
			}
			rgb = rgb || info.mode == "RGB" && hasRGBComponents(payload)
		}
		if _, err := r.Discard(length); err != nil {
			return imageInfo{}, err
		}
	}
}

// readJPEGMarker reads a marker and the length of its payload.
func readJPEGMarker(r *bufio.Reader) (marker byte, length int, err error) {
	for previous := byte(0); previous != 0xff || !isMarker(marker); {
		previous = marker
		if marker, err = r.ReadByte(); err != nil {
			return 0, 0, err
		}
	}
	if marker == soi || marker == eoi {
		return 0, 0, errCorrupt
	}
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, 0, err
	}
	if length = int(binary.BigEndian.Uint16(size[:])) - 2; length < 0 {
		return 0, 0, errCorrupt
	}
	return marker, length, nil
}

// isMarker reports whether the byte after 0xff begins a segment, or ends the image. Like browsers,
// readers skip other bytes between segments.
func isMarker(b byte) bool { return b > 0x01 && b < 0xff && (b < rst0 || b > rst7) }

func isFrame(marker byte) bool {
	return marker >= sof0 && marker <= 0xcf && marker != dht && marker != jpg && marker != dac
}

// parseJPEGFrame returns the information in a frame header.
func parseJPEGFrame(frame []byte, progressive bool) (imageInfo, error) {
	if len(frame) < 6 || len(frame) != 6+3*int(frame[5]) {
		return imageInfo{}, errCorrupt
	}
	info := imageInfo{height: int(binary.BigEndian.Uint16(frame[1:])), width: int(binary.BigEndian.Uint16(frame[3:]))}
	mode, ok := map[byte]string{1: "L", 3: "RGB", 4: "CMYK"}[frame[5]]
	if !ok {
		return imageInfo{}, errEncoding
	}
	info.mode = mode
	samples, maximum := 0, 1
	for i := 6; i < len(frame); i += 3 {
		sampling := int(frame[i+1]>>4) * int(frame[i+1]&15)
		samples, maximum = samples+sampling, max(maximum, sampling)
	}
	info.pixelBytes = float64(samples) / float64(maximum)
	info.decodeBytes = info.pixelBytes
	if frame[7]>>4 == 4 { // four luma samples in a row, which becomes 4:4:4 when rotated
		info.pixelBytes = 3
	}
	if progressive {
		info.decodeBytes *= 5 // coefficients of four bytes, kept until the last scan
	}
	if mode == "CMYK" {
		info.pixelBytes = 4
		info.decodeBytes += 4
	}
	return info, nil
}

// hasRGBComponents reports whether the three components of a frame are named R, G and B.
func hasRGBComponents(frame []byte) bool {
	return frame[6] == 'R' && frame[9] == 'G' && frame[12] == 'B'
}

// adobeSize is the size of the payload of a segment APP14. Readers ignore further bytes.
const adobeSize = 12

// isAdobe reports whether the payload of a segment APP14 holds Adobe's color
// transform.
func isAdobe(payload []byte) bool {
	return len(payload) >= adobeSize && bytes.HasPrefix(payload, []byte("Adobe"))
}

// stripJPEG keeps the segments that decoding needs. Of the application segments, it keeps JFIF, the
// color profile and Adobe's color transform. Like browsers, it ignores a missing end.
func stripJPEG(file []byte) (stripped []byte, orientation int, err error) {
	stripped = file[:2]
	scans := jpegScans{selectors: map[byte]bool{}}
	for rest := file[2:]; ; {
		marker, segment, tail, err := cutJPEGSegment(rest)
		if err != nil && scans.count == 0 {
			return nil, 0, err
		}
		if err != nil || marker == eoi {
			return append(stripped, endOfImage...), max(orientation, 1), scans.check()
		}
		payload := segment[4:]
		if tiff, ok := bytes.CutPrefix(payload, []byte("Exif\x00\x00")); ok && marker == app1 && orientation == 0 {
			orientation = exifOrientation(tiff)
		}
		if marker == sos {
			if scans.count++; scans.count > maxScans {
				return nil, 0, errScans
			}
			size := entropyCodedSize(tail)
			segment, tail = segment[:len(segment)+size], tail[size:]
		}
		scans.add(marker, payload)
		if marker != app14 || scans.count == 0 {
			stripped = appendSegment(stripped, marker, segment)
		}
		rest = tail
	}
}

// appendSegment appends the parts of a segment that decoding needs.
func appendSegment(stripped []byte, marker byte, segment []byte) []byte {
	payload := segment[4:]
	switch {
	case marker == app0 && bytes.HasPrefix(payload, []byte("JFIF\x00")) && len(payload) >= 14:
		stripped = append(stripped, 0xff, app0, 0, 16)
		return append(append(stripped, payload[:12]...), 0, 0) // without its thumbnail
	case marker == app14 && isAdobe(payload):
		stripped = append(stripped, 0xff, app14, 0, 2+adobeSize)
		return append(stripped, payload[:adobeSize]...)
	case isKeptSegment(marker, payload):
		return append(stripped, segment...)
	}
	return stripped
}

// jpegScans counts scans, and records their components.
type jpegScans struct {
	count      int
	components int           // of the frame
	selectors  map[byte]bool // of the components in scans
}

// add reads the components of a frame or a scan, sections B.2.2 and B.2.3 of ITU-T
// T.81.
func (s *jpegScans) add(marker byte, payload []byte) {
	if isFrame(marker) && len(payload) > 5 {
		s.components = int(payload[5])
	}
	if marker != sos || len(payload) == 0 {
		return
	}
	components := payload[1:][:min(2*int(payload[0]), len(payload)-1)]
	for i := 0; i < len(components); i += 2 {
		s.selectors[components[i]] = true
	}
}

// check returns an error if a component has no scan.
func (s *jpegScans) check() error {
	if len(s.selectors) < s.components {
		return errCorrupt
	}
	return nil
}

func isKeptSegment(marker byte, payload []byte) bool {
	switch marker {
	case dht, dqt, dri, sos:
		return true
	case app2:
		return bytes.HasPrefix(payload, []byte(profileName))
	}
	return isFrame(marker)
}

// cutJPEGSegment cuts the first segment, with its marker and length, off the data of a JPEG. It
// leaves the entropy-coded data of a scan in rest.
func cutJPEGSegment(data []byte) (marker byte, segment, rest []byte, err error) {
	for len(data) > 1 && (data[0] != 0xff || !isMarker(data[1])) {
		data = data[1:]
	}
	if len(data) < 2 || data[1] == soi {
		return 0, nil, nil, errCorrupt
	}
	if data[1] == eoi {
		return eoi, data[:2], data[2:], nil
	}
	if len(data) < 4 {
		return 0, nil, nil, errCorrupt
	}
	size := 2 + int(binary.BigEndian.Uint16(data[2:]))
	if size < 4 || size > len(data) {
		return 0, nil, nil, errCorrupt
	}
	return data[1], data[:size], data[size:], nil
}

// entropyCodedSize counts the bytes up to the next marker that ends a scan.
func entropyCodedSize(data []byte) int {
	for size := 0; ; size += 2 {
		next := bytes.IndexByte(data[size:], 0xff)
		if next < 0 || size+next+1 >= len(data) {
			return len(data)
		}
		size += next
		if marker := data[size+1]; marker == 0xff {
			size--
		} else if marker != 0 && (marker < rst0 || marker > rst7) {
			return size
		}
	}
}

// invertedCMYK is a segment APP14 that marks four components as inverted CMYK.
const invertedCMYK = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"

// standardTables is a segment DHT with the tables of section K.3 of ITU-T T.81, which
// package jpeg writes for color.
var standardTables = sync.OnceValue(func() []byte {
	var encoded bytes.Buffer
	_ = jpeg.Encode(&encoded, image.NewYCbCr(image.Rect(0, 0, 1, 1), image.YCbCrSubsampleRatio420), nil) // to memory
	for rest := encoded.Bytes()[2:]; ; {
		marker, segment, tail, err := cutJPEGSegment(rest)
		if err != nil || marker == dht {
			return segment
		}
		rest = tail
	}
})

// decodeJPEG decodes a JPEG. Like browsers, it takes four components for inverted CMYK unless Adobe's
// segment differs. It uses the standard tables if a file has none, such as a frame of a webcam.
func decodeJPEG(r io.Reader) (image.Image, error) {
	var start bytes.Buffer
	config, err := jpeg.DecodeConfig(io.TeeReader(r, &start))
	if _, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return nil, errEncoding
	}
	if err != nil {
		return nil, err
	}
	header := slices.Concat(start.Next(2), standardTables())
	if config.ColorModel == color.CMYKModel {
		header = append(header, invertedCMYK...)
	}
	return jpeg.Decode(io.MultiReader(bytes.NewReader(header), &start, r))
}

// readJPEGColors joins the segments of a profile, annex B.4 of ICC.1.
func readJPEGColors(stripped []byte) (colorSpace, error) {
	var parts [256][]byte
	count := 0
	for rest := stripped[2:]; ; {
		marker, segment, tail, err := cutJPEGSegment(rest)
		if err != nil || marker == sos || marker == eoi {
			break
		}
		payload, isProfile := bytes.CutPrefix(segment[4:], []byte(profileName))
		if isProfile && marker == app2 && len(payload) > 2 {
			parts[payload[0]], count = payload[2:], int(payload[1])
		}
		rest = tail
	}
	for _, part := range parts[1 : count+1] {
		if part == nil {
			return colorSpace{}, nil
		}
	}
	return newColorSpace(slices.Concat(parts[1:count+1]...), nil)
}

// jpegSegments returns the segments for the start of a JPEG.
func (c colorSpace) jpegSegments(gray bool) []byte {
	parts := slices.Collect(slices.Chunk(c.profileFor(gray), maxProfileChunk))
	var segments []byte
	for i, part := range parts {
		segments = append(segments, 0xff, app2)
		segments = binary.BigEndian.AppendUint16(segments, uint16(2+len(profileName)+2+len(part)))
		segments = append(append(segments, profileName...), byte(i+1), byte(len(parts)))
		segments = append(segments, part...)
	}
	return segments
}
