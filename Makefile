# make demo | test | test-web | check | bench | bench-search | bench-http | fuzz | build | deb | deb-check | rig | setup | clean
# Everything that is needed is fetched by ./setup into vendor/; nothing is installed on the system, but for `make rig` as root.

CARGO ?= cargo
export FACEWARDEN_FFMPEG ?= $(CURDIR)/vendor/ffmpeg
BIN = target/release/facewarden
# Messages of the program name the sources of libraries: not by where this machine keeps them.
RELEASE_FLAGS = --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}/registry/src=/crates

.PHONY: help setup build demo test test-web check deny docs bench bench-search bench-http fuzz deb deb-tool deb-check rig rig-programs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up, build, enrol sample people and watch them walk up"
	@echo "make test    set up and run every test"
	@echo "make test-web  the API with other people's clients and the pages in a real browser; as root it installs Debian's chromium (screenshots: target/web-screenshots/)"
	@echo "make check   formatting, lints, licences and documentation"
	@echo "make bench   measure; DATA=DIR names the folder with the measuring data"
	@echo "make bench-search  measure the search over up to a million templates, beside faiss"
	@echo "make bench-http  measure comparisons over HTTP beside DeepFace's own server, and what they cost the cameras (needs wrk)"
	@echo "make fuzz    feed rubbish to what reads files and frames; SECONDS=60 is how long each target runs"
	@echo "make build   set up and build target/release/facewarden"
	@echo "make deb     set up and build the Debian package, target/debian/facewarden_*.deb"
	@echo "make deb-check  look at that package with lintian, and install, upgrade, remove and purge it in a throw-away system"
	@echo "make rig     a real systemd with a simulated USB camera; as root it installs what it needs from Debian (docs/rig.md)"

setup:
	@./setup

build: setup
	@RUSTFLAGS="$$RUSTFLAGS $(RELEASE_FLAGS)" $(CARGO) build --release --locked

demo: build
	@$(BIN) demo

# cargo-nextest runs the tests in parallel processes; where it is not installed, cargo's own runner does.
test: setup
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run --locked --no-fail-fast && $(CARGO) test --locked --doc; \
	else $(CARGO) test --locked --no-fail-fast; fi

# Other people's clients against the API, and the pages in headless Chromium, with the real daemon. What it needs is fetched by ./setup --web.
test-web:
	@./setup --web
	@$(CARGO) build --locked --quiet
	@PYTHONPATH="$(CURDIR)/vendor/web-python" python3 tests/web/clients.py target/debug/facewarden
	@node tests/web/browser/run.mjs

check: setup
	@$(CARGO) fmt --check
	@$(CARGO) clippy --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --quiet
	@$(MAKE) --no-print-directory deny

# Licences, banned crates and where crates come from. Advisories need a database from outside and are not checked.
# cargo-deny is built into vendor/ once (a minute); where that fails, what is left out is said.
deny:
	@test -x vendor/bin/cargo-deny || $(CARGO) install cargo-deny --version 0.20.2 --locked --quiet --root vendor \
	  --config profile.release.lto=false --config profile.release.opt-level=0 \
	  || echo "check: cargo-deny cannot be installed, so licences were not checked"
	@! test -x vendor/bin/cargo-deny || PATH="$(CURDIR)/vendor/bin:$$PATH" $(CARGO) deny --locked check licenses bans sources

# cargo-deb is built into vendor/ once (half a minute).
deb-tool:
	@vendor/bin/cargo-deb --version 2>/dev/null | grep -qx '3\.8\.0' || $(CARGO) install cargo-deb --version 3.8.0 --locked \
	  --quiet --force --root vendor --config profile.release.lto=false --config profile.release.opt-level=0

deb: build deb-tool
	@packaging/build

deb-check: deb
	@packaging/check

# SCENARIOS="1-install 3-faults" runs those alone.
rig:
	@./setup --rig
	@tests/rig/run $(SCENARIOS)

# What the rig runs in its guest. The same flags as for the package: with others all would be built anew.
rig-programs: deb
	@RUSTFLAGS="$$RUSTFLAGS $(RELEASE_FLAGS)" $(CARGO) build --release --locked --example uvcsim

bench: build
	@$(BIN) bench $(if $(DATA),--data $(DATA))

# The search over 1,000, 100,000 and a million templates beside faiss; a million take 9 GB of memory. SIZES=1000,100000 are those alone.
bench-search: build
	@./setup --peers
	@$(BIN) bench --only search --peer tests/peers/faiss_search.py $(if $(SIZES),--templates $(SIZES))

# DeepFace takes seconds for a pair and the whole takes a quarter of an hour. FOR=10 are the seconds of each run.
FOR ?= 40
bench-http: build
	@command -v wrk >/dev/null || { echo "bench-http: wrk is missing; install it (Debian: apt-get install wrk)"; exit 1; }
	@./setup --deepface
	@python3 tests/peers/http_verify.py $(BIN) $(FOR)
	@python3 tests/peers/http_load.py $(BIN) $(FOR)

# Each target starts from its seeds and keeps what it learns in fuzz/corpus/. cargo-fuzz is built into vendor/ once. It asks
# the compiler for coverage and address checks, which the stable one has and does not offer: hence RUSTC_BOOTSTRAP.
# SANITIZER=none leaves the address checks out, which builds and runs several times as fast.
SECONDS ?= 60
SANITIZER ?= address
fuzz: setup
	@test -x vendor/bin/cargo-fuzz || $(CARGO) install cargo-fuzz --version 0.13.2 --locked --quiet --root vendor
	@for target in $(or $(TARGETS),jpeg photo avi config person_file archive key_file); do \
	  mkdir -p fuzz/corpus/$$target; echo "fuzz: $$target for $(SECONDS) s"; \
	  case $$target in \
	    config) cp config/*.yaml models/*.yaml fuzz/corpus/config/ ;; \
	    photo) cp tests/pictures/*.jpg tests/pictures/*.png fuzz/corpus/photo/ 2>/dev/null ;; \
	  esac; \
	  seeds="fuzz/seeds/$$target"; test -d $$seeds || seeds=""; \
	  PATH="$(CURDIR)/vendor/bin:$$PATH" RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer $(SANITIZER) $$target fuzz/corpus/$$target $$seeds -- \
	    -max_total_time=$(SECONDS) -rss_limit_mb=2048 -timeout=10 -verbosity=0 -print_final_stats=1 || exit 1; \
	done

clean:
	@$(CARGO) clean
