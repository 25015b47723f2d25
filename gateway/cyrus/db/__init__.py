"""Cyrus' database formats, one reader each, behind the one `Database` of `base`.

A reader sees the last committed state, takes no lock, and never writes.
`formats` opens a file as what it is, `live` follows a path whose file is
replaced.
"""
