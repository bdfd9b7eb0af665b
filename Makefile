# Everything that is done with this repository. `make` tells what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# What the build says of itself. All of it is the commit's, so that the same source gives the same bytes.
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
COMMITTED = $(shell TZ=UTC0 date -d @$(SOURCE_DATE_EPOCH) +%FT%TZ 2>/dev/null || TZ=UTC0 date -r $(SOURCE_DATE_EPOCH) +%FT%TZ)
LDFLAGS = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.committed=$(COMMITTED)

# Where binaries go; dist/ has one folder per system.
BIN  ?= bin
DIST ?= dist
SYSTEMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

# go test: PKG=./store/... RUN=TestClaim make test
PKG     ?= ./...
RUN     ?= .
TIMEOUT ?= 30m
P       ?= 2

TOOL := go tool -modfile=tools/go.mod

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## The static binary bin/systole for this machine
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags timetzdata -ldflags '$(LDFLAGS)' -o $(BIN)/systole ./cmd/systole

.PHONY: dist
dist: ## Binaries for every system in SYSTEMS, into dist/
	@for system in $(SYSTEMS); do \
		echo "build $$system"; \
		GOOS=$${system%/*} GOARCH=$${system#*/} CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags timetzdata \
			-ldflags '$(LDFLAGS)' -o $(DIST)/$${system%/*}-$${system#*/}/systole ./cmd/systole; \
	done

.PHONY: release
release: dist ## Archives, bills of materials and SHA256SUMS for every system in SYSTEMS, into dist/; the same source gives the same bytes
	@go -C tools run ./release -root .. -dist '$(abspath $(DIST))' -version '$(VERSION)' -time $(SOURCE_DATE_EPOCH) $(SYSTEMS)

.PHONY: test
test: deps-test ## Every test under the race detector, against a real Redis and a real NATS
	go test -race -timeout $(TIMEOUT) -p $(P) -run '$(RUN)' $(PKG)

.PHONY: model
model: deps-test ## The store against its model, WALKS (default 1500) on each of four lanes: more than 100,000 steps
	go test ./store -count 1 -timeout 30m -v -run TestStoreConforms -rapid.checks=$(or $(WALKS),1500) | grep -v '^=== '

.PHONY: deps-test
deps-test: # What the tests talk to and Go modules do not bring
	@./tools/need redis-server openssl

.PHONY: fuzz
fuzz: ## Each fuzz test for FUZZTIME (default 10s)
	@./tools/fuzz $(or $(FUZZTIME),10s)

.PHONY: bench
bench: deps-test ## Every benchmark, once
	go test -run '^$$' -bench . -benchmem -timeout 30m -p 1 $(PKG)

.PHONY: rules
rules: ## Alerts and dashboard with promtool: what they say parses, and each alert fires when it should and only then
	@./tools/prometheus promtool --version >/dev/null
	go test -tags rules -count 1 ./deploy/observability

.PHONY: rules-kubernetes
rules-kubernetes: ## rules.yml as the PrometheusRule that Kubernetes takes
	@{ printf '# Made of rules.yml by make rules-kubernetes.\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: systole}\nspec:\n'; \
		sed -n '/^groups:/,$$ s/^\(.\)/  \1/p' deploy/observability/rules.yml; } >deploy/observability/rules.kubernetes.yaml

.PHONY: kubernetes
kubernetes: ## Kubernetes manifests, offline: every overlay builds, and what is in it is right
	cd deploy/kubernetes/test && go test -count 1 -timeout 30m ./...

.PHONY: e2e
e2e: ## The compose stack on this machine's Docker engine while things fail; needs no image registry, and ends with the sum
	@./tools/need redis-server curl wget busybox-static
	@mkdir -p $(BIN) && rm -f $(BIN)/e2e
	E2E_SUMMARY=$(abspath $(BIN)/e2e) go test -tags compose -count 1 -timeout 30m -v -run Compose ./deploy/test/
	@cat $(BIN)/e2e

.PHONY: triggers
triggers: deps-test $(BIN)/nats ## What needs curl, Ruby, Python, systemd or the nats command: the examples of triggers, and the units
	@./tools/need curl openssl ruby systemd python3-django
	PATH="$(abspath $(BIN)):$$PATH" go test -tags triggers -count 1 -timeout 30m ./examples/triggers ./deploy

# A tool of the tests alone, and built by itself: its modules are none of ours.
$(BIN)/nats:
	GOBIN=$(abspath $(BIN)) go install github.com/nats-io/natscli/nats@v0.5.0

.PHONY: lint
lint: ## golangci-lint, which checks the formatting too
	$(TOOL) golangci-lint run --allow-parallel-runners ./...
	cd deploy/kubernetes/test && go tool -modfile=../../../tools/go.mod golangci-lint run --config ../../../.golangci.yml --allow-parallel-runners ./...
	cd tools && go tool golangci-lint run --config ../.golangci.yml --allow-parallel-runners ./release/...

.PHONY: fmt
fmt: ## Formats the code
	$(TOOL) golangci-lint fmt ./...

.PHONY: vuln
vuln: ## govulncheck; tells a finding from a database that cannot be reached
	@./tools/vuln

.PHONY: secrets
secrets: ## Random tokens for docker-compose.yml, into deploy/secrets
	@./deploy/secrets.sh

.PHONY: clean
clean: ## Removes what was built
	rm -rf $(BIN) $(DIST)
