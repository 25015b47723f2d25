# What a person types.  `make demo` and `make test` work on a fresh clone; what
# they need and cannot install they name, with the command to get it.

# Without any, Debian's own: venv.sh says how to get it.
PYTHON  ?= $(shell for p in /usr/bin/python3 python3; do command -v $$p >/dev/null && { echo $$p; exit; }; done; echo /usr/bin/python3)
VENV    := .venv
BIN     := $(VENV)/bin
ONLY    := milter and not clean and not delivery
STAMP   := $(VENV)/.ready

.PHONY: help venv reference serve watch hooks demo docs test test-clean test-delivery test-debian13 test-python314 builtin lint unit deb dist clean

help:
	@echo "make demo   a small store, served and asked: a table of recipients and answers"
	@echo "make test   everything: style, types, layers, unit and real programs"
	@echo "make test-clean  whole machines of both Debian releases: the package under systemd, Exim"
	@echo "make builtin  the milter's tests, slow ones too, with library = builtin"
	@echo "make serve  a gateway on the demo's store with a debug log, which follows your changes"
	@echo "make watch  on each change the tests that mirror it (or those of TESTS=...)"
	@echo "make unit   the tests that start no process, without the slow ones"
	@echo "make reference  gateway.toml(5), the completion for shells and Exim's routers, from what the program declares"
	@echo "make docs   the documents as a site in build/site; a broken link fails"
	@echo "make lint   style, types and the import contract"
	@echo "make bench  the table of measurements (bench-quick: its main rows)"
	@echo "make bench-peers  what people use to verify recipients, RCPT by RCPT through a real smtpd"
	@echo "make deb    a Debian package in build/deb"
	@echo "make dist   sdist and wheel of a release in dist/, checked by twine"
	@echo "make soak   damage, and questions while Cyrus writes, for MINUTES=10"
	@echo "make fuzz   each reader of foreign bytes, guided by coverage, for SECONDS=60"
	@echo "make delivery  mail delivered for real to RECIPIENTS=500000, and what we had said of them"
	@echo "make test-delivery  25 000 recipients: mail delivered for real, and what we had said of them"
	@echo "make test-debian13  what other programs decide, in a root of Debian 13; ON_DEBIAN13=tests: everything"
	@echo "make test-python314  what needs no other program, on the Python of Debian testing"
	@echo "make reloads  reloads under long SMTP sessions, for MINUTES=10"
	@echo "make kills  processes killed while mail comes in, for MINUTES=10"
	@echo "make model  changes of a store with no question between them, 50 000 rounds"
	@echo "make mutate what the tests of engine and readers do not notice"
	@echo "make venv   $(BIN)/smmapd, $(BIN)/smmapd-gateway and the development tools"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt contrib/venv.sh contrib/launcher.in contrib/writearchive.py
	@contrib/venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: venv
	@$(BIN)/python -m tests.demo

# Material warns of a later MkDocs, which is not the one that constraints.txt pins.
docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

# What is made of the declarations of settings and of the command line; tests fail where it is stale.
reference: venv
	$(BIN)/python -m gateway.config.reference man/gateway.toml.5
	$(BIN)/python contrib/completion.py gateway/cli/completion
	$(BIN)/python contrib/routers.py contrib/exim/450_smmapd_routers

serve: venv
	@$(BIN)/python -m tests.demo.development

watch: venv
	@$(BIN)/python -m tests.watch $(TESTS)

# What a commit has to pass, each time (git config core.hooksPath .githooks).
hooks:
	git config core.hooksPath .githooks

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests mostly wait for processes that they started, so three files of them run side by side.
BESIDE := -n 3 --dist loadfile

# Everything that it leaves out is part of `make test`.  What its tests write stays in memory: on a
# busy disk the removal of their files takes longer than they do.
unit: venv
	@folder=$$(mktemp -d /dev/shm/unit.XXXXXX 2>/dev/null || mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		$(BIN)/python -m pytest -q -n 2 --dist load --basetemp="$$folder" -m "not real and not slow and not processes"

# Only root can start real programs as their own users.  For anybody else what
# is missing is named, and their tests are skipped with the reason; on CI
# (CI=true) a skipped real test is a failure.
test: venv
	@tests/rigs/packages.sh install || [ "$$(id -u)" != 0 ]
	@$(MAKE) --no-print-directory lint
	RIGS_REQUIRED=$$([ "$$(id -u)" = 0 ] && echo 1 || echo 0) $(BIN)/python -m pytest -q $(BESIDE) -m "not clean and not delivery"
	@$(MAKE) --no-print-directory builtin ONLY="milter and not slow and not clean and not delivery"

# The milter's tests have run with pymilter, which is the default; the same with our own codec.
# Those that take long are left out of `make test`.
builtin: venv
	MILTER_LIBRARY=builtin RIGS_REQUIRED=$$([ "$$(id -u)" = 0 ] && echo 1 || echo 0) \
		$(BIN)/python -m pytest -q $(BESIDE) -m "$(ONLY)"

# What sets up whole machines takes minutes and the network; CI runs it beside `make test`.
test-clean: venv
	@tests/rigs/packages.sh install deb package
	RIGS_REQUIRED=1 $(BIN)/python -m pytest -q -m clean

# Mail delivered for real, on the Cyrus of both Debian releases; CI runs it beside `make test`.
test-delivery: venv
	@tests/rigs/packages.sh install cyrus package
	RIGS_REQUIRED=1 $(BIN)/python -m pytest -q -m delivery

# In a root that debootstrap makes and the cache keeps; needs root.  By default, as on CI, what drives
# other people's programs, and Python itself; ON_DEBIAN13=tests is everything.
VERSIONED    := tests/test_errors.py tests/test_values.py tests/cli tests/contrib tests/config tests/supervisor \
	tests/worker tests/wiring tests/explain tests/observability tests/server tests/frontends \
	tests/protocols tests/smmapd tests/upstream tests/rigs tests/mta tests/cyrus/db tests/golden/test_engine.py \
	tests/faults/test_standard_descriptors.py \
	tests/real/test_old_tls.py tests/real/test_oracle.py tests/real/test_postmap.py \
	tests/real/test_smmapd_damage.py tests/real/test_smmapd_start.py tests/real/test_sql_servers.py \
	tests/real/test_lmtp_store.py
ON_DEBIAN13  := $(VERSIONED)
ON_PYTHON314 := tests

test-debian13: venv
	@tests/rigs/packages.sh install package
	$(BIN)/python -m tests.package.suite trixie $(BESIDE) $(ON_DEBIAN13)

# What needs no other program, on the Python of Debian testing, in a root like that.
test-python314: venv
	@tests/rigs/packages.sh install package
	$(BIN)/python -m tests.package.suite testing $(BESIDE) $(ON_PYTHON314)

deb:
	@tests/rigs/packages.sh install deb
	contrib/deb.sh build/deb

# The sdist and the wheel in dist/, as RELEASING.md wants them; the wheel is made of the sdist.
DIST := build/dist

dist: $(STAMP)
	@rm -rf dist build/lib build/bdist.* $(DIST)
	@$(BIN)/python -m venv $(DIST)
	@$(DIST)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints-dist.txt
	$(DIST)/bin/python -m build --outdir dist .
	$(DIST)/bin/twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

include tests/bench/bench.mk
include tests/faults/faults.mk
include tests/delivery/delivery.mk
