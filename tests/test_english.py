"""Our texts are plain English, in the style of CONTRIBUTING's table of pairs.

Looked at are the program's strings (messages, log lines, descriptions of settings), the
pages for users (README, `docs/` and `man/`), and docstrings and comments.
`FORBIDDEN` are turns of phrase that we fell into time and again, each with what to write;
`IN_SOURCE` are more of them, which only docstrings and comments had, and `IN_PROGRAM` those that
name nobody where a client, a process or an administrator is meant.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.sources import SOURCES, tree

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "man").glob("*.[1-8]"))),
]
TESTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py"))

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
    r"\bunder way\b": "in progress",
    r"\b(?:[Rr]efus(?:ed?|es|al)|answered) (?:a recipient |nobody |somebody )?for ever\b": "permanently",
}
IN_PROGRAM = {
    r"\b[Ss]omebody\b": "a client, a process, an administrator, or the passive",
    r"\bshall\b": "must, should, is to",
}
IN_SOURCE = {
    r"\btells? that\b": "`NAME`: ...; says that, shows that",
    r"\bturns? of (?:the|an) (?:event )?loop\b|\bthis turn\b": "tick, round",
    r"\bstands? (?:here|there|beside|before|apart|below)\b|\bas it stands?\b": "is, is kept, comes",
    r"\b(?:verdict|answer|refusal|it) stands\b(?! for)": "is final, valid, in force",
    r"\b(?:what|it|one) stood\b": "was",
    r"\bwhom it\b": "the recipients that",
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


def prose(path: str) -> list[str]:
    """A module's docstrings, and its comments, those of neighbouring lines as one."""
    found = [
        str(node.value.value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    last = 0
    with tokenize.open(ROOT / path) as file:
        for each in tokenize.generate_tokens(file.readline):
            if each.type == tokenize.COMMENT:
                line, text = each.start[0], each.string[1:]
                if line == last + 1:
                    found[-1] += text
                else:
                    found.append(text)
                last = line
    return found


def wrong(text: str, forbidden: Mapping[str, str] = FORBIDDEN) -> list[str]:
    """What is found of `forbidden`, with its surroundings and what to write."""
    flat = " ".join(text.split())
    return [
        f"{flat[max(0, each.start() - 30) : each.end() + 30]!r}: write {instead}"
        for pattern, instead in forbidden.items()
        for each in re.finditer(pattern, flat)
    ]


@pytest.mark.parametrize("path", SOURCES)
def test_messages_are_plain(path: str) -> None:
    """Whatever is written into a log, to a terminal, or to an HTTP client."""
    assert [each for text in texts(path) for each in wrong(text, FORBIDDEN | IN_PROGRAM)] == []


@pytest.mark.parametrize("path", [*SOURCES, *TESTS])
def test_docstrings_and_comments_are_plain(path: str) -> None:
    """What a contributor reads: those of tests say what the program promises."""
    forbidden = FORBIDDEN | IN_SOURCE | (IN_PROGRAM if path in SOURCES else {})
    assert [each for text in prose(path) for each in wrong(text, forbidden)] == []


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
        "a mail under way",
        "a recipient is refused for ever",
    ],
)
def test_what_is_wrong_is_found(text: str) -> None:
    """Each of them was once in a message of ours."""
    assert wrong(text)


@pytest.mark.parametrize(
    "text",
    ["`own` tells that it is", "the answer stands", "a turn of the loop", "somebody has written"],
)
def test_what_is_wrong_in_source_is_found(text: str) -> None:
    """Each of them was once in a docstring of ours."""
    assert wrong(text, IN_SOURCE | IN_PROGRAM)


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
