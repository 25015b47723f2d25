"""A small engine for tests: the demo's store."""

from __future__ import annotations

from gateway.config import Settings, loads
from gateway.verification.verifier import Verifier
from gateway.wiring.assembly import make_store
from tests.demo.store import build

CONFIGURATION = """
[cyrus]
imapd_conf = "{conf}"
[socketmap]
listen = ["unix:/run/smmapd/socketmap"]
[policy]
listen = ["unix:/run/smmapd/policy"]
[scope]
domains = ["example.org"]
{more}
"""


def settings(folder: str, more: str = "") -> Settings:
    """Settings on the demo's store in `folder`; `more` are further tables."""
    text = CONFIGURATION.format(conf=build(folder).conf_path, more=more)
    return loads(text.encode(), "gateway.toml")


def verifier(folder: str) -> Verifier:
    """The engine on it."""
    return Verifier.for_store(make_store(settings(folder)))
