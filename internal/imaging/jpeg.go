package imaging

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// Markers, table B.1 of ITU-T T.81.
const (
	sof0, sof2      = 0xc0, 0xc2 // start of frame: baseline, progressive
	dht, jpg, dac   = 0xc4, 0xc8, 0xcc
	rst0, rst7      = 0xd0, 0xd7
	eoi, sos, exp   = 0xd9, 0xda, 0xdf
	app0, app1      = 0xe0, 0xe1 // JFIF, EXIF
	app2, app14     = 0xe2, 0xee // ICC profile, Adobe
	endOfImage      = "\xff\xd9"
	profileName     = "ICC_PROFILE\x00"
	maxProfileChunk = math.MaxUint16 - 2 - len(profileName) - 2 // bytes
)

// readJPEGInfo reads the frame header, section B.2.2 of ITU-T T.81, and the
// segments before the first scan that mark the samples as RGB, which the
// decoder converts to another image.
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
	var start [2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return 0, 0, err
	}
	for start[0] == 0xff && start[1] == 0xff { // fill bytes
		if start[1], err = r.ReadByte(); err != nil {
			return 0, 0, err
		}
	}
	marker = start[1]
	if start[0] != 0xff || marker == 0 || marker == 0x01 || marker >= rst0 && marker < sos {
		return 0, 0, errCorrupt
	}
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return 0, 0, err
	}
	if length = int(binary.BigEndian.Uint16(start[:])) - 2; length < 0 {
		return 0, 0, errCorrupt
	}
	return marker, length, nil
}

func isFrame(marker byte) bool {
	return marker >= sof0 && marker <= 0xcf && marker != dht && marker != jpg && marker != dac
}

func parseJPEGFrame(frame []byte, progressive bool) (imageInfo, error) {
	if len(frame) < 6 || len(frame) != 6+3*int(frame[5]) {
		return imageInfo{}, errCorrupt
	}
	info := imageInfo{height: int(binary.BigEndian.Uint16(frame[1:])), width: int(binary.BigEndian.Uint16(frame[3:]))}
	mode, known := map[byte]string{1: "L", 3: "RGB", 4: "CMYK"}[frame[5]]
	if !known {
		return imageInfo{}, errCorrupt
	}
	info.mode = mode
	samples, most := 0, 1
	for i := 6; i < len(frame); i += 3 {
		sampling := int(frame[i+1]>>4) * int(frame[i+1]&15)
		samples, most = samples+sampling, max(most, sampling)
	}
	info.pixelBytes = float64(samples) / float64(most)
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

// hasRGBComponents reports whether the components of a frame of three are
// named R, G and B.
func hasRGBComponents(frame []byte) bool {
	return frame[6] == 'R' && frame[9] == 'G' && frame[12] == 'B'
}

// isAdobe reports whether the payload of a segment APP14 holds Adobe's color
// transform and nothing else.
func isAdobe(payload []byte) bool {
	return len(payload) == 12 && bytes.HasPrefix(payload, []byte("Adobe"))
}

// stripJPEG keeps what is decoded and, of the application segments, JFIF, the
// color profile and Adobe's color transform.
func stripJPEG(file []byte) (stripped []byte, orientation int, err error) {
	stripped, orientation = file[:2], 1
	scans := 0
	for rest := file[2:]; ; {
		marker, segment, after, err := cutJPEGSegment(rest)
		if err != nil {
			return nil, 0, err
		}
		if marker == eoi {
			return append(stripped, endOfImage...), orientation, nil
		}
		payload := segment[4:]
		if tiff, ok := bytes.CutPrefix(payload, []byte("Exif\x00\x00")); ok && marker == app1 {
			orientation = exifOrientation(tiff)
		}
		if marker == sos {
			if scans++; scans > maxScans {
				return nil, 0, errScans
			}
			size := entropyCodedSize(after)
			segment, after = segment[:len(segment)+size], after[size:]
		}
		switch {
		case marker == app0 && bytes.HasPrefix(payload, []byte("JFIF\x00")) && len(payload) >= 14:
			stripped = append(stripped, 0xff, app0, 0, 16)
			stripped = append(append(stripped, payload[:12]...), 0, 0) // without its thumbnail
		case isKeptSegment(marker, payload), marker == app14 && scans == 0 && isAdobe(payload):
			stripped = append(stripped, segment...)
		}
		rest = after
	}
}

func isKeptSegment(marker byte, payload []byte) bool {
	return marker >= sof0 && marker <= exp || // tables, frames and scans
		marker == app2 && bytes.HasPrefix(payload, []byte(profileName))
}

// cutJPEGSegment cuts the first segment, with its marker and length, off the
// data of a JPEG. Entropy-coded data of a scan is left in rest.
func cutJPEGSegment(data []byte) (marker byte, segment, rest []byte, err error) {
	for len(data) > 1 && data[0] == 0xff && data[1] == 0xff { // fill bytes
		data = data[1:]
	}
	if len(data) < 2 || data[0] != 0xff {
		return 0, nil, nil, errCorrupt
	}
	if data[1] == eoi {
		return eoi, data[:2], data[2:], nil
	}
	if len(data) < 4 {
		return 0, nil, nil, errCorrupt
	}
	end := 2 + int(binary.BigEndian.Uint16(data[2:]))
	if end < 4 || end > len(data) {
		return 0, nil, nil, errCorrupt
	}
	return data[1], data[:end], data[end:], nil
}

// entropyCodedSize counts the bytes up to the next marker that ends a scan.
func entropyCodedSize(data []byte) int {
	for at := 0; ; at += 2 {
		next := bytes.IndexByte(data[at:], 0xff)
		if next < 0 || at+next+1 >= len(data) {
			return len(data)
		}
		at += next
		if marker := data[at+1]; marker == 0xff {
			at--
		} else if marker != 0 && (marker < rst0 || marker > rst7) {
			return at
		}
	}
}

// readJPEGColors joins the segments of a profile, annex B.4 of ICC.1.
func readJPEGColors(stripped []byte) (colorSpace, error) {
	var parts [256][]byte
	count := 0
	for rest := stripped[2:]; ; {
		marker, segment, after, err := cutJPEGSegment(rest)
		if err != nil || marker == sos || marker == eoi {
			break
		}
		payload, isProfile := bytes.CutPrefix(segment[4:], []byte(profileName))
		if isProfile && marker == app2 && len(payload) > 2 {
			parts[payload[0]], count = payload[2:], int(payload[1])
		}
		rest = after
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
