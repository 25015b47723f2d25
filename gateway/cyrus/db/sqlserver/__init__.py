"""Databases in tables of a PostgreSQL or MySQL server, and the connections to it."""
