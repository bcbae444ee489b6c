package imaging

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
)

// encoder writes pictures of one format.
type encoder struct {
	extension    string // .jpg or .png
	quality      int    // of JPEG
	keepSampling bool   // of JPEG: not 4:2:0 where there is more chroma
	colours      []byte // as the format says them
}

func (e *encoder) say(colours colours, grey bool) {
	if e.extension == ".jpg" {
		e.colours = colours.jpegSegments(grey)
	} else {
		e.colours = colours.pngChunks(grey)
	}
}

func (e encoder) encode(picture image.Image) ([]byte, error) {
	const startOfImage, endOfIHDR = 2, 8 + 25
	var err error
	encoded := insertion{at: endOfIHDR, content: e.colours}
	switch {
	case e.extension == ".png":
		err = png.Encode(&encoded, picture)
	case e.keepSampling:
		encoded.at = startOfImage
		err = encodeSampled(&encoded, picture, e.quality)
	default:
		encoded.at = startOfImage
		err = jpeg.Encode(&encoded, picture, &jpeg.Options{Quality: e.quality})
	}
	return encoded.Bytes(), err
}

// insertion is a buffer with content that nobody wrote behind its first bytes.
type insertion struct {
	bytes.Buffer
	at      int
	content []byte
}

func (i *insertion) Write(p []byte) (int, error) {
	start := i.at - i.Len()
	if start < 0 || start > len(p) {
		return i.Buffer.Write(p)
	}
	i.Buffer.Write(p[:start])
	i.Buffer.Write(i.content)
	i.at = -1
	i.Buffer.Write(p[start:])
	return len(p), nil
}

// encodeSampled encodes a JPEG that keeps the subsampling. Package jpeg writes
// colours as 4:2:0 alone, but the scan of a picture in grey is that of a
// component too, which sections A.2.2 and B.2 of ITU-T T.81 let stand apart.
func encodeSampled(into *insertion, picture image.Image, quality int) error {
	options := &jpeg.Options{Quality: quality}
	if isGrey(picture) {
		return jpeg.Encode(into, picture, options)
	}
	yCbCr, ok := picture.(*image.YCbCr)
	if !ok {
		yCbCr = toYCbCr(picture)
	}
	if yCbCr.SubsampleRatio == image.YCbCrSubsampleRatio420 {
		return jpeg.Encode(into, yCbCr, options)
	}
	planes := yCbCrPlanes(yCbCr)
	var start bytes.Buffer // of a file whose planes are all of grey
	if err := jpeg.Encode(&start, image.NewGray(image.Rect(0, 0, 1, 1)), options); err != nil {
		return err
	}
	tables, scanAt := start.Bytes(), 2
	_, _ = into.Write(tables[:2])
	for tables[scanAt+1] != sos {
		segment := tables[scanAt:][:2+int(binary.BigEndian.Uint16(tables[scanAt+2:]))]
		scanAt += len(segment)
		if segment[1] == sof {
			across, down := subsampling(yCbCr.SubsampleRatio)
			segment = []byte{0xff, sof, 0, 17, 8}
			segment = binary.BigEndian.AppendUint16(segment, uint16(planes[0].height))
			segment = binary.BigEndian.AppendUint16(segment, uint16(planes[0].width))
			segment = append(segment, 3, 1, byte(across<<4|down), 0, 2, 0x11, 0, 3, 0x11, 0)
		}
		_, _ = into.Write(segment)
	}
	for i, p := range planes {
		at := into.Len()
		if err := jpeg.Encode(into, &image.Gray{Pix: p.pix, Stride: p.stride, Rect: image.Rect(0, 0, p.width, p.height)}, options); err != nil {
			return err
		}
		scan := into.Bytes()[at:]
		copy(scan, scan[scanAt:])
		scan[5] = byte(i + 1) // of which component
		into.Truncate(at + len(scan) - scanAt - len(endOfImage))
	}
	_, err := into.WriteString(endOfImage)
	return err
}

const endOfImage = "\xff\xd9"

// toYCbCr converts a few rows at a time, and gives each pixel chroma of its own.
func toYCbCr(picture image.Image) *image.YCbCr {
	bounds := picture.Bounds()
	converted := image.NewYCbCr(image.Rectangle{Max: bounds.Size()}, image.YCbCrSubsampleRatio444)
	row := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), 1))
	for y := range bounds.Dy() {
		draw.Draw(row, row.Rect, picture, bounds.Min.Add(image.Pt(0, y)), draw.Src)
		at := y * converted.YStride
		for pix := row.Pix; len(pix) > 0; pix = pix[4:] {
			converted.Y[at], converted.Cb[at], converted.Cr[at] = color.RGBToYCbCr(pix[0], pix[1], pix[2])
			at++
		}
	}
	return converted
}
