package imaging

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/webp"
)

const (
	maxPixels = 50_000_000
	maxSide   = 65_535 // pixels: what a JPEG may have
	maxFrames = 1000   // of an animation
	maxScans  = 100    // of a progressive JPEG: each costs a pass over all pixels
)

// An InputError says what is wrong with a file that was sent as a picture. It
// completes a sentence that begins with the name of the field.
type InputError string

func (e InputError) Error() string { return string(e) }

const (
	errNoPicture = InputError("must be a JPEG, PNG, GIF or WebP picture")
	errBroken    = InputError("is a broken or cut off picture")
	errPixels    = InputError("may have at most 50 megapixels")
	errSide      = InputError("may be at most 65535 pixels wide and high")
	errFrames    = InputError("may have at most 1000 frames")
	errScans     = InputError("may have at most 100 scans")
	errProfile   = InputError("may have a colour profile of at most 4194304 bytes")
	errAnimated  = InputError("must not be an animated WebP")
)

// header is what the first bytes of a picture say of it.
type header struct {
	format        *format
	width, height int
	mode          string  // as Pillow names it
	decodeBytes   float64 // of memory that decoding takes for a pixel
	pixelBytes    float64 // of a decoded pixel
	lossless      bool    // WebP may be in part
}

// check refuses what would cost too much to decode.
func (h header) check() error {
	switch {
	case h.width <= 0 || h.height <= 0:
		return errBroken
	case h.width > maxPixels/h.height:
		return errPixels
	case max(h.width, h.height) > maxSide:
		return errSide
	}
	return nil
}

const (
	blockSide   = 32      // pixels, to which decoders round a picture up
	fixedMemory = 8 << 20 // bytes of tables, of rows, and of what is small

	// Lossless WebP has tables of its own for each tile of 4 x 4 pixels or more.
	// The decoder refuses more than 2,600.
	maxTables, tableTile = 2600, 4
	tableBytes           = 56 << 10 // of 3,400 symbols
)

// memory bounds what all steps from the file to its thumbnails allocate, in
// bytes: the decoder, the strip of rows that is averaged, what is averaged and
// resized with its encoded forms, and the picture once it is turned upright and
// encoded again.
func (h header) memory(turned bool) int64 {
	width, height := ceilDiv(h.width, blockSide)*blockSide, ceilDiv(h.height, blockSide)*blockSide
	pixels, factor := float64(width)*float64(height), shrinkFactor(h.width, h.height)
	strip := float64(4 * h.width * min(factor, h.height))
	small := float64(ceilDiv(h.width, factor)) * float64(ceilDiv(h.height, factor))
	bytes := fixedMemory + pixels*h.decodeBytes + strip + small*smallBytes
	if h.lossless {
		bytes += float64(tableBytes * min(maxTables, ceilDiv(h.width, tableTile)*ceilDiv(h.height, tableTile)))
	}
	if turned {
		bytes += pixels * h.pixelBytes * turnedCopies
	}
	return int64(bytes)
}

const (
	smallBytes   = 8 // of memory for a pixel that is left after averaging
	turnedCopies = 5 // of a picture: turned, and encoded in a buffer that doubles
)

type format struct {
	mimeType, extension string
	magic               string // ? stands for any byte
	read                func(io.Reader) (header, error)
	strip               func([]byte) (stripped []byte, orientation int, err error)
	colours             func(stripped []byte) (colours, error)
	decode              func(io.Reader) (image.Image, error)
}

var formats = []*format{
	{"image/jpeg", ".jpg", "\xff\xd8\xff", readJPEG, stripJPEG, jpegColours, jpeg.Decode},
	{"image/png", ".png", pngMagic, readPNG, stripPNG, pngColours, png.Decode},
	{"image/gif", ".gif", "GIF8?a", readGIF, stripGIF, noColours, decodeGIF},
	{"image/webp", ".webp", "RIFF????WEBP", readWebP, stripWebP, webpColours, decodeWebP},
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// readHeader recognises a picture by its first bytes, whatever its name.
func readHeader(content io.Reader) (header, error) {
	r := bufio.NewReader(content)
	for _, format := range formats {
		if start, _ := r.Peek(len(format.magic)); matches(start, format.magic) {
			h, err := format.read(r)
			if _, told := errors.AsType[InputError](err); err != nil && !told {
				err = errBroken
			}
			h.format = format
			return h, err
		}
	}
	return header{}, errNoPicture
}

func matches(start []byte, magic string) bool {
	if len(start) != len(magic) {
		return false
	}
	for i := range start {
		if magic[i] != '?' && magic[i] != start[i] {
			return false
		}
	}
	return true
}

// decode decodes a stripped picture, of a GIF the first frame. The decoders
// have panicked on broken files before.
func (h header) decode(picture []byte) (decoded image.Image, err error) {
	defer func() {
		if recover() != nil {
			err = errBroken
		}
	}()
	decoded, err = h.format.decode(bytes.NewReader(picture))
	if err != nil || decoded.Bounds() != image.Rect(0, 0, h.width, h.height) {
		return nil, errBroken
	}
	return decoded, nil
}

// readJPEG looks for the frame header, section B.2.2 of ITU-T T.81, and for
// what stands before the first scan and says that there is no luma: the
// decoder then converts the picture.
func readJPEG(content io.Reader) (header, error) {
	r := bufio.NewReader(content)
	_, _ = r.Discard(2)
	var h header
	for rgb := false; ; {
		marker, length, err := jpegSegment(r)
		if err != nil {
			return header{}, err
		}
		if marker == sos {
			if rgb && h.mode == "RGB" {
				h.pixelBytes = 4
				h.decodeBytes += 4
			}
			return h, nil
		}
		payload, err := r.Peek(min(length, 18)) // a frame of four components
		switch {
		case err != nil:
			return header{}, err
		case marker == 0xee:
			rgb = rgb || length == 12 && isAdobe(payload) && payload[11] == 0
		case marker >= 0xc0 && marker <= 0xcf && marker != dht && marker != 0xc8 && marker != 0xcc:
			if h, err = jpegHeader(payload, marker == 0xc2); err != nil {
				return header{}, err
			}
			rgb = rgb || h.mode == "RGB" && payload[6] == 'R' && payload[9] == 'G' && payload[12] == 'B'
		}
		if _, err := r.Discard(length); err != nil {
			return header{}, err
		}
	}
}

const sof, dht, sos = 0xc0, 0xc4, 0xda // markers

// jpegSegment reads a marker and how many bytes belong to it.
func jpegSegment(r *bufio.Reader) (marker byte, length int, err error) {
	start := make([]byte, 3)
	if _, err := io.ReadFull(r, start[:2]); err != nil {
		return 0, 0, err
	}
	for start[0] == 0xff && start[1] == 0xff { // fill bytes
		if start[1], err = r.ReadByte(); err != nil {
			return 0, 0, err
		}
	}
	marker = start[1]
	if start[0] != 0xff || marker == 0 || marker == 0x01 || marker >= 0xd0 && marker < sos {
		return 0, 0, errBroken
	}
	if _, err := io.ReadFull(r, start[:2]); err != nil {
		return 0, 0, err
	}
	if length = int(binary.BigEndian.Uint16(start)) - 2; length < 0 {
		return 0, 0, errBroken
	}
	return marker, length, nil
}

func jpegHeader(frame []byte, progressive bool) (header, error) {
	if len(frame) < 6 || len(frame) != 6+3*int(frame[5]) {
		return header{}, errBroken
	}
	h := header{height: int(binary.BigEndian.Uint16(frame[1:])), width: int(binary.BigEndian.Uint16(frame[3:]))}
	mode, known := map[byte]string{1: "L", 3: "RGB", 4: "CMYK"}[frame[5]]
	if !known {
		return header{}, errBroken
	}
	h.mode = mode
	samples, most := 0, 1
	for i := 6; i < len(frame); i += 3 {
		sampling := int(frame[i+1]>>4) * int(frame[i+1]&15)
		samples, most = samples+sampling, max(most, sampling)
	}
	h.pixelBytes = float64(samples) / float64(most)
	h.decodeBytes = h.pixelBytes
	if frame[7]>>4 == 4 { // four samples of luma in a row: turned, that is 4:4:4
		h.pixelBytes = 3
	}
	if progressive {
		h.decodeBytes *= 5 // coefficients of four bytes, kept until the last scan
	}
	if mode == "CMYK" {
		h.pixelBytes = 4
		h.decodeBytes += 4
	}
	return h, nil
}

// readPNG reads the chunk IHDR, section 11.2.1 of the PNG specification.
func readPNG(r io.Reader) (header, error) {
	var start [29]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[12:16]) != "IHDR" {
		return header{}, errBroken
	}
	width, height := binary.BigEndian.Uint32(start[16:]), binary.BigEndian.Uint32(start[20:])
	if width > math.MaxInt32 || height > math.MaxInt32 {
		return header{}, errBroken
	}
	depth, colour := start[24], start[25]
	h := header{width: int(width), height: int(height), pixelBytes: 4}
	switch {
	case colour == 0 && depth == 1:
		h.mode = "1"
	case colour == 0 && depth == 16:
		h.mode = "I;16"
	case colour == 0:
		h.mode = "L"
	case colour == 2:
		h.mode = "RGB"
	case colour == 3:
		h.mode, h.pixelBytes = "P", 1
	case colour == 4 && depth == 8:
		h.mode = "LA"
	case colour == 4, colour == 6:
		h.mode = "RGBA"
	default:
		return header{}, errBroken
	}
	if depth == 16 {
		h.pixelBytes = 8
	}
	h.decodeBytes = h.pixelBytes
	if start[28] != 0 { // interlaced: the passes are decoded beside the picture
		h.decodeBytes *= 2
	}
	return h, nil
}

// readGIF reads the logical screen, section 18 of GIF89a, and the palette
// that decides the mode: for Pillow a ramp of greys is L.
func readGIF(content io.Reader) (header, error) {
	r := bufio.NewReader(content)
	var screen [13]byte
	if _, err := io.ReadFull(r, screen[:]); err != nil {
		return header{}, err
	}
	h := header{
		width:       int(binary.LittleEndian.Uint16(screen[6:])),
		height:      int(binary.LittleEndian.Uint16(screen[8:])),
		mode:        "P",
		decodeBytes: 5, // a frame that is smaller than the screen is drawn on one of four bytes a pixel
		pixelBytes:  4,
	}
	grey, err := readPalette(r, screen[10])
	if err != nil {
		return header{}, err
	}
	for {
		switch block, err := r.ReadByte(); {
		case err != nil:
			return header{}, err
		case block == gifExtension:
			if _, err := r.Discard(1); err != nil {
				return header{}, err
			}
			if err := skipBlocks(r); err != nil {
				return header{}, err
			}
		case block == gifImage:
			var descriptor [9]byte
			if _, err := io.ReadFull(r, descriptor[:]); err != nil {
				return header{}, err
			}
			if descriptor[8]&0x80 != 0 {
				if grey, err = readPalette(r, descriptor[8]); err != nil {
					return header{}, err
				}
			}
			if grey {
				h.mode = "L"
			}
			return h, nil
		default:
			return header{}, errBroken
		}
	}
}

const gifExtension, gifImage, gifTrailer = 0x21, 0x2c, 0x3b

// readPalette reads the colour table that the flags announce and reports
// whether each colour is the grey of its index.
func readPalette(r io.Reader, flags byte) (grey bool, err error) {
	if flags&0x80 == 0 {
		return true, nil
	}
	palette := make([]byte, 3<<(flags&7+1))
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

func skipBlocks(r *bufio.Reader) error {
	for {
		length, err := r.ReadByte()
		if err != nil || length == 0 {
			return err
		}
		if _, err := r.Discard(int(length)); err != nil {
			return err
		}
	}
}

// decodeGIF decodes the first frame and puts it on the screen.
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

// readWebP reads the first chunk, RFC 9649 section 2. The decoder holds the
// others to the size of the canvas.
func readWebP(r io.Reader) (header, error) {
	var start [30]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return header{}, err
	}
	h := header{mode: "RGB", decodeBytes: 8, pixelBytes: 4}
	alpha := false
	switch chunk := start[20:]; string(start[12:16]) {
	case "VP8 ":
		h.width, h.height = int(binary.LittleEndian.Uint16(chunk[6:])&0x3fff), int(binary.LittleEndian.Uint16(chunk[8:])&0x3fff)
	case "VP8L":
		bits := binary.LittleEndian.Uint32(chunk[1:])
		h.width, h.height, alpha = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1, bits>>28&1 == 1
		h.decodeBytes, h.lossless = 12, true
	case "VP8X":
		if chunk[0]&webpAnimated != 0 {
			return header{}, errAnimated
		}
		h.width, h.height, alpha = int(uint24(chunk[4:]))+1, int(uint24(chunk[7:]))+1, chunk[0]&webpAlpha != 0
		h.decodeBytes, h.lossless = 12, true
	default:
		return header{}, errBroken
	}
	if alpha {
		h.mode = "RGBA"
	}
	return h, nil
}

// decodeWebP gives the decoder's picture the range of a JPEG. It holds luma of
// 16 to 235 and chroma of 16 to 240, RFC 6386 section 9.2, which package image
// knows nothing of: the picture would be pale.
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
		stretch(yCbCr.Y, 219, 16, 0)
		stretch(yCbCr.Cb, 224, 128, 128)
		stretch(yCbCr.Cr, 224, 128, 128)
	}
	return decoded, nil
}

// stretch spreads samples over 0 to 255: span was the whole range, and zero
// becomes another.
func stretch(samples []byte, span, zero, becomes int) {
	var table [256]byte
	for i := range table {
		to := int(math.Round(float64((i-zero)*255)/float64(span))) + becomes
		table[i] = byte(min(max(to, 0), 255))
	}
	for i, sample := range samples {
		samples[i] = table[sample]
	}
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// Flags of the chunk VP8X, RFC 9649 section 2.7.
const webpAnimated, webpXMP, webpEXIF, webpAlpha = 0x02, 0x04, 0x08, 0x10
