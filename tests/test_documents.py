"""Manual pages, README and docs/ say what the programs do.

What stands in blocks of code, and the entries for log lines, is looked at in
tests/documents.

gateway.toml(5) is held against the settings' declarations by tests/config/test_reference.py.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import DEFAULT_CONFIG, parser
from gateway.frontends.socketmap_replies import ROWS, Row
from smmapd import options
from smmapd.options import USAGE
from tests.rigs.require import missing
from tests.support.blocks import DOCUMENTS

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.name for path in (ROOT / "man").iterdir())
README = (ROOT / "README.md").read_text()
VERDICTS = (ROOT / "docs/verdicts.md").read_text()
LINKED = (
    *DOCUMENTS,
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "contrib/README.md",
)
# argparse gives every parser -h; the page explains it once.
_EVERYWHERE = ("-h", "--help")
# What every command takes besides.
_COMMON = {"-c", "--config", "--color", "--debug"}


def page(name: str) -> str:
    """A manual page with plain hyphens."""
    return (ROOT / "man" / name).read_text().replace("\\-", "-")


def section(text: str, title: str) -> str:
    """What stands between `.SH title` (or `.SS title`) and the next one."""
    found = re.search(
        rf"^\.(SH|SS) {re.escape(title)}\n(.*?)(?=^\.SH|^\.\1|\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"no section {title}"
    return found[2]


def tagged(text: str) -> set[str]:
    """The options that the text explains: those in the lines behind a .TP."""
    lines = re.findall(r"^\.TP\n(.*)$", text, re.MULTILINE)
    return {word for line in lines for word in re.findall(r"(?<![\w-])--?[\w-]+", line)}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The subcommands of smmapd-gateway."""
    (found,) = (
        action.choices
        for action in parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(found)


def own_options(of: argparse.ArgumentParser) -> Iterator[str]:
    """Every way to write an option, but for -h."""
    for action in of._actions:
        yield from (each for each in action.option_strings if each not in _EVERYWHERE)


@pytest.mark.processes
@pytest.mark.parametrize("name", PAGES)
def test_a_manual_page_has_no_warnings(name: str) -> None:
    """groff has nothing to complain about."""
    if shutil.which("groff") is None:
        missing("groff is missing; as root: apt-get install groff-base")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z", str(ROOT / "man" / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("name", PAGES)
def test_a_manual_page_has_its_parts(name: str) -> None:
    """NAME, SYNOPSIS, DESCRIPTION, FILES and SEE ALSO, as man-pages(7) wants them."""
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "SEE ALSO"):
        assert section(page(name), title).strip()
    title, number = name.rsplit(".", 1)
    assert page(name).count(f"\n{title} -") == 1
    assert f".TH {title.upper()} {number} " in page(name)


def test_smmapd_explains_exactly_its_options() -> None:
    """smmapd(8) has every letter that the program takes, and no other."""
    taken = {f"-{letter}" for letter in options._TABLE}
    assert tagged(section(page("smmapd.8"), "OPTIONS")) == taken
    assert set(re.findall(r"-[A-Za-z]\b", section(page("smmapd.8"), "SYNOPSIS"))) == taken
    assert set(re.findall(r"\[(-\w)", USAGE)) == taken


def test_smmapd_tells_the_defaults() -> None:
    """Of -C, -U and -T."""
    text = section(page("smmapd.8"), "OPTIONS")
    assert options.DEFAULT_CONFIG in text
    assert f"(default {options.DEFAULT_USES}," in text
    assert f"(default {options.DEFAULT_TIMEOUT}," in text


def test_the_gateway_explains_what_every_command_takes() -> None:
    """smmapd-gateway(8): -c, --color, --debug and --version, and the default of -c."""
    text = section(page("smmapd-gateway.8"), "OPTIONS")
    assert tagged(text) == {*own_options(parser()), *_EVERYWHERE}
    assert tagged(text) >= _COMMON
    assert DEFAULT_CONFIG in text


@pytest.mark.parametrize("name", commands())
def test_the_gateway_explains_exactly_the_options_of_a_command(name: str) -> None:
    """smmapd-gateway(8) has a section for the command, with its options and no others."""
    text = page("smmapd-gateway.8")
    wanted = {option for option in own_options(commands()[name]) if option not in _COMMON}
    assert tagged(section(text, name)) == wanted
    assert f".B smmapd-gateway {name}\n" in section(text, "SYNOPSIS")


def test_the_gateway_has_no_section_for_what_is_no_command() -> None:
    """Sections between COMMANDS and SIGNALS are commands."""
    text = page("smmapd-gateway.8")
    between = text[text.index(".SH COMMANDS") : text.index(".SH SIGNALS")]
    assert re.findall(r"^\.SS (.*)$", between, re.MULTILINE) == list(commands())


def test_the_version_stands_in_one_place() -> None:
    """The heads of manual pages name the program, and pyproject.toml alone its version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("smmapd.8", "smmapd-gateway.8"):
        head = page(name).splitlines()[0]
        assert '"smmapd"' in head
        assert version not in head


@pytest.mark.parametrize("row", ROWS, ids=[row[0].name for row in ROWS])
def test_the_documents_have_the_table_of_replies(row: Row) -> None:
    """Verdict, socketmap status and SMTP reply, as the program gives them by default."""
    kind, code, enhanced, text, _shows_reason, _when = row
    wanted = f"| {kind.name} | {kind.status.decode()} | {code} {enhanced} {text} |\n"
    assert wanted in VERDICTS, f"the table of docs/verdicts.md needs this row:\n{wanted}"


@pytest.mark.parametrize("name", LINKED)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link is a file."""
    path = ROOT / name
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists(), f"{name} links to {target}, which is not there"


@pytest.mark.parametrize("word", re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE))
def test_readme_names_targets_that_exist(word: str) -> None:
    """Of the Makefile, and of what it includes."""
    makefile = (ROOT / "Makefile").read_text()
    included = re.findall(r"^include (\S+)$", makefile, re.MULTILINE)
    rules = "\n".join([makefile, *((ROOT / path).read_text() for path in included)])
    assert re.search(rf"^{word}:|^[\w -]*\b{word}\b[\w -]*:", rules, re.MULTILINE)


def test_readmes_configuration_has_every_front_end(tmp_path: Path) -> None:
    """The gateway.toml in it can be copied."""
    from gateway.config import loads

    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    loaded = loads(text.encode(), str(tmp_path / "gateway.toml"))
    assert {"socketmap", "policy", "milter"} <= set(loaded.listeners)


def test_readme_shows_the_three_ways_to_ask() -> None:
    """Lines for main.cf; that they are those of contrib, tests/documents says."""
    shown = re.findall(r"```cf\n(.*?)```", README, re.DOTALL)
    assert [len(re.findall("smmapd/(?:socketmap|policy|milter)", each)) for each in shown] == [
        1
    ] * 3
