"""Files that ARCHITECTURE, CONTRIBUTING and the glossary name are there; the changelog's headings are unique."""

from __future__ import annotations

import re
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


def test_a_release_has_each_heading_once() -> None:
    """A second `### Added` would be read by nobody."""
    for release in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE):
        name = release.partition("\n")[0]
        headings = Counter(re.findall(r"^### .*", release, re.MULTILINE))
        assert [each for each, count in headings.items() if count > 1] == [], name
