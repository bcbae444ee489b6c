package compat

import (
	"testing"

	"portfolio/db"
)

func testLink() (*db.PortfolioLink, mediaURLs) {
	text, pixels := "لینک مشاهده دمو", 225
	link := db.PortfolioLink{ID: 4, Name: text, URL: &text, Description: &text, CreatedAt: db.Now(), UpdatedAt: db.Now(), ImageData: &db.Image{
		ID: 6, Type: "image", Name: "technology", Path: "core_media/2025/12/02/technology.png", Size: 5123, Width: &pixels, Height: &pixels, Mode: &text,
	}}
	for i := range 4 {
		link.ImageData.Thumbnails = append(link.ImageData.Thumbnails, &db.Thumbnail{ID: int64(i), Path: "core_media/2026/02/02/thumbnails/t.jpg", Size: &pixels})
	}
	return &link, mediaURLs{"http://127.0.0.1:8000/media/", "/api/portfolios/1/links/4"}
}

// maxAllocations bounds the allocations of encoding a link into an empty buffer.
const maxAllocations = 10

func TestAppendLink_Allocates(t *testing.T) {
	link, urls := testLink()
	if got := testing.AllocsPerRun(100, func() { appendLink(nil, link, urls) }); got > maxAllocations {
		t.Errorf("%.0f allocations, want at most %d", got, maxAllocations)
	}
}

func BenchmarkEncode(b *testing.B) {
	link, urls := testLink()
	buffer := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendLink(buffer[:0], link, urls)
	}
}
