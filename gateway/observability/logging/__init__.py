"""Log lines: where they go, how they look, and how storms of them are kept in bounds."""
