"""docs/library.md: its examples, run on the demo's store."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from tests.demo.store import build
from tests.support.blocks import blocks, table, text

DOCUMENT = "docs/library.md"


def test_the_examples_do_what_they_show(tmp_path: Path) -> None:
    """One session from top to bottom, with the store's imapd.conf for /etc's."""
    store = build(str(tmp_path))
    session = "\n".join(block.text for block in blocks("python") if block.document == DOCUMENT)
    assert "/etc/imapd.conf" in session
    session = session.replace("/etc/imapd.conf", store.conf_path)
    examples = doctest.DocTestParser().get_doctest(session, {}, DOCUMENT, DOCUMENT, 0)
    told: list[str] = []
    outcome = doctest.DocTestRunner().run(examples, out=told.append)
    assert "".join(told) == ""
    assert outcome.attempted == session.count(">>> ")


@pytest.mark.parametrize("row", table(DOCUMENT, "What is stable"), ids=lambda row: row[0])
def test_what_is_stable_is_there(row: list[str]) -> None:
    """Every name of the table."""
    module = importlib.import_module(row[0])
    names = re.findall(r"(?:^|`)([\w.]+)", row[1])
    assert names
    for name in names:
        found: object = module
        for part in name.split("."):
            found = getattr(found, part)


def test_only_what_is_stable_is_imported() -> None:
    """By the examples."""
    stable = {row[0] for row in table(DOCUMENT, "What is stable")}
    for module, name in re.findall(r"^>>> from (\S+) import (\w+)", text(DOCUMENT), re.MULTILINE):
        assert module in stable or f"{module}.{name}" in stable


def test_every_python_block_is_the_librarys() -> None:
    """No other document has one that nothing would run."""
    assert {block.document for block in blocks("python")} == {DOCUMENT}
