package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

const (
	pngMagic  = "\x89PNG\r\n\x1a\n"
	endOfIHDR = len(pngMagic) + 25 // bytes
)

// readPNGInfo reads the chunk IHDR, section 11.2.1 of the PNG specification.
func readPNGInfo(r io.Reader) (imageInfo, error) {
	var start [29]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[12:16]) != "IHDR" {
		return imageInfo{}, errCorrupt
	}
	width, height := binary.BigEndian.Uint32(start[16:]), binary.BigEndian.Uint32(start[20:])
	depth, colorType := start[24], start[25]
	mode := pngMode(depth, colorType)
	if width > math.MaxInt32 || height > math.MaxInt32 || mode == "" {
		return imageInfo{}, errCorrupt
	}
	info := imageInfo{width: int(width), height: int(height), mode: mode, pixelBytes: 4}
	switch {
	case depth == 16:
		info.pixelBytes = 8
	case mode == "P":
		info.pixelBytes = 1
	}
	info.decodeBytes = info.pixelBytes
	if start[28] != 0 { // interlaced: the passes are decoded beside the image
		info.decodeBytes *= 2
	}
	return info, nil
}

// pngMode returns the mode by Pillow's name, "" for an unknown color type.
func pngMode(depth, colorType byte) string {
	switch {
	case colorType == 0 && depth == 1:
		return "1"
	case colorType == 0 && depth == 16:
		return "I;16"
	case colorType == 0:
		return "L"
	case colorType == 2:
		return "RGB"
	case colorType == 3:
		return "P"
	case colorType == 4 && depth == 8:
		return "LA"
	case colorType == 4, colorType == 6:
		return "RGBA"
	}
	return ""
}

// endOfPNG is the chunk IEND.
const endOfPNG = "\x00\x00\x00\x00IEND\xae\x42\x60\x82"

// stripPNG keeps the chunks that affect the look of the image. Like browsers, it ignores a missing
// end.
func stripPNG(file []byte) (stripped []byte, orientation int, err error) {
	stripped = file[:len(pngMagic)]
	filter := chunkFilter{file[25], isAnimationIntact(file[len(pngMagic):]), map[string]bool{}}
	for rest, frames := file[len(pngMagic):], 0; ; {
		chunk, tail, ok := cutPNGChunk(rest)
		if !ok && !filter.names["IDAT"] {
			return nil, 0, errCorrupt
		}
		if !ok || chunk.name() == "IEND" {
			return append(stripped, endOfPNG...), max(orientation, 1), nil
		}
		if chunk.name() == "eXIf" && orientation == 0 && chunk.isIntact() {
			orientation = exifOrientation(chunk.data())
		}
		if chunk.name() == "fcTL" {
			if frames++; frames > maxFrames {
				return nil, 0, errFrames
			}
		}
		if filter.accept(chunk) {
			stripped = append(stripped, chunk...)
		}
		rest = tail
	}
}

// pngChunk is a chunk with its length, name and CRC.
type pngChunk []byte

// cutPNGChunk cuts the first chunk off the data of a PNG. It reports false if there is no
// whole chunk.
func cutPNGChunk(data []byte) (chunk pngChunk, rest []byte, ok bool) {
	const frame = 12 // bytes of length, name and CRC
	if len(data) < frame || binary.BigEndian.Uint32(data) > uint32(len(data)-frame) {
		return nil, nil, false
	}
	size := frame + int(binary.BigEndian.Uint32(data))
	return data[:size], data[size:], true
}

func (c pngChunk) name() string { return string(c[4:8]) }

func (c pngChunk) data() []byte { return c[8 : len(c)-4] }

// isIntact reports whether the CRC matches.
func (c pngChunk) isIntact() bool {
	return binary.BigEndian.Uint32(c[len(c)-4:]) == crc32.ChecksumIEEE(c[4:len(c)-4])
}

// chunkFilter selects chunks. Like browsers, it ignores damaged ancillary chunks and invalid
// transparency.
type chunkFilter struct {
	colorType byte
	animated  bool            // whether to keep the chunks of an animation
	names     map[string]bool // of the accepted chunks
}

// accept reports whether to keep a chunk.
func (f *chunkFilter) accept(chunk pngChunk) bool {
	name := chunk.name()
	var keep bool
	switch name {
	case "IHDR", "IDAT":
		keep = true
	case "PLTE": // for other color types, it is a suggestion
		keep = f.colorType == pngPaletted
	case "tRNS":
		keep = chunk.isIntact() && !f.names["tRNS"] && !f.names["IDAT"] && f.allowsTransparency(len(chunk.data()))
	case "acTL", "fcTL", "fdAT":
		keep = f.animated
	default:
		keep = slices.Contains(ancillaryChunks, name) && chunk.isIntact()
	}
	if keep { // the map must not hold every name that a file invents
		f.names[name] = true
	}
	return keep
}

// allowsTransparency reports whether a chunk tRNS may have size bytes of data,
// section 11.3.1.1 of the PNG specification.
func (f *chunkFilter) allowsTransparency(size int) bool {
	switch f.colorType {
	case pngGray:
		return size == 2
	case pngTrueColor:
		return size == 6
	case pngPaletted:
		return size <= 256 && f.names["PLTE"]
	}
	return false
}

// Color types of images without an alpha channel.
const pngGray, pngTrueColor, pngPaletted = 0, 2, 3

var ancillaryChunks = []string{
	"gAMA", "cHRM", "sRGB", "iCCP", "cICP", "mDCV", "cLLI", "sBIT", "bKGD", "pHYs",
}

// isAnimationIntact reports whether no chunk of an animation is damaged. Browsers may show nothing of
// a damaged animation.
func isAnimationIntact(chunks []byte) bool {
	for {
		chunk, rest, ok := cutPNGChunk(chunks)
		if !ok || chunk.name() == "IEND" {
			return true
		}
		switch chunk.name() {
		case "acTL", "fcTL", "fdAT":
			if !chunk.isIntact() {
				return false
			}
		}
		chunks = rest
	}
}

// readPNGColors reads the chunks of section 11.3.2 of the PNG specification, in
// their order of precedence.
func readPNGColors(stripped []byte) (colorSpace, error) {
	data, whole := map[string][]byte{}, map[string][]byte{}
	for start := len(pngMagic); ; {
		stop := start + 12 + int(binary.BigEndian.Uint32(stripped[start:]))
		name := string(stripped[start+4 : start+8])
		if name == "IDAT" || name == "IEND" {
			break
		}
		if whole[name] == nil { // the first of several chunks counts
			data[name], whole[name] = stripped[start+8:stop-4], stripped[start:stop]
		}
		start = stop
	}
	if data["cICP"] != nil {
		return newColorSpace(nil, slices.Concat(whole["cICP"], whole["mDCV"], whole["cLLI"]))
	}
	if profile, ok := inflateProfile(data["iCCP"]); ok {
		return newColorSpace(profile, nil)
	}
	if data["sRGB"] != nil || isNilOr(data["gAMA"], srgbGamma) && isNilOr(data["cHRM"], srgbPoints) {
		return colorSpace{}, nil
	}
	return newColorSpace(nil, slices.Concat(whole["gAMA"], whole["cHRM"]))
}

// Gamma, white point and primaries of sRGB, as in gAMA and cHRM.
const (
	srgbGamma  = "\x00\x00\xb1\x8f"
	srgbPoints = "\x00\x00\x7a\x26\x00\x00\x80\x84\x00\x00\xfa\x00\x00\x00\x80\xe8" +
		"\x00\x00\x75\x30\x00\x00\xea\x60\x00\x00\x3a\x98\x00\x00\x17\x70"
)

func isNilOr(data []byte, value string) bool { return data == nil || string(data) == value }

// inflateProfile returns at most maxProfile + 1 bytes of the profile in the data of a chunk iCCP. It
// reports false if there is no profile.
func inflateProfile(chunk []byte) (profile []byte, ok bool) {
	_, compressed, ok := bytes.Cut(chunk, []byte{0})
	if !ok || len(compressed) == 0 {
		return nil, false
	}
	reader, err := zlib.NewReader(bytes.NewReader(compressed[1:]))
	if err != nil {
		return nil, false
	}
	profile, err = io.ReadAll(io.LimitReader(reader, maxProfile+1))
	return profile, err == nil
}

// pngChunks returns the chunks to insert after IHDR.
func (c colorSpace) pngChunks(gray bool) []byte {
	profile := c.profileFor(gray)
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
