"""The front ends: they translate between a protocol and the engine, and decide nothing."""
