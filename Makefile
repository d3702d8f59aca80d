# Each target makes what it needs. `make demo` and `make test` are the two that matter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-acceptance test-matrix test-power test-systemd test-page test-contracts test-monitoring interop fuzz lint format mosquitto lock screenshot diagram bench soak bundle audit clean
.DELETE_ON_ERROR:

setup: $(READY)

$(READY): requirements-dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The order is from quick to slow; pytest comes last, so that its closing line is the last line.
test: setup mosquitto lint
	$(BIN)/pytest -n 3 $(ARGS)

# Whole processes against each other: fire, broker away, ten kills, lying devices, wrong builds, the demo, three days in
# fast-forward.
test-acceptance: setup mosquitto
	$(BIN)/pytest -n 2 tests/acceptance tests/faults $(ARGS)

# Everything that can go away does, in every way, for as long as it says: about four minutes, of which most are waiting.
test-matrix: setup mosquitto
	$(BIN)/pytest -n 3 tests/matrix $(ARGS)

# The journal on a machine whose power is cut, with a disk that forgets what was not synced: about two minutes. Needs qemu
# and a Debian kernel, and gets them.
test-power: setup
	@sh .ci/power
	$(BIN)/pytest tests/power $(ARGS)

# The service under a real systemd, in a small Debian that is booted for it: seventeen minutes. Needs root.
test-systemd: bundle
	@sh .ci/systemd
	-@sh .ci/power amd64 kernel
	$(BIN)/pytest tests/booted $(ARGS)

# The local page in a real browser. Needs Debian's chromium, and gets it.
test-page: setup
	@sh .ci/browser
	$(BIN)/pytest tests/browser $(ARGS)

# The contract with the platform, judged by programs that are not ours. Needs node and npm.
CONTRACT_JUDGES := @asyncapi/parser@3.6.3 ajv@8.20.0

test-contracts:
	@mkdir -p build/contracts
	@npm install --prefix build/contracts --no-save --no-audit --no-fund --silent $(CONTRACT_JUDGES)
	@node tests/contracts/check.mjs build/contracts docs

# Alert rules, dashboard and metrics, judged by Prometheus's own checker, which is unpacked from Debian's package.
test-monitoring: setup
	@sh .ci/promtool
	$(BIN)/pytest tests/monitoring $(ARGS)

# Drivers against programs that are not ours and not our libraries'. Needs node and npm.
INTEROP_PEERS := node-opcua@2.182.2 modbus-serial@8.0.25 jsmodbus@5.0.0 @bacnet-js/client@3.3.2

interop: setup
	@sh .ci/interop
	@mkdir -p build/interop
	@npm install --prefix build/interop --no-save --no-audit --no-fund --silent $(INTEROP_PEERS)
	$(BIN)/pytest tests/interop $(ARGS)

# What decodes the bytes of devices, fed by a fuzzer that watches where they lead. CPython 3.11 to 3.13 on Linux.
FUZZ_S := 30

fuzz: setup
	@mkdir -p build
	$(BIN)/python -m pip install --quiet atheris==3.0.0
	@for target in bench/fuzz/*.py; do echo "$$target"; PYTHONPATH=. $(BIN)/python $$target -max_total_time=$(FUZZ_S) -artifact_prefix=build/ $(ARGS) || exit 1; done

lint: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/deptry .

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Tests talk to a real broker. Installed where we may; otherwise one line says what to install.
mosquitto:
	@sh .ci/mosquitto

demo: setup
	@$(BIN)/wardgate demo $(ARGS)

# The README's picture: the very screen of a demo that plays in a terminal of 120 by 36.
screenshot: setup
	@script -qefc 'stty cols 120 rows 36; TERM=xterm-256color $(BIN)/wardgate demo --lang en --seconds 24 --at 22.8 --screenshot docs/demo.svg' /dev/null

# The states of an alarm in docs/alarms.md, from the table that the rules run on.
diagram: setup
	@$(BIN)/python tests/support/alarm_picture.py > docs/alarm-states.svg

bench: setup
	$(BIN)/python bench/run.py $(ARGS)

# A gateway amid faults: memory and files must not grow. Takes twenty minutes; ARGS="--minutes 3" is the least.
soak: setup mosquitto
	$(BIN)/python bench/soak.py $(ARGS)

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	build/lock/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet --output-file requirements.lock
	build/lock/bin/uv pip compile pyproject.toml --extra demo --group dev --universal --python-version 3.11 --generate-hashes --no-header --quiet --output-file requirements-dev.lock

# Everything that install.sh needs on a machine without a network: for this Python and this kind of processor. The list of
# requirements names our own wheel with its hash, too, so it also tells two builds of one version apart.
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' agent/__init__.py)
BUNDLE = build/bundle/wardgate-$(VERSION)

bundle: setup
	@rm -rf build/bundle build/lib
	@mkdir -p $(BUNDLE)/wheels
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(BUNDLE)/wheels .
	@$(BIN)/python -m pip download --quiet --only-binary=:all: --require-hashes --dest $(BUNDLE)/wheels -r requirements.lock
	@cp systemd/* requirements.lock LICENSE $(BUNDLE)
	@echo "wardgate==$(VERSION) $$($(BIN)/python -m pip hash $(BUNDLE)/wheels/wardgate-*.whl | tail -n 1)" >>$(BUNDLE)/requirements.lock
	@sh .ci/supply $(BUNDLE)/wheels $(BUNDLE)/requirements.lock
	@cp build/supply/wardgate.cdx.json build/supply/LICENCES.md $(BUNDLE)
	@tar -C build/bundle -czf $(BUNDLE).tar.gz $(notdir $(BUNDLE))
	@echo $(BUNDLE).tar.gz

# What is published about weaknesses of the libraries that we ship. A library that cannot be asked about fails, too.
audit:
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install --quiet pip-audit==2.10.1; }
	@build/audit/bin/python tests/support/advisories.py --strict --require-hashes --disable-pip --requirement requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
