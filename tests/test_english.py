"""Texts that reach users are plain English, in the style of CONTRIBUTING's table of pairs.

Looked at are the program's strings (messages, log lines, descriptions of settings)
and the pages for users: README, `docs/` and `man/`.  `FORBIDDEN` are turns of phrase
that we fell into time and again, each with what to write.  Comments and docstrings
are not looked at.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.sources import SOURCES, tree

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "man").glob("*.[1-8]"))),
]

FORBIDDEN = {
    r"(?<!\b[Tt]here )(?<!really )\bis no (?!longer\b|more\b|better\b)": "is not a ...",
    r"\b[Ww]hoever\b": "a client that ..., the process that ...",
    r"\bwhom\b": "a recipient that ...",
    r"(?:^|[.;:,] )[Ww]ho (?!may )\w+s\b": "a client that ..., the user that ...",
    r"\b(?:client|recipient|process|server|user|sender)s?,? who\b": "that, which",
    r"\bparted from\b": "disconnected",
    r"\b(?:stands?|stood) (?:no longer|behind|in force)\b": "has expired, follows, is in force",
    r"\banew\b": "again",
    r"\bcan not\b": "cannot",
    r"\bas it stands\b": "as it is",
    r"\bby who\b": "by the process that ...",
}


def texts(path: str) -> list[str]:
    """The program's strings that have more than one word, but for docstrings."""
    found: list[str] = []
    documented = set[int]()
    for node in ast.walk(tree(path)):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                documented.add(id(text))
            case ast.Constant(value=str(text)) if id(node) not in documented and " " in text:
                found.append(text)
            case _:
                pass
    return found


def wrong(text: str) -> list[str]:
    """What is found of FORBIDDEN, with its surroundings and what to write."""
    flat = " ".join(text.split())
    return [
        f"{flat[max(0, each.start() - 30) : each.end() + 30]!r}: write {instead}"
        for pattern, instead in FORBIDDEN.items()
        for each in re.finditer(pattern, flat)
    ]


@pytest.mark.parametrize("path", SOURCES)
def test_messages_are_plain(path: str) -> None:
    """Whatever is written into a log, to a terminal, or to an HTTP client."""
    assert [each for text in texts(path) for each in wrong(text)] == []


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_plain(path: str) -> None:
    """Manual pages and documents."""
    assert wrong((ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "this is no address",
        "whoever waits is told of it",
        "recipients whom it may save",
        "a client, who is parted from",
        "an entry stands no longer",
        "is asked anew",
    ],
)
def test_what_is_wrong_is_found(text: str) -> None:
    """Each of them was once in a message of ours."""
    assert wrong(text)


@pytest.mark.parametrize(
    "text", ["there is no user", "it is no longer remembered", "Who may connect"]
)
def test_what_is_right_is_not(text: str) -> None:
    """Plain English has these words, too."""
    assert not wrong(text)


def test_the_style_has_its_pairs() -> None:
    """Twenty of them, in CONTRIBUTING."""
    _, _, style = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## English")
    assert len(re.findall(r"^\| (?!not )[^|-]+ \| [^|]+ \|$", style, re.MULTILINE)) >= 20
