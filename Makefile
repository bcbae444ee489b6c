.DEFAULT_GOAL := help
.PHONY: help build release image playground test race e2e postgres-newest packages failover chaos rolling feed soak fuzz lint generate bench bench-go

FUZZTIME ?= 10s
SOAK ?= 20m
TEST_DURATION ?= 4m
CONTAINER ?= docker
IMAGE ?= portfolio

# The race detector slows SQLite's C code, translated to Go, past the deadlines of tests. Only
# that package is excluded: it shares no compiled functions with others, whose
# synchronization would be missed too.
RACE_FLAGS = -race -gcflags='modernc.org/sqlite/lib=-race=false'
# RACE_WITHOUT are the packages without goroutines, and three packages with many tests. RACE_RUN selects
# the concurrent tests of these three.
RACE_WITHOUT = portfolio/(db|graph|internal/(buildinfo|demo|files|imaging|jsonenc|playground|printable|apierror)|test/(e2e|system))$$
RACE_RUN = ^Test(Backup|Batcher|Cache|Clients_|Creates|DeleteImage|Linearizable|Listen|Lookups|Media|Metrics|Migrate_RunsOnce|MoveLink|Moves_(Between|Keep)|Observe|Pool|Postgres_(Reconnects|Cancels)|QueryCache|Receiver|RoundTrips|Server|Shutdown|SlowClients|Subscriptions|Timeouts|Update|Upload|WebSocket)

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' Makefile

build: ## Build the static binary.
	CGO_ENABLED=0 go build -o portfolio .

release: playground ## Build the binaries of a release, with checksums, in dist/.
	deploy/release dist linux/amd64 linux/arm64 darwin/arm64

image: playground ## Build a container image named IMAGE (portfolio) with CONTAINER (docker).
	deploy/image $(IMAGE) $(CONTAINER) build

playground: ## Bundle GraphiQL for the next build (needs Node.js 20 or later).
	cd internal/playground && npm ci && npm run build

test: ## Run all tests.
	go test ./...

race: ## Run concurrent tests under the race detector (needs a C compiler).
	go test $(RACE_FLAGS) -short $$(go list ./... | grep -vE '$(RACE_WITHOUT)')
	TEST_COMMITS=200 go test $(RACE_FLAGS) -short -run '$(RACE_RUN)' ./db ./graph ./test/system

e2e: ## Test frontend clients, the gallery and the playground (needs Node.js and Chromium).
	cd test/e2e && npm ci --loglevel=error
	cd examples/gallery && npm ci --loglevel=error
	find internal/playground/dist -type f ! -name .gitignore -delete
	CI=true go test -count 1 -run '^FuzzDifferential$$' ./test/e2e
	CI=true go test -count 1 -run '^TestClients$$' -v ./test/system
	$(MAKE) playground
	CI=true go test -count 1 -run '^TestClients$$/^playground$$' -v ./test/system

postgres-newest: ## Test with the newest PostgreSQL, from npm (needs Node.js).
	db/dbtest/newest/test $(PACKAGES)

packages: ## Test the release and its image (needs buildah and root).
	go test -tags ops -count 1 -v -run '^Test(Release|Image)$$' ./test/ops

failover: ## Test failovers of a PostgreSQL cluster under load (needs patroni and etcd).
	go test -tags ops -count 1 -timeout 5m -v -run '^TestFailover$$' ./test/ops

chaos: ## Kill the server under load, stop PostgreSQL and fill disks.
	go test -tags ops -count 1 -timeout 10m -v -run '^TestChaos' ./test/ops

rolling: ## Restart servers in turn behind nginx and Caddy under load, and remove their media.
	go test -tags ops -count 1 -timeout 10m -v -run '^Test(RollingRestart|ProxyWithoutMedia)$$' ./test/ops

feed: ## Check responses for TEST_DURATION (4m) while faults hide changes; none may be stale for long.
	TEST_DURATION=$(TEST_DURATION) go test -tags ops -count 1 -timeout 24h -v -run '^TestFeed' ./test/ops

soak: ## Serve mixed load with faults for SOAK (20m); memory and connections must not grow.
	SOAK=$(SOAK) go test -tags ops -count 1 -timeout 24h -v -run '^TestSoak$$' ./test/ops

fuzz: ## Run every fuzz target for FUZZTIME each (10s).
	@go test -list '^Fuzz' ./... | \
	awk '/^Fuzz/ { found[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, found[i]; n = 0 }' | \
	while read -r package target; do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
	done

lint: ## Run the linter (needs golangci-lint), and check words, names, imports and sizes of files.
	golangci-lint run
	go test ./test/system -run '^Test(Words_|Names_|Imports$$|Files_AreShort)'

generate: ## Generate the GraphQL code.
	go generate ./...

bench: ## Compare the server with a minimal baseline over HTTP (needs PostgreSQL and wrk).
	cd bench && go run .

bench-go: ## Run the Go benchmarks, with output for benchstat.
	go test ./... -run '^$$' -bench . -benchmem -count 6
