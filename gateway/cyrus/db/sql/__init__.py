"""Databases in tables (lib/cyrusdb_sql.c): how they are laid out, and those of an SQLite file."""
