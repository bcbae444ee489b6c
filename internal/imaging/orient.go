package imaging

import (
	"encoding/binary"
	"image"
	"image/draw"
)

// exifOrientation returns the value of tag 274 in the first directory of a TIFF file, the format of
// EXIF. It returns 1 if the tag is missing or invalid. It returns 0 if tiff is too short for a TIFF
// file, which browsers ignore.
func exifOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	offset := int(order.Uint32(tiff[4:]))
	if offset < 0 || offset > len(tiff)-2 {
		return 1
	}
	entries := tiff[offset+2:]
	for range order.Uint16(tiff[offset:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == 274 && order.Uint16(entries[2:]) == 3 { // of type SHORT
			if value := int(order.Uint16(entries[8:])); value >= 1 && value <= 8 {
				return value
			}
		}
		entries = entries[12:]
	}
	return 1
}

// orient mirrors and rotates an image by its EXIF orientation, 1 to 8. It moves
// samples without changing them.
func orient(img image.Image, orientation int) image.Image {
	if orientation == 1 {
		return img
	}
	oriented := func(pix []byte, stride, channels int) ([]byte, int, image.Rectangle) {
		size := img.Bounds().Size()
		p := plane{pix, stride, size.X, size.Y, channels}.orient(orientation)
		return p.pix, p.stride, image.Rect(0, 0, p.width, p.height)
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return orientYCbCr(img, orientation)
	case *image.Gray:
		pix, stride, rect := oriented(img.Pix, img.Stride, 1)
		return &image.Gray{Pix: pix, Stride: stride, Rect: rect}
	case *image.Gray16:
		pix, stride, rect := oriented(img.Pix, img.Stride, 2)
		return &image.Gray16{Pix: pix, Stride: stride, Rect: rect}
	case *image.Paletted:
		pix, stride, rect := oriented(img.Pix, img.Stride, 1)
		return &image.Paletted{Pix: pix, Stride: stride, Rect: rect, Palette: img.Palette}
	case *image.NRGBA:
		pix, stride, rect := oriented(img.Pix, img.Stride, 4)
		return &image.NRGBA{Pix: pix, Stride: stride, Rect: rect}
	case *image.NRGBA64:
		pix, stride, rect := oriented(img.Pix, img.Stride, 8)
		return &image.NRGBA64{Pix: pix, Stride: stride, Rect: rect}
	case *image.RGBA64:
		pix, stride, rect := oriented(img.Pix, img.Stride, 8)
		return &image.RGBA64{Pix: pix, Stride: stride, Rect: rect}
	case *image.RGBA:
		pix, stride, rect := oriented(img.Pix, img.Stride, 4)
		return &image.RGBA{Pix: pix, Stride: stride, Rect: rect}
	}
	converted := image.NewRGBA(img.Bounds())
	draw.Draw(converted, converted.Rect, img, converted.Rect.Min, draw.Src)
	return orient(converted, orientation)
}

func orientYCbCr(img *image.YCbCr, orientation int) image.Image {
	ratio := img.SubsampleRatio
	if orientation >= 5 {
		switch ratio {
		case image.YCbCrSubsampleRatio422:
			ratio = image.YCbCrSubsampleRatio440
		case image.YCbCrSubsampleRatio440:
			ratio = image.YCbCrSubsampleRatio422
		case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410: // there is no rotated equivalent
			return orientYCbCr(fullChroma(img), orientation)
		}
	}
	oriented := planes{ratio: ratio}
	for _, p := range yCbCrPlanes(img) {
		oriented.list = append(oriented.list, p.orient(orientation))
	}
	return oriented.image()
}

// fullChroma converts to 4:4:4 by repeating samples of chroma.
func fullChroma(img *image.YCbCr) *image.YCbCr {
	bounds := img.Rect
	full := image.NewYCbCr(image.Rectangle{Max: bounds.Size()}, image.YCbCrSubsampleRatio444)
	for y := range bounds.Dy() {
		copy(full.Y[y*full.YStride:], img.Y[y*img.YStride:][:bounds.Dx()])
		for x := range bounds.Dx() {
			source, target := img.COffset(bounds.Min.X+x, bounds.Min.Y+y), full.COffset(x, y)
			full.Cb[target], full.Cr[target] = img.Cb[source], img.Cr[source]
		}
	}
	return full
}

// orient mirrors and rotates by an EXIF orientation: 2 to 4 keep the width,
// 5 to 8 swap it with the height.
func (p plane) orient(orientation int) plane {
	target := newPlane(p.width, p.height, p.channels)
	if orientation >= 5 {
		target = newPlane(p.height, p.width, p.channels)
	}
	// Offsets in pix of the first sample, and of the steps to the next sample in
	// a row and in a column.
	right, bottom := (p.width-1)*p.channels, (p.height-1)*p.stride
	source := [...]struct{ start, across, down int }{
		1: {0, p.channels, p.stride},
		2: {right, -p.channels, p.stride},
		3: {right + bottom, -p.channels, -p.stride},
		4: {bottom, p.channels, -p.stride},
		5: {0, p.stride, p.channels},
		6: {bottom, -p.stride, p.channels},
		7: {right + bottom, -p.stride, -p.channels},
		8: {right, p.stride, -p.channels},
	}[orientation]
	for y := range target.height {
		row, offset := target.row(y), source.start+y*source.down
		if p.channels == 1 {
			for x := range row {
				row[x] = p.pix[offset]
				offset += source.across
			}
			continue
		}
		for ; len(row) > 0; row = row[p.channels:] {
			copy(row[:p.channels], p.pix[offset:])
			offset += source.across
		}
	}
	return target
}
