"""Add a table of settings: a module with a SECTION, known to the model, loaded and documented."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from pathlib import Path

import pytest

from gateway.config import model, reference
from gateway.config.declaration import Section
from gateway.config.model import SECTIONS, Settings
from tests.exercises.reading import TABLES, loaded, man
from tests.sources import ROOT, SOURCES

_FOLDER = Path(model.__file__).parent.relative_to(ROOT)
# Every module beside the model, or below it, that declares a table.
DECLARED: dict[str, Section[object]] = {
    path: module.SECTION
    for path in SOURCES
    if Path(path).is_relative_to(_FOLDER) and Path(path).name != "__init__.py"
    for module in [importlib.import_module(path.removesuffix(".py").replace("/", "."))]
    if isinstance(getattr(module, "SECTION", None), Section)
}
PLAIN = [section for section in SECTIONS if not section.name.startswith("replies.")]
NAMES = pytest.mark.parametrize("section", PLAIN, ids=[each.name or "top" for each in PLAIN])


def test_the_model_knows_every_table() -> None:
    """SECTIONS in the model: what is not there is an unknown table to the loader."""
    missing = [path for path, section in DECLARED.items() if section not in SECTIONS]
    assert missing == [], f"SECTIONS in gateway/config/model.py misses that of {missing}"
    assert len(DECLARED) == len(PLAIN)


@NAMES
def test_the_model_has_a_field_for_it(section: Section[object]) -> None:
    """Settings has one field a table, of the class that the table builds."""
    name = section.name or "general"
    assert name in TABLES, f"Settings in gateway/config/model.py needs a field {name}"
    built = typing.get_type_hints(Settings)[name]
    assert section.build is built
    assert set(section.declarations) == TABLES[name]


@NAMES
def test_it_is_loaded_with_its_defaults(section: Section[object]) -> None:
    """A file that names the table and sets nothing gives what a file without it gives."""
    named = f"[{section.name}]\n" if section.name not in ("", "socketmap") else ""
    value = getattr(loaded(named), section.name or "general")
    assert value == getattr(loaded(), section.name or "general")
    assert {field.name for field in dataclasses.fields(value)} == set(section.declarations)


@NAMES
def test_the_reference_and_the_example_have_it(section: Section[object]) -> None:
    """gateway.toml(5), and what `print-config example` prints: both are made from SECTIONS."""
    assert section.title
    if section.name:
        assert f"[{section.name}]" in man("gateway.toml.5"), "man/gateway.toml.5: make reference"
        assert f"[{section.name}]" in reference.example()
