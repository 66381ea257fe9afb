# Slipway. `make` lists what there is to make.

# One set of flags for everything, the lab's Kubernetes included: what is compiled once is compiled for all.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath
export PATH := $(PATH):/usr/local/go/bin
export HOME ?= /root

version := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
lab := bin/slipway-lab
# What is sent to hosts: small, for their kind of machine whatever this one is.
agent = go build -buildvcs=false -ldflags '-s -w -X main.version=$(version)'
# Exchanges recorded with the real Google APIs. They are not part of the repository.
recordings := $(or $(SLIPWAY_SHARED),../shared)/gcp-recordings

# What is missing on this machine is said in one line, before anything is begun.
lack := $(if $(filter rehearse test soak bench-db bench-switch,$(MAKECMDGOALS)),$(shell .ci/setup check lab),$(if $(filter build check bench,$(MAKECMDGOALS)),$(shell .ci/setup check go)))
$(if $(lack),$(error $(lack)))

.PHONY: help build agent-arm64 check rehearse test soak bench bench-db bench-switch clean setup
.NOTPARALLEL:

help:
	@echo 'make rehearse   one full rehearsal on this machine, all set-up included (Debian 12, Go, root)'
	@echo 'make test       all tests, all set-up included (Debian 12, Go, root)'
	@echo 'make check      the quick part of it: format, vet, staticcheck, architecture, unit tests'
	@echo 'make build      bin/slipway and bin/slipway-lab, and bin/slipway-agent, which slipway files sends to hosts'
	@echo 'make agent-arm64  bin/slipway-agent-arm64, for hosts of that kind'
	@echo 'make soak       rehearsals killed at 50 random instants and more (SEED=N draws the instants of an earlier one)'
	@echo 'make bench      the benchmarks'
	@echo 'make bench-db   the copy beside mydumper and mariadb-dump, on two real servers (Debian 12, Go, root)'
	@echo 'make bench-switch  how long a shop gets no answer while its database is switched, 20 times (Debian 12, Go, root)'
	@echo 'make clean      take the lab down and remove bin; the caches in /var/cache/slipway-lab stay'

build:
	@.ci/wait 'compiling bin/slipway and bin/slipway-lab' go build -v -buildvcs=false -ldflags '-s -w -X main.version=$(version)' -o bin/ ./cmd/slipway ./cmd/slipway-lab
	@.ci/wait 'compiling bin/slipway-agent' env GOOS=linux GOARCH=amd64 $(agent) -o bin/slipway-agent ./cmd/slipway-agent

agent-arm64:
	@.ci/wait 'compiling bin/slipway-agent-arm64' env GOOS=linux GOARCH=arm64 $(agent) -o bin/slipway-agent-arm64 ./cmd/slipway-agent

check:
	@unformatted=$$(gofmt -l cmd internal inventory migrate runbooks steps); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted" >&2; exit 1; }
	@.ci/wait vet go vet -tags lab,recordings,soak,bench ./...
	@.ci/wait staticcheck go tool staticcheck -tags lab,recordings,soak,bench ./...
	@.ci/wait 'unit tests' go test ./...
	@if [ -d "$(recordings)" ]; then .ci/wait 'recorded exchanges' go test -tags recordings ./internal/google ./internal/lab/cloud/...; \
	else echo 'not run: the tests against exchanges recorded with the real Google APIs; there is no $(recordings) (SLIPWAY_SHARED is where it is)'; fi

# ARGS go to slipway rehearse: make rehearse ARGS='--snapshot ID'
rehearse: setup build
	$(lab) rehearse $(if $(ARGS),-- $(ARGS))

test: setup check build
	$(lab) test

soak: setup build
	$(lab) test ./cmd/slipway --tags soak --run '^TestSoak$$' --limit 3h $(if $(SEED),-- -kill-seed $(SEED))

bench:
	go test -run '^$$' -bench . -benchmem $$(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,')

bench-db: setup build
	PATH=$(CURDIR)/bin:$$PATH go test -tags bench -timeout 2h -v -run '^TestBench$$' -count 1 ./internal/dbcopy/bench

bench-switch: setup build
	PATH=$(CURDIR)/bin:$$PATH go test -tags lab,bench -timeout 1h -v -run '^TestBenchSwitch$$' -count 1 ./cmd/slipway

clean:
	@if [ -x $(lab) ]; then $(lab) down; fi
	rm -rf bin

setup:
	@.ci/setup install
