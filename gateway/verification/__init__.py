"""The engine: a Query in, a Verdict out, and the steps that led there."""
