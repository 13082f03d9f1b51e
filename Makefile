# Every command a person or CI types. `make` alone lists them.

CARGO ?= cargo
BENCH ?=
REGRESS ?=
.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what is missing from the distribution's packages, and say so
	@scripts/setup

.PHONY: demo
demo: ## Show a PostgreSQL, a Howdah before it and 300 clients, live, until Ctrl-C
	@scripts/setup demo
	$(CARGO) run --release --package howdah -- demo

.PHONY: test
test: setup ## Run all tests, against a real PostgreSQL of their own and with real drivers
	@tests/drivers/setup
	$(CARGO) build --package howdah
	$(CARGO) test --workspace
	@echo "That was with all sends by io_uring, where it is allowed. And once more with plain sends."
	HOWDAH_TEST_IO_ENGINE=plain $(CARGO) test --package howdah-tests

.PHONY: check
check: ## Formatting, lints, sizes, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	scripts/check-sizes
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: deny.toml was not checked"; fi

.PHONY: bench
bench: ## Howdah beside PgBouncer: CPU time, throughput, latency, memory; BENCH='--help' lists options
	@scripts/setup bench
	$(CARGO) build --release --package howdah --package howdah-wireload
	@python3 benches/compare $(BENCH)

.PHONY: bench-machines
bench-machines: ## Instructions that core's machines need for a query, counted by callgrind
	@scripts/setup bench
	$(CARGO) build --release --package howdah-machines
	@benches/count-instructions

.PHONY: regress
regress: ## PostgreSQL's own regression tests through Howdah; REGRESS='--help' lists options
	@scripts/setup
	$(CARGO) build --package howdah
	@scripts/regression-suite $(REGRESS)

.PHONY: watch
watch: setup ## Many clients look 100,000 times whether their session is theirs; HOWDAH_WATCH_LOOKS, HOWDAH_WATCH_SEED
	$(CARGO) build --package howdah
	HOWDAH_WATCH_LOOKS=$${HOWDAH_WATCH_LOOKS:-100000} \
		$(CARGO) test --package howdah-tests --test foreign_state no_client -- --nocapture
