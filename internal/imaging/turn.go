package imaging

import (
	"image"
	"image/draw"
)

// upright turns a picture as its EXIF orientation, 1 to 8, asks. No sample
// changes.
func upright(picture image.Image, orientation int) image.Image {
	if orientation == 1 {
		return picture
	}
	turned := func(pix []byte, stride, channels int) ([]byte, int, image.Rectangle) {
		size := picture.Bounds().Size()
		p := plane{pix, stride, size.X, size.Y, channels}.turned(orientation)
		return p.pix, p.stride, image.Rect(0, 0, p.width, p.height)
	}
	switch picture := picture.(type) {
	case *image.YCbCr:
		return uprightYCbCr(picture, orientation)
	case *image.Gray:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 1)
		return &image.Gray{Pix: pix, Stride: stride, Rect: rect}
	case *image.Gray16:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 2)
		return &image.Gray16{Pix: pix, Stride: stride, Rect: rect}
	case *image.Paletted:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 1)
		return &image.Paletted{Pix: pix, Stride: stride, Rect: rect, Palette: picture.Palette}
	case *image.NRGBA:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 4)
		return &image.NRGBA{Pix: pix, Stride: stride, Rect: rect}
	case *image.NRGBA64:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 8)
		return &image.NRGBA64{Pix: pix, Stride: stride, Rect: rect}
	case *image.RGBA64:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 8)
		return &image.RGBA64{Pix: pix, Stride: stride, Rect: rect}
	case *image.RGBA:
		pix, stride, rect := turned(picture.Pix, picture.Stride, 4)
		return &image.RGBA{Pix: pix, Stride: stride, Rect: rect}
	}
	converted := image.NewRGBA(picture.Bounds())
	draw.Draw(converted, converted.Rect, picture, converted.Rect.Min, draw.Src)
	return upright(converted, orientation)
}

func uprightYCbCr(picture *image.YCbCr, orientation int) image.Image {
	ratio := picture.SubsampleRatio
	if orientation >= 5 {
		switch ratio {
		case image.YCbCrSubsampleRatio422:
			ratio = image.YCbCrSubsampleRatio440
		case image.YCbCrSubsampleRatio440:
			ratio = image.YCbCrSubsampleRatio422
		case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410: // there is no such ratio on its side
			return uprightYCbCr(fullChroma(picture), orientation)
		}
	}
	turned := planes{ratio: ratio}
	for _, each := range yCbCrPlanes(picture) {
		turned.each = append(turned.each, each.turned(orientation))
	}
	return turned.image()
}

// fullChroma gives each sample of luma a sample of chroma of its own.
func fullChroma(picture *image.YCbCr) *image.YCbCr {
	bounds := picture.Rect
	full := image.NewYCbCr(image.Rectangle{Max: bounds.Size()}, image.YCbCrSubsampleRatio444)
	for y := range bounds.Dy() {
		copy(full.Y[y*full.YStride:], picture.Y[y*picture.YStride:][:bounds.Dx()])
		for x := range bounds.Dx() {
			from, to := picture.COffset(bounds.Min.X+x, bounds.Min.Y+y), full.COffset(x, y)
			full.Cb[to], full.Cr[to] = picture.Cb[from], picture.Cr[from]
		}
	}
	return full
}

// turned mirrors and rotates by an EXIF orientation: 2 to 4 keep the width,
// 5 to 8 swap it with the height.
func (p plane) turned(orientation int) plane {
	into := newPlane(p.width, p.height, p.channels)
	if orientation >= 5 {
		into = newPlane(p.height, p.width, p.channels)
	}
	// Where the first sample comes from, and how far the next in a row and in a
	// column are from it.
	right, bottom := (p.width-1)*p.channels, (p.height-1)*p.stride
	walk := [...]struct{ start, across, down int }{
		1: {0, p.channels, p.stride},
		2: {right, -p.channels, p.stride},
		3: {right + bottom, -p.channels, -p.stride},
		4: {bottom, p.channels, -p.stride},
		5: {0, p.stride, p.channels},
		6: {bottom, -p.stride, p.channels},
		7: {right + bottom, -p.stride, -p.channels},
		8: {right, p.stride, -p.channels},
	}[orientation]
	for y := range into.height {
		row, from := into.row(y), walk.start+y*walk.down
		if p.channels == 1 {
			for x := range row {
				row[x] = p.pix[from]
				from += walk.across
			}
			continue
		}
		for ; len(row) > 0; row = row[p.channels:] {
			copy(row[:p.channels], p.pix[from:])
			from += walk.across
		}
	}
	return into
}
