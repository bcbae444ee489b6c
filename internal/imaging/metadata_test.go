package imaging_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image/gif"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRead_RemovesMetadata puts a secret wherever a format may hold metadata.
func TestRead_RemovesMetadata(t *testing.T) {
	t.Parallel()
	const secret = "35.6892N 51.3890E"
	scene := readPNG(t, "scene.png")
	files := map[string][]byte{
		"exif.jpg":      withSegment(encodeJPEG(t, scene), 0xe1, "Exif\x00\x00"+exif(1)+secret),
		"xmp.jpg":       withSegment(encodeJPEG(t, scene), 0xe1, "http://ns.adobe.com/xap/1.0/\x00"+secret),
		"photoshop.jpg": withSegment(encodeJPEG(t, scene), 0xed, "Photoshop 3.0\x00"+secret),
		"adobe.jpg":     withSegment(encodeJPEG(t, scene), 0xee, "Adobe\x00\x64\x00\x00\x00\x00\x01"+secret),
		"app5.jpg":      withSegment(encodeJPEG(t, scene), 0xe5, "Adobe "+secret),
		"app9.jpg":      withSegment(encodeJPEG(t, scene), 0xe9, "ICC_PROFILE\x00\x01\x01"+secret),
		"comment.jpg":   withSegment(readFile(t, "progressive.jpg"), 0xfe, secret),
		"multi.jpg":     withSegment(encodeJPEG(t, scene), 0xe2, "MPF\x00"+secret),
		"jfif.jpg":      withSegment(encodeJPEG(t, scene), 0xe0, "JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x03\x02"+secret),
		"rotated.jpg":   withSegment(encodeJPEG(t, scene), 0xe1, "Exif\x00\x00"+exif(6)+secret),
		"trailer.jpg":   append(encodeJPEG(t, scene), secret...),
		"between.jpg":   slices.Concat(readFile(t, "progressive.jpg")[:len(readFile(t, "progressive.jpg"))-2], []byte("\xff\xfe\x00\x13"+secret+"\xff\xd9")),
		"text.png":      withChunk(encodePNG(t, scene), "tEXt", "Comment\x00"+secret),
		"itxt.png":      withChunk(encodePNG(t, scene), "iTXt", "XML:com.adobe.xmp\x00\x00\x00\x00\x00"+secret),
		"ztxt.png":      withChunk(encodePNG(t, scene), "zTXt", "Comment\x00\x00"+secret),
		"exif.png":      withChunk(encodePNG(t, scene), "eXIf", exif(1)+secret),
		"private.png":   withChunk(encodePNG(t, scene), "prVt", secret),
		"trailer.png":   append(encodePNG(t, scene), secret...),
		"comment.gif":   withGIFBlock(readFile(t, "animated.gif"), "\x21\xfe\x11"+secret+"\x00"),
		"xmp.gif":       withGIFBlock(readFile(t, "animated.gif"), "\x21\xff\x0bXMP DataXMP\x11"+secret+"\x00"),
		"text.gif":      withGIFBlock(readFile(t, "still.gif"), "\x21\x01\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11"+secret+"\x00"),
		"trailer.gif":   append(readFile(t, "still.gif"), secret...),
		"exif.webp":     withRIFF(readFile(t, "lossy-alpha.webp"), "EXIF", exif(1)+secret),
		"xmp.webp":      withRIFF(readFile(t, "lossless.webp"), "XMP ", secret),
		"rotated.webp":  withRIFF(readFile(t, "lossy.webp"), "EXIF", exif(8)+secret),
		"trailer.webp":  append(readFile(t, "lossy.webp"), secret...),
	}
	for name, content := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !bytes.Contains(content, []byte(secret)) {
				t.Fatal("the file does not hold the secret")
			}
			renditions := render(t, name, content)
			for _, rendition := range append(renditions.Thumbnails, renditions.Original) {
				if bytes.Contains(rendition.Content, []byte(secret)) {
					t.Errorf("the rendition of %d x %d holds the secret", rendition.Width, rendition.Height)
				}
			}
			if strings.HasPrefix(name, "rotated") || filepath.Ext(name) == ".gif" {
				return
			}
			if !cmp.Equal(decode(t, name, content), decode(t, name, renditions.Original.Content)) {
				t.Error("the image itself changed")
			}
		})
	}
}

// TestRead_KeepsAnimations checks that all frames and their timing are kept.
func TestRead_KeepsAnimations(t *testing.T) {
	t.Parallel()
	content := readFile(t, "animated.gif")
	want, err := gif.DecodeAll(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	got, err := gif.DecodeAll(bytes.NewReader(render(t, "animated.gif", content).Original.Content))
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Image) != 2 || !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
}

// The functions below add what Go's encoders do not write.

// exif returns a TIFF file with one tag.
func exif(orientation int) string {
	return "MM\x00\x2a\x00\x00\x00\x08" + "\x00\x01" + "\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(orientation)) + "\x00\x00" + "\x00\x00\x00\x00"
}

// withSegment inserts a segment at the start of a JPEG.
func withSegment(jpeg []byte, marker byte, payload string) []byte {
	segment := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(payload)+2))
	return slices.Concat(jpeg[:2], segment, []byte(payload), jpeg[2:])
}

// withChunk inserts a chunk after IHDR.
func withChunk(png []byte, name, data string) []byte {
	const end = 8 + 25
	return append(appendChunk(slices.Clone(png[:end]), name, data), png[end:]...)
}

func appendChunk(png []byte, name, data string) []byte {
	png = binary.BigEndian.AppendUint32(png, uint32(len(data)))
	start := len(png)
	png = append(append(png, name...), data...)
	return binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(png[start:]))
}

// withGIFBlock inserts a block after the global palette.
func withGIFBlock(gif []byte, block string) []byte {
	end := 13
	if flags := gif[10]; flags&0x80 != 0 {
		end += 3 << (flags&7 + 1)
	}
	return slices.Concat(gif[:end], []byte(block), gif[end:])
}

// withRIFF converts a WebP of the size of the scene to an extended one and adds
// a chunk: a profile before the image, others after it.
func withRIFF(webp []byte, name, data string) []byte {
	const headerEnd = 12 + 18
	if string(webp[12:16]) != "VP8X" {
		extended := "VP8X\x0a\x00\x00\x00" + "\x00\x00\x00\x00" + "\x9f\x00\x00" + "\x77\x00\x00"
		webp = slices.Concat(webp[:12], []byte(extended), webp[12:])
	}
	at, flag := len(webp), byte(0x04) // of XMP
	switch name {
	case "ICCP":
		at, flag = headerEnd, 0x20
	case "EXIF":
		flag = 0x08
	}
	chunk := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data)))
	webp = slices.Concat(webp[:at], chunk, []byte(data), make([]byte, len(data)&1), webp[at:])
	webp[20] |= flag
	binary.LittleEndian.PutUint32(webp[4:], uint32(len(webp)-8))
	return webp
}
