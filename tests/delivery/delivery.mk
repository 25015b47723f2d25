# Delivery as the oracle, longer than the tests have it (tests/RELIABILITY.md has the figures).

RECIPIENTS ?= 500000
RELEASE    ?= bookworm
JOBS       ?= 2
FIRST_SEED ?= 100000

.PHONY: delivery

delivery: venv
	@tests/rigs/packages.sh install cyrus package
	$(BIN)/python -m tests.delivery --recipients $(RECIPIENTS) --release $(RELEASE) --jobs $(JOBS) --seed $(FIRST_SEED) --answers delivery
