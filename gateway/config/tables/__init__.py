"""The tables of gateway.toml, one module a table."""
