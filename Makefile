# What a newcomer and the CI call. `make` alone lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo build library install uninstall docs test lint torture sanitize fuzz simulate
.PHONY: mutations bench check-costs clean deb check-packages

RELEASE := swift build -c release --static-swift-stdlib --product
SOURCES := Package.swift Sources Tests bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show a live stream in a browser, from a throw-away Postgres (DEMO_FLAGS="--listen ...")
	Tests/setup.sh packages
	$(RELEASE) millstream
	@exec .build/release/millstream demo $(DEMO_FLAGS)

build: ## Build the command for release, into .build/release/millstream
	Tests/setup.sh packages
	$(RELEASE) millstream

library: ## Build libmillstream.so and libmillstream.a for release, into .build/library
	Tests/setup.sh packages
	$(RELEASE) MillstreamC
	packaging/link-library.sh .build/library .build/release/libMillstreamC.a

deb: build library ## Build Debian packages, into .build/deb (MAINTAINER="Ada <ada@example.org>")
	Tests/setup.sh deb
	packaging/deb/build.sh

check-packages: deb ## Install, run and purge the packages in a clean root (needs root)
	Tests/setup.sh check-deb
	Tests/setup.sh all
	.build-tools/venv/bin/pytest Tests/Packages

install: ## Install what `make build library` has built (PREFIX=/usr/local DESTDIR=)
	packaging/install.sh install

uninstall: ## Remove what `make install` with the same variables has installed
	packaging/install.sh uninstall

# From what the ordinary debug build has made: nothing is compiled for it alone.
DOCUMENTATION := .build/documentation
MODULES = $(shell swift build --show-bin-path)
SYMBOLS = -module-name Millstream -minimum-access-level public -skip-synthesized-members \
  -target $(shell swiftc -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)".*/\1/p') \
  -I $(MODULES)/Modules -I $(MODULES)/CSystem.build -I Sources/CLibEv -I Sources/CLibPQ \
  -I Sources/CLibCrypto $(shell pkg-config --cflags libpq libcrypto)

docs: ## Build the documentation for Swift programs, into .build/documentation
	Tests/setup.sh packages
	swift build --target Millstream
	rm -rf $(DOCUMENTATION)
	mkdir -p $(DOCUMENTATION)/symbols
	swift symbolgraph-extract $(SYMBOLS) -output-dir $(DOCUMENTATION)/symbols
	docc convert Sources/Millstream/Millstream.docc --warnings-as-errors \
	  --additional-symbol-graph-dir $(DOCUMENTATION)/symbols \
	  --fallback-display-name Millstream --fallback-bundle-identifier millstream \
	  --transform-for-static-hosting --output-dir $(DOCUMENTATION)/Millstream.doccarchive

# What is simulated is the same each time; `make simulate` looks for what nobody has seen. Each worker has a
# Postgres of its own, and the tests of a file stay together, so that what they share is made once.
TEST_WORKERS ?= 2
test: ## Run all tests: those of the units, then those of the system
	Tests/setup.sh all
	swift build
	SWIFT_DETERMINISTIC_HASHING=1 swift test
	.build-tools/venv/bin/pytest -n $(TEST_WORKERS) --dist loadfile -m "not alone" Tests/System
	.build-tools/venv/bin/pytest -m alone Tests/System

# Of its own, so that the flags do not make the next ordinary build begin anew.
lint: ## Check the format, and that nothing is warned of
	swift format lint --strict -r $(SOURCES)
	swift build --build-tests --scratch-path .build-lint -Xswiftc -warnings-as-errors

# ThreadSanitizer sees the command alone: the compiler (6.3.1) crashes on the load client with it. That two
# threads had the same Mutex it is told by tsan-mutex.c; other compilers than clang know no Swift calls.
LEAKS := ASAN_OPTIONS=detect_leaks=1 \
  LSAN_OPTIONS=suppressions=$(CURDIR)/Tests/leaks.supp:print_suppressions=0
# Where loops share something, or have other threads beside them.
THREADED := wire delivery postgres_restart loops close presence reload drain admin status status_page \
  authorize tokens limits statistics restart top

sanitize: ## Run the tests under AddressSanitizer with LeakSanitizer, then under ThreadSanitizer
	Tests/setup.sh all
	$(LEAKS) swift test --sanitize=address --scratch-path .build-asan
	swift build --sanitize=address --scratch-path .build-asan --product millstream
	$(LEAKS) MILLSTREAM_BIN=$(CURDIR)/.build-asan/debug/millstream \
	  .build-tools/venv/bin/pytest Tests/System --ignore Tests/System/test_native_schema.py
	swift build --sanitize=thread --scratch-path .build-tsan --product millstream
	clang -Wall -Wextra -Werror -O2 -shared -fPIC Tests/tsan-mutex.c -o .build-tsan/tsan-mutex.so
	MILLSTREAM_PRELOAD=$(CURDIR)/.build-tsan/tsan-mutex.so \
	  MILLSTREAM_BIN=$(CURDIR)/.build-tsan/debug/millstream .build-tools/venv/bin/pytest \
	  $(THREADED:%=Tests/System/test_%.py)

TORTURE_SECONDS ?= 600
torture: ## Writers, subscribers and faults at random, for TORTURE_SECONDS (TORTURE_FLAGS="--seed 1")
	Tests/setup.sh all
	swift build
	.build-tools/venv/bin/python Tests/Torture/torture.py --seconds $(TORTURE_SECONDS) $(TORTURE_FLAGS)

FUZZ_SECONDS ?= 360
fuzz: ## Fuzz what reads bytes from outside, and frames, for FUZZ_SECONDS
	Tests/setup.sh packages
	Tests/Fuzz/run.sh $(FUZZ_SECONDS)

MILLSTREAM_SECONDS ?= 60
simulate: ## Simulate with new seeds, for MILLSTREAM_SECONDS
	Tests/setup.sh packages
	SWIFT_DETERMINISTIC_HASHING=1 MILLSTREAM_SECONDS=$(MILLSTREAM_SECONDS) \
	  swift test --filter '^SimulationTests'

mutations: ## Break the rules one at a time: the simulation has to find out
	Tests/setup.sh packages
	Tests/Simulation/mutations.py

bench: ## Measure: a table, JSON and charts in bench/results (BENCH_FLAGS="fanout --rounds 10")
	Tests/setup.sh packages
	bench/run.py $(BENCH_FLAGS)

check-costs: ## Check memory, calls, instructions and queries against bench/thresholds.json
	Tests/setup.sh all
	bench/check.py

clean: ## Remove what was built
	rm -rf .build .build-documentation .build-lint .build-asan .build-tsan .build-mutations
