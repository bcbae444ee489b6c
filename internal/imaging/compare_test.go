package imaging_test

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// resizeLanczos is the reference for resizing. It is slow and precise: a Lanczos
// kernel with three lobes, in floating point.
func resizeLanczos(img image.Image, width, height int) image.Image {
	from := img.Bounds()
	rows := make([][][4]float64, from.Dy())
	for y := range rows {
		row := make([][4]float64, from.Dx())
		for x := range row {
			r, g, b, a := img.At(x, y).RGBA()
			row[x] = [4]float64{float64(r), float64(g), float64(b), float64(a)}
		}
		rows[y] = lanczos(row, width)
	}
	into := image.NewRGBA64(image.Rect(0, 0, width, height))
	for x := range width {
		column := make([][4]float64, len(rows))
		for y := range rows {
			column[y] = rows[y][x]
		}
		for y, sum := range lanczos(column, height) {
			a := min(max(sum[3], 0), 0xffff)
			level := func(v float64) uint16 { return uint16(min(max(v, 0), a)) }
			into.SetRGBA64(x, y, color.RGBA64{level(sum[0]), level(sum[1]), level(sum[2]), uint16(a)})
		}
	}
	return into
}

func lanczos(samples [][4]float64, size int) [][4]float64 {
	scale := float64(len(samples)) / float64(size)
	stretch := max(scale, 1)
	into := make([][4]float64, size)
	for i := range into {
		center, total := (float64(i)+0.5)*scale-0.5, 0.0
		for at := max(0, int(center-3*stretch)); at < min(len(samples), int(center+3*stretch)+2); at++ {
			weight := 1.0
			if x := (float64(at) - center) / stretch * math.Pi; x != 0 {
				if math.Abs(x) >= 3*math.Pi {
					continue
				}
				weight = 3 * math.Sin(x) * math.Sin(x/3) / (x * x)
			}
			total += weight
			for c, v := range samples[at] {
				into[i][c] += weight * v
			}
		}
		for c := range into[i] {
			into[i][c] /= total
		}
	}
	return into
}

// limits bounds how an image may differ from a reference.
type limits struct {
	structure float64 // at least; 1 if equal
	color     float64 // at most: distance in OKLab, where black and white are 1 apart
}

var closeLimits, roughLimits = limits{0.90, 0.02}, limits{0.80, 0.06}

// compare compares an image with a reference by perception, on white and on
// black: the structure of lightness (SSIM over squares of 8 x 8 pixels) and the
// mean distance of colors.
func compare(t testing.TB, limits limits, name string, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Errorf("%s is %v, want %v", name, got.Bounds(), want.Bounds())
		return
	}
	backgrounds := []float64{1, 0}
	if opaque, ok := got.(interface{ Opaque() bool }); ok && opaque.Opaque() {
		backgrounds = backgrounds[:1]
	}
	for _, background := range backgrounds {
		a, b := inOKLab(got, background), inOKLab(want, background)
		color := 0.0
		for i := range a {
			color += math.Sqrt(square(a[i][0]-b[i][0]) + square(a[i][1]-b[i][1]) + square(a[i][2]-b[i][2]))
		}
		color /= float64(len(a))
		similarity := ssim(a, b, got.Bounds().Dx())
		if color > limits.color || similarity < limits.structure {
			t.Errorf("%s on %v: structure %.3f, color %.4f", name, background, similarity, color)
		}
	}
}

func square(x float64) float64 { return x * x }

func inOKLab(img image.Image, background float64) [][3]float64 {
	bounds := img.Bounds()
	into := make([][3]float64, 0, bounds.Dx()*bounds.Dy())
	linear := func(v, a uint32) float64 { return linearLight[min(v+uint32(background)*(0xffff-a), 0xffff)] }
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			r16, g16, b16, a := img.At(x, y).RGBA()
			r, g, b := linear(r16, a), linear(g16, a), linear(b16, a)
			l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
			m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
			s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
			into = append(into, [3]float64{
				0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
				1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
				0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
			})
		}
	}
	return into
}

var linearLight = func() (table [1 << 16]float64) {
	for i := range table {
		if c := float64(i) / 0xffff; c <= 0.04045 {
			table[i] = c / 12.92
		} else {
			table[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return table
}()

func ssim(a, b [][3]float64, width int) float64 {
	height, total, count := len(a)/width, 0.0, 0.0
	for top := 0; top < height; top += 8 {
		for left := 0; left < width; left += 8 {
			var n, sumA, sumB, squareA, squareB, product float64
			for y := top; y < min(top+8, height); y++ {
				for x := left; x < min(left+8, width); x++ {
					va, vb := a[y*width+x][0], b[y*width+x][0]
					n, sumA, sumB, squareA, squareB, product = n+1, sumA+va, sumB+vb, squareA+va*va, squareB+vb*vb, product+va*vb
				}
			}
			meanA, meanB := sumA/n, sumB/n
			varA, varB, covariance := squareA/n-meanA*meanA, squareB/n-meanB*meanB, product/n-meanA*meanB
			const c1, c2 = 0.0001, 0.0009
			total += (2*meanA*meanB + c1) * (2*covariance + c2) / ((meanA*meanA + meanB*meanB + c1) * (varA + varB + c2))
			count++
		}
	}
	return total / count
}
