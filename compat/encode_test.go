package compat

import (
	"testing"

	"portfolio/db"
)

func encoded() (*db.PortfolioLink, fileAddresses) {
	text, pixels := "لینک مشاهده دمو", 225
	link := db.PortfolioLink{ID: 4, Name: text, URL: &text, Description: &text, CreatedAt: db.Now(), UpdatedAt: db.Now(), ImageData: &db.Image{
		ID: 6, Type: "image", Name: "technology", Path: "core_media/2025/12/02/technology.png", Size: 5123, Width: &pixels, Height: &pixels, Mode: &text,
	}}
	for i := range 4 {
		link.ImageData.Thumbnails = append(link.ImageData.Thumbnails, &db.Thumbnail{ID: int64(i), Path: "core_media/2026/02/02/thumbnails/t.jpg", Size: &pixels})
	}
	return &link, fileAddresses{"http://127.0.0.1:8000/media/", "/api/portfolios/1/links/4"}
}

// maxAllocations is what encoding an answer may cost once its row is read.
const maxAllocations = 10

func TestEncodeAllocations(t *testing.T) {
	link, files := encoded()
	if got := testing.AllocsPerRun(100, func() { appendLink(nil, link, files) }); got > maxAllocations {
		t.Errorf("%.0f allocations into a buffer that has to grow, want at most %d", got, maxAllocations)
	}
}

func BenchmarkEncode(b *testing.B) {
	link, files := encoded()
	buffer := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendLink(buffer[:0], link, files)
	}
}
