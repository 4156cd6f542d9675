# Each target is one script; the scripts say what they do, and need nothing set up before.
.DEFAULT_GOAL := help
.PHONY: help demo stop build test bench lint fmt clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Start a server, push a sample app with git, show what it answers
	@scripts/demo.sh

stop: ## Stop the demo's server and apps; their data stays
	@scripts/stop.sh

build: ## Build the release binaries into target/release
	@scripts/build.sh

test: ## Run every test, those on real Podman, git and ssh included
	@scripts/test.sh

bench: ## Measure beside stock tools, and print ratios
	@scripts/bench.sh

lint: ## Check format and lints
	@scripts/lint.sh

fmt: ## Format the Rust code
	@scripts/lint.sh --fix

clean: ## Remove the demo with its data, and all that was built
	@scripts/clean.sh
