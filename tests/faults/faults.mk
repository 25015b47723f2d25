# Long runs of what CI runs shortly; the Makefile includes this file.
#
#   make soak MINUTES=n   every damaged image once, then questions while Cyrus writes, for n minutes
#   make fuzz SECONDS=n   each fuzz target for n seconds, guided by coverage
#   make mutate MODULE=gateway/... TESTS=tests/...   changes of the module that no test notices

.PHONY: soak fuzz mutate

MINUTES ?= 10
SECONDS ?= 60

soak: venv
	@tests/rigs/packages.sh install cyrus
	SOAK=1 $(BIN)/python -m pytest -q tests/faults
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); \
	while RIGS_REQUIRED=1 $(BIN)/python -m pytest -q tests/real/test_writers.py || exit 1; \
	    [ $$(date +%s) -lt $$end ]; do :; done

fuzz: venv
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	    $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints-fuzz.txt
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

mutate: venv
	@$(BIN)/python -m tests.mutation $(MODULE) $(TESTS)
