# Every command a person or CI types. `make` alone lists them.

CARGO ?= cargo
.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

.PHONY: check
check: ## Formatting, lints, sizes, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	scripts/check-sizes
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: deny.toml was not checked"; fi
