"""The processes that serve: what a child runs, and the front ends that it serves."""
