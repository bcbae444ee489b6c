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

// encoder encodes images of one format.
type encoder struct {
	extension    string // .jpg or .png
	quality      int    // of JPEG
	keepSampling bool   // of JPEG: keep the chroma subsampling instead of 4:2:0
	colors       []byte // segments or chunks of the color space
}

func newEncoder(extension string, colors colorSpace, gray bool) encoder {
	if extension == ".jpg" {
		return encoder{extension: extension, quality: thumbnailQuality, colors: colors.jpegSegments(gray)}
	}
	return encoder{extension: extension, colors: colors.pngChunks(gray)}
}

// encode returns an encoded image with the segments or chunks of its color space.
func (e encoder) encode(img image.Image) ([]byte, error) {
	const endOfSOI = 2
	var err error
	encoded := insertBuffer{offset: endOfIHDR, content: e.colors}
	switch {
	case e.extension == ".png":
		err = png.Encode(&encoded, img)
	case e.keepSampling:
		encoded.offset = endOfSOI
		err = encodeSampled(&encoded, img, e.quality)
	default:
		encoded.offset = endOfSOI
		err = jpeg.Encode(&encoded, img, &jpeg.Options{Quality: e.quality})
	}
	return encoded.Bytes(), err
}

// insertBuffer is a buffer that inserts content after the first offset bytes.
type insertBuffer struct {
	bytes.Buffer
	offset  int
	content []byte
}

func (b *insertBuffer) Write(p []byte) (int, error) {
	start := b.offset - b.Len()
	if start < 0 || start > len(p) {
		return b.Buffer.Write(p)
	}
	b.Buffer.Write(p[:start])
	b.Buffer.Write(b.content)
	b.offset = -1
	b.Buffer.Write(p[start:])
	return len(p), nil
}

// encodeSampled encodes a JPEG and keeps its chroma subsampling. Package jpeg writes color as 4:2:0
// only. So encodeSampled encodes each component as a gray image, and copies its scan: sections
// A.2.2 and B.2 of ITU-T T.81 allow a scan per component.
func encodeSampled(output *insertBuffer, img image.Image, quality int) error {
	options := &jpeg.Options{Quality: quality}
	if isGray(img) {
		return jpeg.Encode(output, img, options)
	}
	yCbCr, ok := img.(*image.YCbCr)
	if !ok {
		yCbCr = toYCbCr(img)
	}
	if yCbCr.SubsampleRatio == image.YCbCrSubsampleRatio420 {
		return jpeg.Encode(output, yCbCr, options)
	}
	planes := yCbCrPlanes(yCbCr)
	var start bytes.Buffer // a gray JPEG, whose tables suit each component
	if err := jpeg.Encode(&start, image.NewGray(image.Rect(0, 0, 1, 1)), options); err != nil {
		return err
	}
	tables, scanOffset := start.Bytes(), 2
	_, _ = output.Write(tables[:2])
	for tables[scanOffset+1] != sos {
		segment := tables[scanOffset:][:2+int(binary.BigEndian.Uint16(tables[scanOffset+2:]))]
		scanOffset += len(segment)
		if segment[1] == sof0 {
			across, down := subsampling(yCbCr.SubsampleRatio)
			segment = []byte{0xff, sof0, 0, 17, 8}
			segment = binary.BigEndian.AppendUint16(segment, uint16(planes[0].height))
			segment = binary.BigEndian.AppendUint16(segment, uint16(planes[0].width))
			segment = append(segment, 3, 1, byte(across<<4|down), 0, 2, 0x11, 0, 3, 0x11, 0)
		}
		_, _ = output.Write(segment)
	}
	for i, p := range planes {
		offset := output.Len()
		if err := jpeg.Encode(output, &image.Gray{Pix: p.pix, Stride: p.stride, Rect: image.Rect(0, 0, p.width, p.height)}, options); err != nil {
			return err
		}
		scan := output.Bytes()[offset:]
		copy(scan, scan[scanOffset:])
		scan[5] = byte(i + 1) // component
		output.Truncate(offset + len(scan) - scanOffset - len(endOfImage))
	}
	_, err := output.WriteString(endOfImage)
	return err
}

// toYCbCr converts to 4:4:4, row by row.
func toYCbCr(img image.Image) *image.YCbCr {
	bounds := img.Bounds()
	converted := image.NewYCbCr(image.Rectangle{Max: bounds.Size()}, image.YCbCrSubsampleRatio444)
	row := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), 1))
	for y := range bounds.Dy() {
		draw.Draw(row, row.Rect, img, bounds.Min.Add(image.Pt(0, y)), draw.Src)
		i := y * converted.YStride
		for pix := row.Pix; len(pix) > 0; pix = pix[4:] {
			converted.Y[i], converted.Cb[i], converted.Cr[i] = color.RGBToYCbCr(pix[0], pix[1], pix[2])
			i++
		}
	}
	return converted
}
