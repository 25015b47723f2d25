"""What the processes count, brought together in one place and shown to Prometheus.

Each process counts for itself and puts what it has counted into the shared metrics
(`sharedmemory`, a piece of memory that all share) once a second; the supervisor
keeps the counts of those that have ended (`registry`); the process that serves
the admin listener adds everything up (`gathering`) and writes it down in
Prometheus' terms (`exposition`).
"""
