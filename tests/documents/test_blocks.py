"""Each block of README and docs/ is run, or read by its program, or says why it is not.

| language | what is done with it |
|---|---|
| toml | read as a gateway.toml |
| cf, m4, cyrus | is a piece of contrib/, which tests/contrib gives to the mail servers |
| sh | is pasted by a test that names it, or says why it is not run |
| console | is run in front of the demo's gateway (test_console.py) |
| python | is run (test_library.py) |
| postgresql, mysql, sql | is run on a server (tests/real/test_sql_documents.py) |
| imapd | is read as an imapd.conf |
| ini | is a drop-in that systemd reads |
| text, none | is shown, and has no command in it |
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest

from gateway.config import loads
from gateway.cyrus import imapdconf
from tests.rigs.folders import folder, make_subfolder, write_text
from tests.rigs.require import missing
from tests.sources import ROOT
from tests.support.blocks import DOCUMENTS, Block, blocks

LANGUAGES = frozenset(
    {
        "toml",
        "cf",
        "m4",
        "cyrus",
        "sh",
        "console",
        "python",
        "postgresql",
        "mysql",
        "sql",
        "ini",
        "imapd",
    }
)
_SHOWN = ("", "text")
# What a front end needs beside itself.
_SCOPE = '\n[scope]\ndomains = ["example.org"]\n'
_FRONT = '\n[socketmap]\nlisten = ["unix:/run/smmapd/socketmap"]\n'


def _all(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", list(blocks(*languages)), ids=str)


@_all()
def test_a_block_is_of_a_language_that_something_is_done_with(block: Block) -> None:
    """No other language."""
    assert block.language in LANGUAGES or block.language in _SHOWN


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_fenced(document: str) -> None:
    """None is hidden from these tests by indentation."""
    outside = re.sub(
        r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^(?: {4}|\t)\S.*", outside, re.MULTILINE) == []
    assert outside.count("```") == 0


@_all("sh")
def test_commands_are_pasted_by_a_test_or_say_why_not(block: Block) -> None:
    """The remark on the line before."""
    if block.pasted is None:
        assert len(block.reason) > len("the network"), "no remark says what runs it"
        for path in re.findall(r"tests/[\w/.]*\w", block.reason):
            assert (ROOT / path).exists(), path
    else:
        test = (ROOT / block.pasted["test"]).read_text()
        assert re.search(rf'past(ed|e)\((machine, )?"{block.pasted["name"]}"\)', test)


@_all(*_SHOWN)
def test_what_is_shown_has_no_command(block: Block) -> None:
    """No prompt, and no program of ours in front."""
    assert (
        re.findall(r"^(?:[$#] |(?:smmapd|smmapd-gateway|make) )", block.text, re.MULTILINE) == []
    ), block


@_all("toml")
def test_a_configuration_is_one(block: Block) -> None:
    """It can be copied as it is, with the reader's own domains."""
    text = block.text
    if "scope" not in tomllib.loads(text) and re.search(
        r"^\[(policy|milter)\]", text, re.MULTILINE
    ):
        text += _SCOPE
    if not re.search(r"^\[(socketmap|policy|milter)\]", text, re.MULTILINE):
        text += _FRONT
    with folder("toml") as path:
        # Certificates are looked for at a start, by tests of TLS.
        loads(text.encode(), f"{path}/gateway.toml")


@_all("imapd")
def test_options_of_cyrus_are_read(block: Block) -> None:
    """Each is one that the gateway knows."""
    with folder("imapd") as path:
        base = f"configdirectory: {path}\nservername: mx.example.org\n"
        conf = imapdconf.load(write_text(f"{path}/imapd.conf", base + block.text), "smmap")
    for line in block.text.splitlines():
        name, _, value = line.partition(": ")
        assert getattr(conf, name) == value


@_all("cf", "m4", "cyrus")
def test_a_snippet_is_a_piece_of_contrib(block: Block) -> None:
    """Line by line, in that order; what is between them there may be left out."""
    kinds = {"cf": ("postfix",), "m4": ("sendmail",), "cyrus": ("cyrus",)}
    given = [
        _squeezed(path.read_text())
        for kind in kinds[block.language]
        for path in sorted((ROOT / "contrib" / kind).iterdir())
    ]
    entries = re.split(r"\n(?=\S)", block.text.strip())
    assert any(all(_squeezed(entry) in text for entry in entries) for text in given), block


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.processes
@_all("ini")
def test_a_drop_in_is_read_by_systemd(block: Block) -> None:
    """On top of the unit; systemd-analyze has nothing to say of it."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is missing; as root: apt-get install systemd")
    with folder("unit") as path:
        unit = (ROOT / "contrib/systemd/smmapd-gateway.service").read_text()
        unit = re.sub(r"^(ExecStart|ExecReload)=.*\n", "", unit, flags=re.MULTILINE)
        unit = unit.replace("[Service]\n", "[Service]\nExecStart=/bin/true\n")
        unit = re.sub(r"^Documentation=.*\n", "", unit, flags=re.MULTILINE)
        write_text(f"{path}/one.service", unit)
        write_text(f"{make_subfolder(path, 'one.service.d')}/drop-in.conf", block.text)
        done = subprocess.run(
            ["systemd-analyze", "verify", f"{path}/one.service"],
            env={"SYSTEMD_UNIT_PATH": f"{path}:"},
            capture_output=True,
            text=True,
            check=False,
        )
    # Other units of this machine are of no matter.
    said = [line for line in done.stderr.splitlines() if path in line or "one.service" in line]
    assert said == []
