"""The documents' blocks: fenced code, and the remark before it that says what runs it.

    <!-- pasted: tests/package/test_mail_site.py socket-folder -->
    <!-- not run: needs the network -->

stand on the line before a block of commands.  A pasted block is read out of the
document, by its name, by the test that runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.sources import ROOT

DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

_FENCED = re.compile(
    r"^(?:<!-- (?P<remark>[^\n]*) -->\n)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PASTED = re.compile(r"pasted: (?P<test>\S+) (?P<name>\S+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `remark` is the comment on the line before it, or empty."""

    document: str
    line: int
    language: str
    text: str
    remark: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def pasted(self) -> re.Match[str] | None:
        """The test that reads this block, and by which name."""
        return _PASTED.fullmatch(self.remark)

    @property
    def reason(self) -> str:
        """Why it is not run, where it is not."""
        return self.remark.removeprefix("not run: ") if self.remark.startswith("not run: ") else ""


def text(document: str) -> str:
    """One of DOCUMENTS."""
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(*languages: str) -> Iterator[Block]:
    """Every block of every document that is in one of `languages`; all without one."""
    for document in DOCUMENTS:
        content = text(document)
        for found in _FENCED.finditer(content):
            if not languages or found["language"] in languages:
                line = content.count("\n", 0, found.start()) + 1
                yield Block(document, line, found["language"], found["text"], found["remark"] or "")


def pasted(name: str) -> list[str]:
    """The commands of the blocks that are pasted under that name; those are alike."""
    texts = {each.text for each in blocks("sh") if each.pasted and each.pasted["name"] == name}
    (found,) = texts
    return found.replace("\\\n", " ").splitlines()


def table(document: str, title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    _, _, below = text(document).partition(f"\n## {title}\n")
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows is not None, f"{document} has no table below {title}"
    lines = [line.strip("|").split("|") for line in rows[0].splitlines()]
    return [[field.strip().strip("`") for field in line] for line in lines[2:]]
