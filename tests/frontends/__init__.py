"""Tests of gateway.frontends."""
