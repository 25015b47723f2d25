"""Tests that drive the real programs; each is marked `real`."""
