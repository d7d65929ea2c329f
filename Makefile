# Every target calls a file in scripts/, so that a person, CI and this Makefile run the same thing.

.PHONY: help demo test check bench

help:
	@echo 'make demo    the whole loop on a throwaway Postgres'
	@echo 'make test    all tests'
	@echo 'make check   format, lints, documentation, dependencies'
	@echo 'make bench   what pgload costs beside pgbench, and what its advice is worth'
	@echo 'Each installs what is missing from the system packages first.'

demo:
	@scripts/demo

test:
	@scripts/test

check:
	@scripts/check

bench:
	@scripts/bench
