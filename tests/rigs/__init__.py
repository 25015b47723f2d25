"""Rigs: throw-away instances of the real programs that the tests drive."""
