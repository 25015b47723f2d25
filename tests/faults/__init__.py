"""Faults on purpose: damaged databases, hostile clients, long runs.  `make soak` runs more of it."""
