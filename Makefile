# Each target sets up what it needs: python3 (3.11 or newer), make and a network are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := tests/server/js
# What a machine's environment may say about bytecode or buffering is not for us.
unexport PYTHONDONTWRITEBYTECODE

# The guest emulates a processor: it shall not take one from what else is tested.
USB_TESTS := USBTB_TIMEOUT=420 nice -n 10 tests/usb/vm.sh $(BIN)/python -m pytest -q -p no:cacheprovider -p no:xdist -p no:hypothesispytest
USB_REAL := tests/usb/real

.PHONY: demo test test-usb check bench fuzz faults setup chromium node fonts strace clean help

help:
	@echo "make demo    a server and its dashboard, two virtual printers; Ctrl-C ends it"
	@echo "make test    linters, types on three platforms, all tests"
	@echo "make test-usb  the tests of USB and serial ports alone, in an emulated machine"
	@echo "make fuzz    ten minutes of hostile bytes for all that reads some (FUZZ_SECONDS=60 for less)"
	@echo "make faults  2,000 jobs under random faults, the server killed 50 times (FAULTS='--seed 7 --jobs 100')"
	@echo "make bench   what rawprint costs over a bare socket"

setup: $(STAMP)

$(STAMP): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit("rawprint needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && apt-get install -q -y python3-venv; \
	} || { echo "python3 cannot make virtual environments here: install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

# The browser tests need Debian's Chromium; without it, and without root to install it, they are left out and say so.
chromium:
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing chromium for the browser tests"; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; } >$(VENV)/chromium.log 2>&1 \
			|| { tail -n 5 $(VENV)/chromium.log; echo "chromium could not be installed: the browser tests are left out"; }; \
	else echo "no chromium here, and not root: the browser tests are left out (apt-get install chromium)"; fi

# The tests of rawprint.js need Node, and packages from npm that nothing else needs (axe-core, too, for the dashboard's); they are left out in the same way.
node:
	@if command -v npm >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing nodejs and npm for the tests of rawprint.js"; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nodejs npm; } >$(VENV)/node.log 2>&1 \
			|| { tail -n 5 $(VENV)/node.log; echo "nodejs and npm could not be installed: the tests of rawprint.js are left out"; }; \
	else echo "no npm here, and not root: the tests of rawprint.js are left out (apt-get install nodejs npm)"; fi
	@if command -v npm >/dev/null && ! cmp -s $(PACKAGES)/package-lock.json $(VENV)/js/.installed; then \
		mkdir -p $(VENV)/js && cp $(PACKAGES)/package.json $(PACKAGES)/package-lock.json $(VENV)/js \
			&& (cd $(VENV)/js && npm ci --silent --no-audit --no-fund && cp package-lock.json .installed) \
			|| echo "npm could not install what the tests of rawprint.js need: they are left out"; fi

# Text is drawn with the fonts of the machine, and compared with pictures that were drawn with these: Latin, Greek and Cyrillic; Arabic,
# Hebrew, Thai and most other scripts; Chinese, Japanese and Korean; emoji.
FONTS := fonts-dejavu-core fonts-noto-core fonts-droid-fallback fonts-noto-color-emoji
fonts:
	@if dpkg-query -W $(FONTS) >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing fonts for the tests of text"; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(FONTS); } >$(VENV)/fonts.log 2>&1 \
			|| { tail -n 5 $(VENV)/fonts.log; echo "the fonts could not be installed: tests of scripts without one are left out"; }; \
	else echo "not all of Debian's fonts are here, and not root: tests of scripts without one are left out (apt-get install $(FONTS))"; fi

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/mypy --platform darwin

# Two emulated machines at a time, each with half of the tests; the log is for the first half.
define run-usb-tests
$(USB_TESTS) $(USB_REAL)/test_contract.py >$(VENV)/usb-tests.log 2>&1 & contract=$$!; \
$(USB_TESTS) $(USB_REAL) --ignore $(USB_REAL)/test_contract.py >$(VENV)/usb-tests-2.log 2>&1; usb=$$?; \
wait $$contract || usb=1; cat $(VENV)/usb-tests.log $(VENV)/usb-tests-2.log
endef

# They run beside the linters and not beside the other tests, some of which measure time; where they cannot, setup.sh
# has said why.
test: $(STAMP) chromium node fonts strace
	@usb=0; machines=; if tests/usb/setup.sh; then { $(run-usb-tests); exit $$usb; } & machines=$$!; fi; \
	$(MAKE) --no-print-directory check; code=$$?; \
	[ -z "$$machines" ] || wait $$machines || usb=1; \
	[ $$code != 0 ] || { $(BIN)/python -m pytest -n 6 --dist loadgroup; code=$$?; }; \
	[ $$usb = 0 ] || { echo "the tests in the emulated machine have failed: see above"; exit 1; }; exit $$code

test-usb: $(STAMP)
	@tests/usb/setup.sh
	@$(run-usb-tests); exit $$usb

bench: $(STAMP)
	@$(BIN)/python -c 'import uvloop' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check -e '.[fast]'
	$(BIN)/python benchmarks/bench.py --json bench-result.json

FUZZ_SECONDS ?= 600
fuzz: $(STAMP)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python tests/fuzz/decoders.py $(FUZZ_SECONDS)

FAULTS ?=
faults: $(STAMP)
	$(BIN)/python -m tests.faults.harness $(FAULTS)

# One test looks at what the kernel is asked to do; without strace, and without root to install it, it is left out and says so.
strace:
	@command -v strace >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends strace; } >$(VENV)/strace.log 2>&1; } \
		|| echo "no strace here: the test of what is on the disk first is left out (apt-get install strace)"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
