package imaging_test

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// The functions here add to encoded pictures what Go's encoders do not write.

// exif is a TIFF file of one tag.
func exif(orientation int) string {
	return "MM\x00\x2a\x00\x00\x00\x08" + "\x00\x01" + "\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(orientation)) + "\x00\x00" + "\x00\x00\x00\x00"
}

func withSegment(jpeg []byte, marker byte, payload string) []byte {
	segment := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(payload)+2))
	return slices.Concat(jpeg[:2], segment, []byte(payload), jpeg[2:])
}

// withChunk puts a chunk behind IHDR.
func withChunk(png []byte, name, data string) []byte {
	const end = 8 + 25
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	chunk = append(append(chunk, name...), data...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return slices.Concat(png[:end], chunk, png[end:])
}

// withGIFBlock puts a block behind the global colours.
func withGIFBlock(gif []byte, block string) []byte {
	end := 13
	if flags := gif[10]; flags&0x80 != 0 {
		end += 3 << (flags&7 + 1)
	}
	return slices.Concat(gif[:end], []byte(block), gif[end:])
}

// withRIFF makes an extended WebP, of the size of the scene, with one chunk
// more: a profile stands before the picture, the rest behind.
func withRIFF(webp []byte, name, data string) []byte {
	const behindHeader = 12 + 18
	if string(webp[12:16]) != "VP8X" {
		extended := "VP8X\x0a\x00\x00\x00" + "\x00\x00\x00\x00" + "\x9f\x00\x00" + "\x77\x00\x00"
		webp = slices.Concat(webp[:12], []byte(extended), webp[12:])
	}
	at, flag := len(webp), byte(0x04) // of XMP
	switch name {
	case "ICCP":
		at, flag = behindHeader, 0x20
	case "EXIF":
		flag = 0x08
	}
	chunk := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data)))
	webp = slices.Concat(webp[:at], chunk, []byte(data), make([]byte, len(data)&1), webp[at:])
	webp[20] |= flag
	binary.LittleEndian.PutUint32(webp[4:], uint32(len(webp)-8))
	return webp
}
