"""The benchmark: load clients in C, servers side by side, and the table of what must be reached."""
