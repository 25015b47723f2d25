"""The manual page and the example are made of the declarations."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from gateway import config
from gateway.config import reference
from gateway.config.declaration import Declaration, Section
from gateway.config.model import SECTIONS
from gateway.config.tables.replies import PERMANENT_SIZE
from gateway.frontends.replies import WHEN
from gateway.verification.kinds import Kind
from tests.rigs.require import require_command

ROOT = Path(__file__).parents[2]
EVERY = [
    (section, key, declaration)
    for section in SECTIONS
    for key, declaration in section.declarations.items()
]
IDS = [section.dotted(key) for section, key, _ in EVERY]


def test_the_manual_page_is_what_the_declarations_give() -> None:
    """After a change of a setting it is made again."""
    fresh = (ROOT / "man/gateway.toml.5").read_text() == reference.man_page()
    assert fresh, "man/gateway.toml.5 is not what the declarations give: make reference"


def test_the_example_is_a_configuration_that_loads() -> None:
    """It can be copied as it is."""
    loaded = config.loads(reference.example().encode(), "example")
    assert set(loaded.listeners) == {"socketmap", "admin"}


def test_the_example_without_its_comment_signs_is_the_defaults() -> None:
    """What the example shows as a default is the default."""
    text = reference.example()
    shown = re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert shown != text
    plain = config.loads(text.encode(), "example")
    explicit = config.loads(shown.encode(), "example")
    assert plain == explicit


@pytest.mark.parametrize(("section", "key", "declaration"), EVERY, ids=IDS)
def test_every_declaration_is_whole(
    section: Section[object], key: str, declaration: Declaration
) -> None:
    """Default and example are TOML that the setting itself takes, and there is a description."""
    assert declaration.description.endswith(".")
    texts = [declaration.example]
    if declaration.default is not None:
        texts.append(declaration.default)
    for text in texts:
        declaration.parse(tomllib.loads(f"{key} = {text}")[key])
    if declaration.default is not None:
        assert declaration.parse(tomllib.loads(f"x = {declaration.default}")["x"]) == (
            declaration.default_value
        )


@pytest.mark.parametrize(("section", "key", "declaration"), EVERY, ids=IDS)
def test_every_setting_stands_in_the_manual(
    section: Section[object], key: str, declaration: Declaration
) -> None:
    """Key and section are named."""
    page = reference.man_page().replace("\\-", "-")
    assert f"\\fB{key}\\fR" in page
    assert f"[{section.name}]" in page or not section.name


def test_the_default_for_sizes_is_as_the_sentence_says() -> None:
    """With size_check = permanent it is another one."""
    sentence = WHEN[Kind.SIZE_OVER_QUOTA]
    assert f"`code` is {PERMANENT_SIZE.code} " in sentence
    assert f"`enhanced` is {PERMANENT_SIZE.enhanced} " in sentence


@pytest.mark.processes
def test_the_manual_page_has_no_warnings() -> None:
    """groff has nothing to complain about."""
    require_command("groff", "apt-get install groff-base")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z"],
        input=reference.man_page(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_the_program_writes_the_page_and_refuses_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage is exit code 64."""
    page = tmp_path / "page"
    assert reference.main([str(page)]) == 0
    assert page.read_text() == reference.man_page()
    assert reference.main([]) == 64
    assert capsys.readouterr().err == "usage: reference FILE\n"


def test_both_manuals_say_the_same_of_the_two_authorities() -> None:
    """What differs is a table of gateway.toml(5) (MAN_ANSWERS) and of smmapd(8), Delivery."""
    told, also = (_differences(ROOT / "man" / page) for page in ("gateway.toml.5", "smmapd.8"))
    assert len(told) > 10
    assert told == also, (
        "gateway/config/referencetext.py (MAN_ANSWERS) and man/smmapd.8 (Delivery) differ"
    )


def _differences(page: Path) -> list[str]:
    """The entries of a page that say what either authority answers."""
    entries = page.read_text(encoding="utf-8").split(".TP\n")[1:]
    parts = (re.split(r"\n\.(?:SH|SS|PP|P)\b", each)[0].strip() for each in entries)
    return [each for each in parts if "\nsmmapd:" in each and "\ndelivery:" in each]
