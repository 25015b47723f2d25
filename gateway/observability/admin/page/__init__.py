"""The status page: one HTML document with its style and script inside, and the policy for both.

The three parts are files of their own beside this one, so that editors and
linters know them; they are put together once.  The policy names both by their
hashes: no other script or style runs, nothing is fetched from other sites, and
whatever a recipient or a log line holds stays text.
"""

from __future__ import annotations

import base64
import hashlib
import os

_FOLDER = os.path.dirname(__file__)


def build() -> tuple[bytes, str]:
    """The document, and its Content-Security-Policy."""
    style, script = _read("page.css"), _read("page.js")
    document = _read("page.html").replace("/* page.css */", style).replace("/* page.js */", script)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "connect-src 'self'",
            "img-src data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )
    return document.encode(), policy


def _read(name: str) -> str:
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
        return file.read()


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
