package imaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bbrks/go-blurhash"
	"golang.org/x/sync/semaphore"
)

// Boxes are the sides of the squares that thumbnails fit into, in pixels,
// ascending: those of the legacy system.
var Boxes = []int{64, 128, 512, 1080}

const (
	thumbnailQuality = 82 // of JPEG
	uprightQuality   = 92 // of a picture that had to be turned
)

// Picture is what Save stored.
type Picture struct {
	Key           string
	Name          string // without extension
	MIMEType      string
	Mode          string // as Pillow names it
	Width, Height int
	Size          int64             // bytes
	Placeholder   string            // blurhash
	Source        [sha256.Size]byte // hash of the file as it was sent
	Thumbnails    []Thumbnail       // one for each of Boxes
}

// Thumbnail is a smaller rendering of a picture.
type Thumbnail struct {
	Key           string
	Box           int // side of the bounding square
	Width, Height int
	Size          int64 // bytes
}

// Pictures makes pictures of files and stores them with their thumbnails.
type Pictures struct {
	store     Store
	maxBytes  int64
	maxMemory int64
	memory    *semaphore.Weighted // of maxMemory

	// AtWork, if set, is told how many bytes of memory the pictures at work may
	// take, whenever that changes.
	AtWork func(bytes int64)
	mu     sync.Mutex
	atWork int64
}

// take waits for memory, as long as ctx lasts.
func (p *Pictures) take(ctx context.Context, bytes int64) error {
	if err := p.memory.Acquire(ctx, bytes); err != nil {
		return err
	}
	p.changeWork(bytes)
	return nil
}

func (p *Pictures) give(bytes int64) {
	p.changeWork(-bytes)
	p.memory.Release(bytes)
}

func (p *Pictures) changeWork(by int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.atWork += by; p.AtWork != nil {
		p.AtWork(p.atWork)
	}
}

// NewPictures keeps pictures in the store. A file may have maxBytes, and all
// pictures that are worked on at once may take maxMemory bytes.
func NewPictures(store Store, maxBytes, maxMemory int64) *Pictures {
	return &Pictures{store: store, maxBytes: maxBytes, maxMemory: maxMemory, memory: semaphore.NewWeighted(maxMemory)}
}

// MaxBytes is how large a file may be.
func (p *Pictures) MaxBytes() int64 { return p.maxBytes }

// ErrUncertain marks an error of a commit that may have done its work.
var ErrUncertain = errors.New("it is not known whether the rows were written")

// Save reads a picture that a client calls name, stores it without metadata
// and with its thumbnails, and then calls commit to write the rows. Where
// that fails the files go, unless the error is ErrUncertain. The error is an
// InputError for a file that is no picture, or takes more bytes or memory than
// it may. Save waits, as long as ctx lasts, while other pictures take the memory
// there is for them.
func (p *Pictures) Save(ctx context.Context, name string, content io.ReadSeeker, commit func(Picture) error) error {
	read, err := p.read(content)
	if err != nil {
		return err
	}
	if err := p.take(ctx, read.memory()); err != nil {
		return err
	}
	made, err := read.render()
	kept := min(made.picture.Size, read.memory()) // until it is stored
	p.give(read.memory() - kept)
	defer p.give(kept)
	if err != nil {
		return err
	}
	made.picture.Name = cleanName(name)
	keys, err := p.write(ctx, &made)
	if err == nil {
		err = commit(made.picture)
	}
	if err != nil && !errors.Is(err, ErrUncertain) {
		err = errors.Join(err, p.remove(context.WithoutCancel(ctx), keys))
	}
	return err
}

// source is a file that is worth decoding.
type source struct {
	header
	stripped    []byte
	size        int64 // bytes, before metadata was stripped
	hash        [sha256.Size]byte
	orientation int // 1 to 8, as EXIF has it
	colours     colours
}

// memory bounds what making the files takes, in bytes.
func (s *source) memory() int64 {
	return s.size + s.header.memory(s.orientation != 1) + s.colours.memory()
}

// read refuses what is not worth decoding, by its size and first bytes, and
// reads the rest.
func (p *Pictures) read(content io.ReadSeeker) (*source, error) {
	size, err := content.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if size > p.maxBytes {
		return nil, InputError(fmt.Sprintf("may have at most %d bytes", p.maxBytes))
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	found, err := readHeader(content)
	if err == nil {
		err = found.check()
	}
	if err != nil {
		return nil, err
	}
	file := make([]byte, size)
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(content, file); err != nil {
		return nil, err
	}
	read := &source{header: found, size: size, hash: sha256.Sum256(file)}
	if read.stripped, read.orientation, err = found.format.strip(file); err != nil {
		return nil, err
	}
	if read.colours, err = found.format.colours(read.stripped); err != nil {
		return nil, err
	}
	if need := read.memory(); need > p.maxMemory {
		const mebibyte = 1 << 20
		return nil, InputError(fmt.Sprintf("takes %d MiB of memory to decode, of which there are %d", (need+mebibyte-1)/mebibyte, p.maxMemory/mebibyte))
	}
	return read, nil
}

// rendered is a picture with the bytes of its files.
type rendered struct {
	picture             Picture
	original            []byte
	extension           string
	thumbnails          [][]byte // one for each of Boxes
	thumbnailsExtension string
}

// render makes the files of a picture, in no more memory than the source says.
func (s *source) render() (made rendered, err error) {
	found := s.header
	decoded, err := found.decode(s.stripped)
	if err != nil {
		return rendered{}, err
	}
	made = rendered{original: s.stripped, extension: found.format.extension}
	if s.orientation != 1 {
		if found, err = made.rewrite(found, upright(decoded, s.orientation), s.colours); err != nil {
			return rendered{}, err
		}
	}
	made.picture = Picture{
		MIMEType: found.format.mimeType, Mode: found.mode, Width: found.width, Height: found.height,
		Size: int64(len(made.original)), Source: s.hash,
	}
	return made, made.renderThumbnails(decoded, s.orientation, s.colours)
}

// rewrite encodes a picture that was turned in place of the original. Where
// it came from a format that cannot be written, JPEG or PNG stands in.
func (r *rendered) rewrite(was header, turned image.Image, colours colours) (header, error) {
	to := encoder{extension: ".png"}
	_, yCbCr := turned.(*image.YCbCr)
	if was.format.mimeType == "image/jpeg" || was.format.mimeType == "image/webp" && yCbCr { // as lossy WebP is decoded
		to = encoder{extension: ".jpg", quality: uprightQuality, keepSampling: true}
	}
	to.say(colours, isGrey(turned))
	var err error
	if r.original, err = to.encode(turned); err != nil {
		return header{}, err
	}
	r.extension = to.extension
	return readHeader(bytes.NewReader(r.original))
}

func (r *rendered) renderThumbnails(decoded image.Image, orientation int, colours colours) error {
	size := decoded.Bounds().Size()
	current := shrink(decoded, shrinkFactor(size.X, size.Y))
	to := encoder{extension: ".jpg", quality: thumbnailQuality}
	if !opaque(current.image()) || colours.chunks != nil {
		to.extension = ".png"
	}
	to.say(colours, isGrey(current.image()))
	r.thumbnailsExtension = to.extension
	r.thumbnails = make([][]byte, len(Boxes))
	r.picture.Thumbnails = make([]Thumbnail, len(Boxes))
	for i, box := range slices.Backward(Boxes) {
		width, height := fit(size, box)
		if float64(width) != current.width || float64(height) != current.height {
			current = current.resized(width, height)
		} else if i+1 < len(Boxes) { // the picture fits into both boxes
			r.thumbnails[i], r.picture.Thumbnails[i] = r.thumbnails[i+1], r.picture.Thumbnails[i+1]
			r.picture.Thumbnails[i].Box = box
			continue
		}
		thumbnail := upright(current.image(), orientation)
		var err error
		if r.thumbnails[i], err = to.encode(thumbnail); err != nil {
			return err
		}
		turned := thumbnail.Bounds().Size()
		r.picture.Thumbnails[i] = Thumbnail{Box: box, Width: turned.X, Height: turned.Y, Size: int64(len(r.thumbnails[i]))}
	}
	smallest := current.resized(fit(size, Boxes[0]/2)) // all that a blur needs
	blur := upright(smallest.image(), orientation)
	var err error
	r.picture.Placeholder, err = blurhash.Encode(components(blur.Bounds().Dx(), 4), components(blur.Bounds().Dy(), 3), blur)
	return err
}

// components is how many components of a BlurHash an axis of so many pixels has:
// more than one less than the pixels would be of nothing.
func components(pixels, atMost int) int { return max(1, min(pixels-1, atMost)) }

// shrinkFactor is how many samples a side averaging makes one of. It leaves half
// as much again as the largest thumbnail needs: the better filter does the rest.
func shrinkFactor(width, height int) int {
	largest := float64(Boxes[len(Boxes)-1])
	return max(1, int(float64(max(width, height))/largest/1.5))
}

// fit is the size in a square, never enlarged and at least one pixel.
func fit(size image.Point, box int) (width, height int) {
	scale := min(1, float64(box)/float64(max(size.X, size.Y)))
	return max(1, int(math.Round(float64(size.X)*scale))), max(1, int(math.Round(float64(size.Y)*scale)))
}

func opaque(picture image.Image) bool {
	known, ok := picture.(interface{ Opaque() bool })
	return ok && known.Opaque()
}

// write stores the files and returns the keys of those that are there, also
// with an error.
func (p *Pictures) write(ctx context.Context, made *rendered) (keys []string, err error) {
	key, err := p.create(ctx, folderOf(time.Now())+"/"+stem(made.picture.Name)+made.extension, made.original)
	if err != nil {
		return nil, err
	}
	made.picture.Key, keys = key, []string{key}
	for i, content := range made.thumbnails {
		thumbnail := &made.picture.Thumbnails[i]
		if thumbnail.Key, err = p.create(ctx, thumbnailKey(key, thumbnail.Box, made.thumbnailsExtension), content); err != nil {
			return keys, err
		}
		keys = append(keys, thumbnail.Key)
	}
	return keys, nil
}

// create stores a file under the key, or under a like one where it is taken.
func (p *Pictures) create(ctx context.Context, key string, content []byte) (string, error) {
	for free := key; ; free = otherKey(key) {
		err := p.store.Create(ctx, free, bytes.NewReader(content), int64(len(content)))
		if !errors.Is(err, ErrExists) {
			return free, err
		}
	}
}

func (p *Pictures) remove(ctx context.Context, keys []string) error {
	var err error
	for _, key := range keys {
		err = errors.Join(err, p.store.Remove(ctx, key))
	}
	return err
}
