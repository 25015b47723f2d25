"""Files and exceptions that documents, docstrings and comments name exist; the changelog's headings are unique."""

from __future__ import annotations

import builtins
import re
import tokenize
from collections import Counter

import pytest

from tests.sources import ROOT, SOURCES

DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md")
NAMED = re.compile(r"`([\w/]+\.py)`")
FOUND = sorted(
    {
        (document, path)
        for document in DOCUMENTS
        for path in NAMED.findall((ROOT / document).read_text(encoding="utf-8"))
    }
)


def test_they_name_files() -> None:
    """The test below looks at something."""
    assert len(FOUND) > 50


@pytest.mark.parametrize(("document", "path"), FOUND, ids=[f"{d}:{p}" for d, p in FOUND])
def test_a_file_that_is_named_exists(document: str, path: str) -> None:
    """By its whole path, by that inside of gateway/, or by the end of either."""
    known = [str(source) for source in SOURCES]
    assert (ROOT / path).is_file() or any(each.endswith(f"/{path}") for each in known), (
        f"{document}: there is no {path}"
    )


PROSE = ("gateway", "smmapd", "tests", "contrib")
# Those of Python, and one that sites may have.
FOREIGN = {"socket.py", "sitecustomize.py", "CalledProcessError", "ZstdError"}


def test_docstrings_and_comments_name_what_exists() -> None:
    """A rename that leaves an old name in a sentence sends its reader nowhere."""
    paths = [path for room in PROSE for path in sorted((ROOT / room).rglob("*.py"))]
    files = {path.name for path in paths}
    names = set(dir(builtins)) | FOREIGN
    sentences: list[tuple[str, str]] = []
    for path in paths:
        with tokenize.open(path) as file:
            for each in tokenize.generate_tokens(file.readline):
                if each.type == tokenize.NAME:
                    names.add(each.string)
                elif each.type == tokenize.COMMENT or each.string.startswith('"""'):
                    sentences.append((f"{path.relative_to(ROOT)}:{each.start[0]}", each.string))
    missing = [
        f"{where}: there is no {name}"
        for where, sentence in sentences
        for name in re.findall(r"(?<![\w/{}<-])[a-z_]\w*\.py\b|\b[A-Z]\w*[a-z]Error\b", sentence)
        if name not in files | names
    ]
    assert missing == []


def test_a_release_has_each_heading_once() -> None:
    """A second `### Added` would be read by nobody."""
    for release in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE):
        name = release.partition("\n")[0]
        headings = Counter(re.findall(r"^### .*", release, re.MULTILINE))
        assert [each for each, count in headings.items() if count > 1] == [], name
