# The benchmark's targets; the Makefile includes this file.
#
#   make bench        every row, less than 15 minutes
#   make bench-quick  the main rows, about a minute once the store is there
#   make bench-peers  what people use to verify recipients, through a real smtpd, eight minutes
#   make bench-sql    a million mailboxes on PostgreSQL and MariaDB, five minutes
#   make bench-clean  removes what it keeps (SMMAPD_BENCH_CACHE, /var/tmp/smmapd-bench)

.PHONY: bench bench-quick bench-peers bench-sql bench-clean bench-packages bench-rivals

# Cyrus and the compiler are needed; the servers to compare with may fail to come,
# their rows then say so.
bench-packages: venv
	@tests/rigs/packages.sh install build cyrus

bench-rivals: bench-packages
	@tests/rigs/packages.sh install dovecot || true
	@tests/bench/packages.sh install || true

bench: bench-rivals
	@$(BIN)/python -m tests.bench.run

bench-quick: bench-packages
	@$(BIN)/python -m tests.bench.run --quick

bench-peers: bench-packages
	@tests/rigs/packages.sh install postfix
	@tests/rigs/packages.sh install dovecot || true
	@$(BIN)/python -m tests.bench.rcpt.compare

bench-sql: venv
	@tests/rigs/packages.sh install
	@$(BIN)/python -m tests.bench.million

bench-clean:
	@python3 -m tests.bench.cache
	rm -rf build/bench
