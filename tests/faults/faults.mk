# Long runs of what CI runs shortly; the Makefile includes this file.
#
#   make soak MINUTES=n   every damaged image once (soak-damage), then questions while Cyrus writes
#                         and its writers are killed, for n minutes (soak-writers)
#   make kills MINUTES=n  processes killed and stopped while mail comes in, for n minutes
#   make model            50 000 rounds and 5 million answers of tests/model: changes of a store's files
#                         with no question between them, all front ends against programs just started
#   make dictionary       a dictionary attack of 1000 unknown recipients a second while Postfix' table
#                         needs 200 ms for each: what good recipients wait, CPU and programs
#   make reloads MINUTES=n  a reload every 20 s under 50 SMTP sessions of 1 s to 3 minutes, for n
#                         minutes with each library of the milter
#   make fuzz SECONDS=n   each fuzz target for n seconds, guided by coverage
#   make mutate           changes of the modules in tests/mutation/modules.toml that no test notices;
#                         MODULE=gateway/... for one of them, TESTS=tests/... for other tests, MOST=n for a sample

TOTALS := build/soak-writers

.PHONY: soak soak-damage soak-writers kills reloads model dictionary fuzz mutate

# A test that takes as long as it is told to is not one that hangs.
ENDLESS := -o faulthandler_timeout=0

MINUTES ?= 10
SECONDS ?= 60

soak: soak-damage soak-writers

soak-damage: venv
	SOAK=1 $(BIN)/python -m pytest -q $(ENDLESS) tests/faults

soak-writers: venv
	@tests/rigs/packages.sh install cyrus
	@mkdir -p build; : >$(TOTALS); \
	end=$$(($$(date +%s) + 60 * $(MINUTES))); \
	for seed in $$(seq 0 1000000); do \
	    RIGS_REQUIRED=1 WRITERS_SEED=$$seed WRITERS_TOTALS=$(TOTALS) \
	        $(BIN)/python -m pytest -q tests/real/test_writers.py tests/real/test_writers_twom.py; \
	    failed=$$?; \
	    awk '{ a += $$1; w += $$2; o += $$3; k += $$4 } END { print "soak, until seed '$$seed':", \
	        a+0, "answers,", w+0, "wrong,", o+0, "operations,", k+0, "writers killed" }' $(TOTALS); \
	    [ $$failed = 0 ] || exit 1; \
	    [ $$(date +%s) -lt $$end ] || break; \
	done

kills: venv
	@tests/rigs/packages.sh install cyrus postfix sendmail
	KILLS_SECONDS=$$((60 * $(MINUTES))) RIGS_REQUIRED=1 $(BIN)/python -m pytest -s $(ENDLESS) \
	    tests/interfaces/test_kills.py tests/interfaces/test_stopped.py

model: venv
	@tests/rigs/packages.sh install cyrus
	RIGS_REQUIRED=1 $(BIN)/python -m tests.model.run
	EQUAL_STAMPS=10000 $(BIN)/python -m pytest -q $(ENDLESS) tests/verification/test_equal_stamps.py

dictionary: venv
	@tests/rigs/packages.sh install postfix
	@$(BIN)/python -m tests.faults.dictionary

reloads: venv
	@tests/rigs/packages.sh install cyrus postfix sendmail
	RELOADS_SECONDS=$$((60 * $(MINUTES))) RIGS_REQUIRED=1 $(BIN)/python -m pytest -s $(ENDLESS) \
	    tests/interfaces/test_long_sessions.py

fuzz: venv
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	    $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints-fuzz.txt
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

mutate: venv
	@$(BIN)/python -m tests.mutation $(MODULE) $(if $(TESTS),--tests $(TESTS)) $(if $(MOST),--most $(MOST))
