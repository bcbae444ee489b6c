module portfolio/bench/thumbnails

go 1.26.0

require (
	github.com/disintegration/imaging v1.6.2
	portfolio v0.0.0
)

require (
	github.com/bbrks/go-blurhash v1.1.1 // indirect
	golang.org/x/image v0.47.0 // indirect
)

replace portfolio => ../..
