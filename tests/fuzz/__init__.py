"""Fuzz targets for everything that reads bytes of others.

`targets` has them; `make fuzz SECONDS=n` drives each for n seconds, guided by
coverage (atheris, if it is installed); test_fuzz.py drives them all for a
moment in CI.
"""
