package imaging

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
	"image/gif"
	"io"
)

const gifExtension, gifImage, gifTrailer = 0x21, 0x2c, 0x3b

// readGIFInfo reads the logical screen, section 18 of GIF89a, and the palette of the first frame.
// The mode depends on the palette: Pillow calls a ramp of grays L.
func readGIFInfo(content io.Reader) (imageInfo, error) {
	r := bufio.NewReader(content)
	var screen [13]byte
	if _, err := io.ReadFull(r, screen[:]); err != nil {
		return imageInfo{}, err
	}
	info := imageInfo{
		width:       int(binary.LittleEndian.Uint16(screen[6:])),
		height:      int(binary.LittleEndian.Uint16(screen[8:])),
		mode:        "P",
		decodeBytes: 5, // a frame smaller than the screen is drawn on one of four bytes per pixel
		pixelBytes:  4,
	}
	gray, err := readPalette(r, screen[10])
	if err != nil {
		return imageInfo{}, err
	}
	if err := skipExtensions(r); err != nil {
		return imageInfo{}, err
	}
	var descriptor [9]byte
	if _, err := io.ReadFull(r, descriptor[:]); err != nil {
		return imageInfo{}, err
	}
	if descriptor[8]&0x80 != 0 {
		if gray, err = readPalette(r, descriptor[8]); err != nil {
			return imageInfo{}, err
		}
	}
	if gray {
		info.mode = "L"
	}
	return info, nil
}

// paletteSize returns the size, in bytes, of the palette that flags announce.
func paletteSize(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// readPalette reads the palette that flags announce and reports whether each
// color is the gray of its index.
func readPalette(r io.Reader, flags byte) (gray bool, err error) {
	palette := make([]byte, paletteSize(flags))
	if _, err := io.ReadFull(r, palette); err != nil {
		return false, err
	}
	for i, c := range palette {
		if int(c) != i/3 {
			return false, nil
		}
	}
	return true, nil
}

// skipExtensions reads up to the descriptor of the first frame.
func skipExtensions(r *bufio.Reader) error {
	for {
		block, err := r.ReadByte()
		if err != nil || block == gifImage {
			return err
		}
		if block != gifExtension {
			return errCorrupt
		}
		if _, err := r.Discard(1); err != nil {
			return err
		}
		for length := byte(1); length > 0; {
			if length, err = r.ReadByte(); err != nil {
				return err
			}
			if _, err := r.Discard(int(length)); err != nil {
				return err
			}
		}
	}
}

// stripGIF keeps frames, their timing and the number of their repetitions. Like browsers, it ignores
// invalid data after the first frame. GIF has no orientation.
func stripGIF(file []byte) (stripped []byte, orientation int, err error) {
	if len(file) < 13 {
		return nil, 0, errCorrupt
	}
	header := 13 + paletteSize(file[10])
	if header > len(file) {
		return nil, 0, errCorrupt
	}
	stripped = file[:header]
	rest := file[header:]
	for frames := 0; ; {
		block, tail, ok := cutGIFBlock(rest)
		switch {
		case !ok && frames > 0:
			return append(stripped, gifTrailer), 1, nil
		case !ok:
			return nil, 0, errCorrupt
		case block[0] == gifImage:
			if frames++; frames > maxFrames {
				return nil, 0, errFrames
			}
		}
		if block[0] == gifImage || isKeptExtension(block[1:]) {
			stripped = append(stripped, block...)
		}
		rest = tail
	}
}

// cutGIFBlock cuts the first extension or frame, with its sub-blocks, off the data
// of a GIF. It reports false if there is none.
func cutGIFBlock(data []byte) (block, rest []byte, ok bool) {
	var size int // without the sub-blocks, then with them
	switch {
	case len(data) > 2 && data[0] == gifExtension:
		size = 2
	case len(data) > 10 && data[0] == gifImage:
		size = 11 + paletteSize(data[9])
	default:
		return nil, nil, false
	}
	for length := 1; length > 0; size += 1 + length {
		if size >= len(data) {
			return nil, nil, false
		}
		length = int(data[size])
	}
	return data[:size], data[size:], true
}

// isKeptExtension reports whether an extension, which begins with its label, is a graphic control
// extension or the number of repetitions of an animation.
func isKeptExtension(extension []byte) bool {
	return extension[0] == 0xf9 ||
		bytes.HasPrefix(extension, []byte("\xff\x0bNETSCAPE2.0")) ||
		bytes.HasPrefix(extension, []byte("\xff\x0bANIMEXTS1.0"))
}

func readGIFColors([]byte) (colorSpace, error) { return colorSpace{}, nil }

// decodeGIF decodes the first frame and draws it on the logical screen.
func decodeGIF(r io.Reader) (image.Image, error) {
	// gif.Decode ends after the first frame, gif.DecodeConfig before it.
	var start bytes.Buffer
	config, err := gif.DecodeConfig(io.TeeReader(r, &start))
	if err != nil {
		return nil, err
	}
	frame, err := gif.Decode(io.MultiReader(&start, r))
	if err != nil {
		return nil, err
	}
	screen := image.Rect(0, 0, config.Width, config.Height)
	if frame.Bounds() == screen {
		return frame, nil
	}
	canvas := image.NewNRGBA(screen)
	draw.Draw(canvas, frame.Bounds(), frame, frame.Bounds().Min, draw.Src)
	return canvas, nil
}
