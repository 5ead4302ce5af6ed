# SPDX-License-Identifier: Apache-2.0
# A thin front: Meson builds, tools/ does the rest. `make help` lists the targets.
SHELL = /bin/bash
BUILD = build
MESON_FLAGS ?=
PREFIX ?= /usr/local
PROGRAMS = src/parent/gemeld src/agent/gemel-agent src/witness/gemel-witness src/cli/gemel \
	src/models/gemel-forwarding src/lib/cedar/cedar-check src/repository/gemel-verify-store

all: $(BUILD)/build.ninja console ## build everything into build/
	@ninja -C $(BUILD)
	@cd $(BUILD) && for p in $(PROGRAMS); do ! test -e $$p || ln -sf $$p $$(basename $$p); done

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

deps: ## install the Debian packages and npm modules that are missing (asks; YES=1 does not)
	@tools/deps

$(BUILD)/build.ninja: meson.build
	@tools/deps --build
	@meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_FLAGS) $$(test -e $(BUILD)/build.ninja && echo --reconfigure)

console: ## bundle the web console into console/dist
	@tools/deps --npm
	@node console/build.mjs

demo: ## raise the lab and its twin, show the main job, and leave it running
	@tools/deps
	@$(MAKE) --no-print-directory all
	@lab/demo

demo-once: ## the same, stopped again at the end; fails if any step did not hold
	@tools/deps
	@$(MAKE) --no-print-directory all
	@lab/demo --once

demo-stop: ## stop what `make demo` left running
	@lab/demo --stop

test: ## run every test
	@tools/deps
	@$(MAKE) --no-print-directory all
	@tools/test

test-sanitized: ## unit and fuzz tests under AddressSanitizer and UBSan, with clang
	@tools/deps
	@tools/test sanitized

test-conformance: ## each live check of X.2011 passes, and fails where its control is switched off
	@tools/deps
	@$(MAKE) --no-print-directory all
	@tools/test conformance

bench: ## measure: one `name value unit` line per figure
	@tools/deps
	@$(MAKE) --no-print-directory all
	@bench/run

soak: ## long runs: fuzzing with coverage feedback, the lab under load for an hour
	@tools/soak

lint: ## what style, compilers and checkers say
	@tools/lint

format: ## clang-format over our C
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

install: all ## install programs, man pages, console and units below PREFIX
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove what was built
	@rm -rf build build-* console/dist

.PHONY: all help deps console demo demo-once demo-stop test test-sanitized test-conformance bench soak lint format install clean
