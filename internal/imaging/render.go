package imaging

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"io"
	"math"
	"slices"

	"github.com/bbrks/go-blurhash"
)

// Boxes are the sides of the squares that thumbnails fit into, in pixels and ascending order. The
// legacy system has the same.
var Boxes = [...]int{64, 128, 512, 1080}

const (
	thumbnailQuality = 82 // of JPEG
	originalQuality  = 92 // of JPEG, if the image must be oriented
)

// Source is an image file without its metadata, ready to be rendered.
type Source struct {
	Hash [sha256.Size]byte // of the file with metadata

	imageInfo
	size        int64  // of the file with metadata, in bytes
	content     []byte // without metadata
	orientation int    // 1 to 8, as in EXIF
	colors      colorSpace
}

// Read reads an image file and removes its metadata. It checks the size, in bytes, and the header
// before it reads the rest. The error is an InputError unless file fails.
func Read(file io.ReadSeeker, maxSize int64) (*Source, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if size > maxSize {
		return nil, InputError(fmt.Sprintf("may have at most %d bytes", maxSize))
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	info, err := readInfo(file)
	if err == nil {
		err = info.check()
	}
	if err != nil {
		return nil, err
	}
	content := make([]byte, size, size+maxEnd)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(file, content); err != nil {
		return nil, err
	}
	source := &Source{Hash: sha256.Sum256(content), imageInfo: info, size: size}
	if source.content, source.orientation, err = info.format.strip(content); err != nil {
		return nil, err
	}
	if source.colors, err = info.format.readColors(source.content); err != nil {
		return nil, err
	}
	return source, nil
}

// Memory returns an upper bound of the bytes that Read and Render allocate.
func (s *Source) Memory() int64 {
	return s.size + s.memory(s.orientation != 1) + s.colors.memory()
}

// Rendition is an encoded image.
type Rendition struct {
	Content       []byte
	Extension     string // of a file name, with a dot
	Width, Height int    // pixels
}

// Renditions are the files that Render derives from an image.
type Renditions struct {
	Original    Rendition   // without metadata, upright
	Thumbnails  []Rendition // one for each of Boxes
	MIMEType    string      // of the original
	Mode        string      // of the original, by Pillow's name
	Placeholder string      // BlurHash
}

// Render decodes the source and renders its renditions. The error is an InputError if the source is
// corrupt.
func (s *Source) Render() (*Renditions, error) {
	decoded, err := s.decode(s.content)
	if err != nil {
		return nil, err
	}
	content, info := s.content, s.imageInfo
	if s.orientation != 1 {
		if content, err = s.encodeOriented(orient(decoded, s.orientation)); err != nil {
			return nil, err
		}
		if info, err = readInfo(bytes.NewReader(content)); err != nil {
			return nil, err
		}
	}
	renditions := &Renditions{
		Original: Rendition{content, info.format.extension, info.width, info.height},
		MIMEType: info.format.mimeType, Mode: info.mode,
	}
	renditions.Thumbnails, renditions.Placeholder, err = renderThumbnails(decoded, s.orientation, s.colors)
	return renditions, err
}

// encodeOriented encodes the oriented original. It encodes JPEG and lossy WebP as JPEG, and all
// other formats as PNG.
func (s *Source) encodeOriented(oriented image.Image) ([]byte, error) {
	extension := ".png"
	_, lossy := oriented.(*image.YCbCr)
	if s.format.mimeType == "image/jpeg" || s.format.mimeType == "image/webp" && lossy {
		extension = ".jpg"
	}
	encoder := newEncoder(extension, s.colors, isGray(oriented))
	encoder.quality, encoder.keepSampling = originalQuality, extension == ".jpg"
	return encoder.encode(oriented)
}

// renderThumbnails returns a thumbnail for each of Boxes, and a BlurHash. It resizes each thumbnail
// from the next larger thumbnail.
func renderThumbnails(decoded image.Image, orientation int, colors colorSpace) ([]Rendition, string, error) {
	size := decoded.Bounds().Size()
	current := downsample(decoded, downsampleFactor(size.X, size.Y))
	extension := ".jpg"
	if !isOpaque(current.image()) || colors.chunks != nil {
		extension = ".png"
	}
	encoder := newEncoder(extension, colors, isGray(current.image()))
	thumbnails := make([]Rendition, len(Boxes))
	for i, box := range slices.Backward(Boxes[:]) {
		width, height := fit(size, box)
		if float64(width) != current.width || float64(height) != current.height {
			current = current.resize(width, height)
		} else if i+1 < len(Boxes) { // the image fits into both boxes
			thumbnails[i] = thumbnails[i+1]
			continue
		}
		oriented := orient(current.image(), orientation)
		content, err := encoder.encode(oriented)
		if err != nil {
			return nil, "", err
		}
		bounds := oriented.Bounds()
		thumbnails[i] = Rendition{content, extension, bounds.Dx(), bounds.Dy()}
	}
	small := orient(current.resize(fit(size, Boxes[0]/2)).image(), orientation) // enough for a blur
	placeholder, err := blurhash.Encode(components(small.Bounds().Dx(), 4), components(small.Bounds().Dy(), 3), small)
	return thumbnails, placeholder, err
}

// components returns the number of BlurHash components for an axis, at most limit. Components
// beyond pixels - 1 would be zero.
func components(pixels, limit int) int { return max(1, min(pixels-1, limit)) }

// downsampleFactor returns a factor that leaves at least 1.5 times the size of the largest
// thumbnail. So the quality depends on resize, whose filter is better.
func downsampleFactor(width, height int) int {
	largest := float64(Boxes[len(Boxes)-1])
	return max(1, int(float64(max(width, height))/largest/1.5))
}

// fit returns the size of an image that is scaled down to fit into a square box. The size is at
// least one pixel.
func fit(size image.Point, box int) (width, height int) {
	scale := min(1, float64(box)/float64(max(size.X, size.Y)))
	return max(1, int(math.Round(float64(size.X)*scale))), max(1, int(math.Round(float64(size.Y)*scale)))
}

func isOpaque(img image.Image) bool {
	opaque, ok := img.(interface{ Opaque() bool })
	return ok && opaque.Opaque()
}
