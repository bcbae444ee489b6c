.PHONY: test lint generate bench bench-go

test:
	go test ./...

lint:
	golangci-lint run

generate:
	go generate ./...

# The server beside the limit, over HTTP (needs PostgreSQL's programs and wrk).
bench:
	cd bench && go run .

# The Go benchmarks, ready for benchstat.
bench-go:
	go test ./... -run '^$$' -bench . -benchmem -count 6
