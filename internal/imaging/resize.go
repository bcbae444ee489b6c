package imaging

import (
	"image"
	"image/draw"
	"math"
)

// plane is a rectangle of 8-bit samples, of one or more interleaved channels.
type plane struct {
	pix                     []byte
	stride                  int // bytes from row to row
	width, height, channels int
}

func newPlane(width, height, channels int) plane {
	return plane{make([]byte, width*height*channels), width * channels, width, height, channels}
}

func (p plane) row(y int) []byte { return p.pix[y*p.stride:][:p.width*p.channels] }

// planes holds the samples of an image: a plane of gray, a plane of premultiplied RGBA, or a
// plane of luma and two planes of chroma. Resizing luma and chroma separately saves converting a
// JPEG to RGB and back.
type planes struct {
	width, height float64 // in samples of the first plane; a fraction after downsampling
	ratio         image.YCbCrSubsampleRatio
	list          []plane
}

// downsample splits an image into planes and averages squares of factor x
// factor samples. It is much faster than resize, but coarse.
func downsample(img image.Image, factor int) planes {
	bounds := img.Bounds()
	small := planes{width: float64(bounds.Dx()) / float64(factor), height: float64(bounds.Dy()) / float64(factor)}
	switch img := img.(type) {
	case *image.YCbCr:
		small.ratio = img.SubsampleRatio
		for _, full := range yCbCrPlanes(img) {
			small.list = append(small.list, full.downsample(factor))
		}
	case *image.Gray:
		small.list = []plane{plane{img.Pix, img.Stride, bounds.Dx(), bounds.Dy(), 1}.downsample(factor)}
	case *image.Gray16:
		strip := image.NewGray(image.Rect(0, 0, bounds.Dx(), min(factor, bounds.Dy())))
		small.list = []plane{downsampleConverted(img, factor, strip, plane{strip.Pix, strip.Stride, bounds.Dx(), 0, 1})}
	default:
		strip := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), min(factor, bounds.Dy())))
		small.list = []plane{downsampleConverted(img, factor, strip, plane{strip.Pix, strip.Stride, bounds.Dx(), 0, 4})}
	}
	return small
}

func yCbCrPlanes(img *image.YCbCr) []plane {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	across, down := subsampling(img.SubsampleRatio)
	chromaWidth, chromaHeight := (width+across-1)/across, (height+down-1)/down
	return []plane{
		{img.Y, img.YStride, width, height, 1},
		{img.Cb, img.CStride, chromaWidth, chromaHeight, 1},
		{img.Cr, img.CStride, chromaWidth, chromaHeight, 1},
	}
}

// subsampling returns the number of samples of luma, per row and per column, that share a sample of
// chroma.
func subsampling(ratio image.YCbCrSubsampleRatio) (across, down int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// downsampleConverted converts a few rows at a time into strip, so that a large
// image is never in memory twice. rows has the samples of strip.
func downsampleConverted(img image.Image, factor int, strip draw.Image, rows plane) plane {
	bounds := img.Bounds()
	small := newPlane(ceilDiv(bounds.Dx(), factor), ceilDiv(bounds.Dy(), factor), rows.channels)
	sums := make([]uint32, small.width*rows.channels)
	for y := range small.height {
		rows.height = min(factor, bounds.Dy()-y*factor)
		draw.Draw(strip, image.Rect(0, 0, bounds.Dx(), rows.height), img, bounds.Min.Add(image.Pt(0, y*factor)), draw.Src)
		averageRow(small.row(y), rows, factor, sums)
	}
	return small
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

func (p plane) downsample(factor int) plane {
	if factor == 1 {
		return p
	}
	small := newPlane(ceilDiv(p.width, factor), ceilDiv(p.height, factor), p.channels)
	sums := make([]uint32, small.width*p.channels)
	for y := range small.height {
		rows := p
		rows.pix = p.pix[y*factor*p.stride:]
		rows.height = min(factor, p.height-y*factor)
		averageRow(small.row(y), rows, factor, sums)
	}
	return small
}

// averageRow averages blocks of factor samples in all rows of a plane into one
// row.
func averageRow(average []byte, rows plane, factor int, sums []uint32) {
	clear(sums)
	whole := rows.width / factor
	for y := range rows.height {
		row := rows.row(y)
		switch {
		case rows.channels == 1 && factor == 2: // photographs of 8 to 20 megapixels
			for x, pair := 0, row[:whole*2]; len(pair) >= 2; x, pair = x+1, pair[2:] {
				sums[x] += uint32(pair[0]) + uint32(pair[1])
			}
		case rows.channels == 1:
			for x := range whole {
				sum := uint32(0)
				for _, sample := range row[x*factor:][:factor] {
					sum += uint32(sample)
				}
				sums[x] += sum
			}
		default:
			for x := range whole {
				var a, b, c, d uint32
				for i := x * factor * 4; i < (x+1)*factor*4; i += 4 {
					sample := row[i:][:4]
					a, b, c, d = a+uint32(sample[0]), b+uint32(sample[1]), c+uint32(sample[2]), d+uint32(sample[3])
				}
				sum := sums[x*4:][:4]
				sum[0], sum[1], sum[2], sum[3] = sum[0]+a, sum[1]+b, sum[2]+c, sum[3]+d
			}
		}
		for i := whole * factor * rows.channels; i < len(row); i++ { // the last block, of fewer than factor
			sums[whole*rows.channels+i%rows.channels] += uint32(row[i])
		}
	}
	divide(average[:whole*rows.channels], sums, uint32(factor*rows.height))
	divide(average[whole*rows.channels:], sums[whole*rows.channels:], uint32((rows.width-whole*factor)*rows.height))
}

func divide(quotients []byte, sums []uint32, divisor uint32) {
	for i := range quotients {
		quotients[i] = byte((sums[i] + divisor/2) / divisor)
	}
}

// resize scales to a size in samples of the first plane.
func (p planes) resize(width, height int) planes {
	scaleX, scaleY := p.width/float64(width), p.height/float64(height)
	across, down := 1, 1
	if len(p.list) == 3 {
		across, down = subsampling(p.ratio)
	}
	scaled := planes{width: float64(width), height: float64(height), ratio: p.ratio}
	for i, plane := range p.list {
		size := [2]int{width, height}
		if i > 0 {
			size = [2]int{ceilDiv(width, across), ceilDiv(height, down)}
		}
		scaled.list = append(scaled.list, plane.resize(size[0], size[1], scaleX, scaleY))
	}
	return scaled
}

func (p plane) resize(width, height int, scaleX, scaleY float64) plane {
	across := newPlane(width, p.height, p.channels)
	filters := catmullRom(p.width, width, scaleX)
	for y := range p.height {
		if p.channels == 1 {
			filterGray(across.row(y), p.row(y), filters)
		} else {
			filterRGBA(across.row(y), p.row(y), filters)
		}
	}
	down := newPlane(width, height, p.channels)
	sums := make([]int32, down.stride)
	for y, filter := range catmullRom(p.height, height, scaleY) {
		clear(sums)
		for i, weight := range filter.weights {
			for x, sample := range across.row(filter.first + i) {
				sums[x] += weight * int32(sample)
			}
		}
		row := down.row(y)
		for x, sum := range sums {
			row[x] = rounded(sum)
		}
	}
	if p.channels == 4 {
		clampToAlpha(down.pix)
	}
	return down
}

// clampToAlpha restores the invariant of premultiplied color, that no channel
// exceeds alpha, which overshoot of the filter may violate.
func clampToAlpha(rgba []byte) {
	for i := 0; i+3 < len(rgba); i += 4 {
		alpha := rgba[i+3]
		rgba[i], rgba[i+1], rgba[i+2] = min(rgba[i], alpha), min(rgba[i+1], alpha), min(rgba[i+2], alpha)
	}
}

// filter holds the weights of adjacent samples, in units of 1 / 1<<weightBits.
type filter struct {
	first   int
	weights []int32
}

const weightBits = 14

// catmullRom returns a filter for each of size samples, which depend on count samples. A scale
// above 1 stretches the kernel.
func catmullRom(count, size int, scale float64) []filter {
	stretch := max(scale, 1)
	filters := make([]filter, size)
	for i := range filters {
		center := (float64(i)+0.5)*scale - 0.5
		first := max(0, int(math.Ceil(center-2*stretch)))
		last := min(count-1, int(math.Floor(center+2*stretch)))
		first = min(first, last)
		exact, sum := make([]float64, last-first+1), 0.0
		for k := range exact {
			exact[k] = kernel((float64(first+k) - center) / stretch)
			sum += exact[k]
		}
		if sum == 0 { // beyond the last sample of a plane
			exact[0], sum = 1, 1
		}
		weights, remainder := make([]int32, len(exact)), int32(1<<weightBits)
		heaviest := 0
		for k := range exact {
			weights[k] = int32(math.Round(exact[k] / sum * (1 << weightBits)))
			remainder -= weights[k]
			if weights[k] > weights[heaviest] {
				heaviest = k
			}
		}
		weights[heaviest] += remainder // so that the sum is exact and a uniform color stays the same
		filters[i] = filter{first, weights}
	}
	return filters
}

func kernel(x float64) float64 {
	switch x = math.Abs(x); {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-0.5*x+2.5)*x-4)*x + 2
	}
	return 0
}

func filterGray(target, source []byte, filters []filter) {
	for i, filter := range filters {
		sum := int32(0)
		samples := source[filter.first:][:len(filter.weights)]
		for k, weight := range filter.weights {
			sum += weight * int32(samples[k])
		}
		target[i] = rounded(sum)
	}
}

func filterRGBA(target, source []byte, filters []filter) {
	for i, filter := range filters {
		var a, b, c, d int32
		for k, weight := range filter.weights {
			sample := source[(filter.first+k)*4:][:4]
			a, b, c, d = a+weight*int32(sample[0]), b+weight*int32(sample[1]), c+weight*int32(sample[2]), d+weight*int32(sample[3])
		}
		sum := target[i*4:][:4]
		sum[0], sum[1], sum[2], sum[3] = rounded(a), rounded(b), rounded(c), rounded(d)
	}
}

func rounded(sum int32) byte {
	return byte(min(max((sum+1<<(weightBits-1))>>weightBits, 0), 255))
}

// image returns the planes as an image that shares their samples.
func (p planes) image() image.Image {
	first := p.list[0]
	rect := image.Rect(0, 0, first.width, first.height)
	switch {
	case len(p.list) == 3:
		return &image.YCbCr{
			Y: first.pix, Cb: p.list[1].pix, Cr: p.list[2].pix,
			YStride: first.stride, CStride: p.list[1].stride, SubsampleRatio: p.ratio, Rect: rect,
		}
	case first.channels == 1:
		return &image.Gray{Pix: first.pix, Stride: first.stride, Rect: rect}
	}
	return &image.RGBA{Pix: first.pix, Stride: first.stride, Rect: rect}
}
