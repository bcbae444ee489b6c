// Package imaging removes the metadata of image files and renders thumbnails. It works in
// memory, and stores nothing.
package imaging

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
)

const (
	maxPixels  = 50_000_000
	maxSide    = 65_535  // pixels, the maximum of JPEG
	maxFrames  = 1000    // of an animation
	maxScans   = 100     // of a progressive JPEG: each costs a pass over all pixels
	maxProfile = 4 << 20 // bytes
	maxEnd     = 12      // bytes, of PNG
)

// An InputError describes a defect of an image file. It completes a sentence
// that begins with the name of the field.
type InputError string

func (e InputError) Error() string { return string(e) }

const (
	errNotImage = InputError("must be a JPEG, PNG, GIF or WebP file")
	errCorrupt  = InputError("is corrupt or truncated")
	errPixels   = InputError("may have at most 50 megapixels")
	errSide     = InputError("may be at most 65535 pixels wide and high")
	errFrames   = InputError("may have at most 1000 frames")
	errScans    = InputError("may have at most 100 scans")
	errProfile  = InputError("may have a color profile of at most 4194304 bytes")
	errAnimated = InputError("must not be an animated WebP")
	errEncoding = InputError("is a JPEG of a kind that is not supported: save it again, with chroma subsampling 4:2:0 or 4:4:4")
)

// imageInfo describes an image by its header.
type imageInfo struct {
	format        *format
	width, height int
	mode          string  // by Pillow's name
	decodeBytes   float64 // memory for decoding, per pixel
	pixelBytes    float64 // memory of the decoded image, per pixel
	lossless      bool    // WebP that may have lossless parts
}

// check returns an InputError if the image is too expensive to decode.
func (i imageInfo) check() error {
	switch {
	case i.width <= 0 || i.height <= 0:
		return errCorrupt
	case i.width > maxPixels/i.height:
		return errPixels
	case max(i.width, i.height) > maxSide:
		return errSide
	}
	return nil
}

const (
	blockSide   = 32      // pixels, to which decoders round sides up
	fixedMemory = 8 << 20 // bytes for tables, rows and other small buffers

	// Lossless WebP has its own tables for each tile of at least 4 x 4 pixels.
	// The decoder rejects files with more than 2,600.
	maxTables, tableTile = 2600, 4
	tableBytes           = 56 << 10 // of 3,400 symbols

	smallBytes     = 8 // memory per pixel left after downsampling
	orientedCopies = 5 // of an image: oriented, and encoded in a buffer that doubles
)

// memory returns an upper bound of the bytes that all steps from the file to its thumbnails
// allocate. The steps are decoding, downsampling, resizing and encoding. If orient is set, the
// image itself is also oriented and encoded.
func (i imageInfo) memory(orient bool) int64 {
	width, height := ceilDiv(i.width, blockSide)*blockSide, ceilDiv(i.height, blockSide)*blockSide
	pixels, factor := float64(width)*float64(height), downsampleFactor(i.width, i.height)
	strip := float64(4 * i.width * min(factor, i.height))
	small := float64(ceilDiv(i.width, factor)) * float64(ceilDiv(i.height, factor))
	bytes := fixedMemory + pixels*i.decodeBytes + strip + small*smallBytes
	if i.lossless {
		bytes += float64(tableBytes * min(maxTables, ceilDiv(i.width, tableTile)*ceilDiv(i.height, tableTile)))
	}
	if orient {
		bytes += pixels * i.pixelBytes * orientedCopies
	}
	return int64(bytes)
}

// format holds the functions for the files of one format.
type format struct {
	mimeType, extension string
	magic               string // of the first bytes; ? matches any byte
	readInfo            func(io.Reader) (imageInfo, error)

	// strip removes all data that does not affect the look of the image: location,
	// author, comments, embedded thumbnails, trailing data. It reuses the memory of
	// the file, and checks the file's structure. If the end of the image is missing,
	// it appends up to maxEnd bytes. It returns the first EXIF orientation, 1 by
	// default.
	strip func(file []byte) (stripped []byte, orientation int, err error)

	readColors func(stripped []byte) (colorSpace, error)
	decode     func(io.Reader) (image.Image, error) // the first frame
}

var formats = []*format{
	{"image/jpeg", ".jpg", "\xff\xd8\xff", readJPEGInfo, stripJPEG, readJPEGColors, decodeJPEG},
	{"image/png", ".png", pngMagic, readPNGInfo, stripPNG, readPNGColors, png.Decode},
	{"image/gif", ".gif", "GIF8?a", readGIFInfo, stripGIF, readGIFColors, decodeGIF},
	{"image/webp", ".webp", "RIFF????WEBP", readWebPInfo, stripWebP, readWebPColors, decodeWebP},
}

// readInfo detects the format by the first bytes and reads the header.
func readInfo(content io.Reader) (imageInfo, error) {
	r := bufio.NewReader(content)
	for _, format := range formats {
		if start, _ := r.Peek(len(format.magic)); !hasMagic(start, format.magic) {
			continue
		}
		info, err := format.readInfo(r)
		if _, ok := errors.AsType[InputError](err); err != nil && !ok {
			err = errCorrupt
		}
		info.format = format
		return info, err
	}
	return imageInfo{}, errNotImage
}

func hasMagic(start []byte, magic string) bool {
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

// decode decodes a stripped file. It recovers from panics of decoders, which corrupt files have
// caused.
func (i imageInfo) decode(stripped []byte) (decoded image.Image, err error) {
	defer func() {
		if recover() != nil {
			err = errCorrupt
		}
	}()
	decoded, err = i.format.decode(bytes.NewReader(stripped))
	if _, ok := errors.AsType[InputError](err); ok {
		return nil, err
	}
	if err != nil || decoded.Bounds() != image.Rect(0, 0, i.width, i.height) {
		return nil, errCorrupt
	}
	return decoded, nil
}
