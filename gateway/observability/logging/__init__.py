"""Log lines: where they go, how they look, and how many are written."""
