"""`print-config settings`: what is in force, and where it was set."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config
from gateway.config.inforce import in_force
from gateway.config.model import SECTIONS
from gateway.config.reference import example
from tests.rigs.commandline import ROOT, run

EXAMPLES = {
    "print-config example": example(),
    **{
        name: (Path(ROOT) / "contrib" / name).read_text(encoding="utf-8")
        for name in ("mx-postfix.toml", "mx-remote-store.toml")
    },
}


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_what_is_printed_is_the_same_configuration(text: str) -> None:
    """Read again it gives the same, and every setting has its line."""
    settings = config.loads(text.encode(), "gateway.toml")
    lines = list(in_force(settings))
    again = config.loads("\n".join(lines).encode(), settings.file)
    assert again == settings
    assert again.given == settings.given
    assert len([line for line in lines if " = " in line]) == sum(
        len(section.declarations) for section in SECTIONS
    )


@pytest.mark.processes
def test_where_each_was_set(tmp_path: Path) -> None:
    """A file and line, that of a drop-in too, the setting that it inherits, or its default."""
    path = tmp_path / "gateway.toml"
    path.write_text('mode = "observe"\n[policy]\nlisten = ["unix:/run/p"]\n')
    (tmp_path / "gateway.toml.d").mkdir()
    drop_in = tmp_path / "gateway.toml.d" / "a.toml"
    drop_in.write_text('[scope]\ndomains = ["example.org"]\n\n[replies.denied]\ntext = "no"\n')
    done = run("print-config", "settings", "-c", str(path))
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == f"# In force: {path}, {drop_in}."
    places = {}
    table = ""
    for line in done.lines[1:]:
        if line.startswith("["):
            table = line.strip("[]") + "."
        elif line:
            setting, place = line.rsplit("  # ", 1)
            places[table + setting.split(" = ")[0]] = place
    assert places["mode"] == f"{path}:1"
    assert places["policy.listen"] == f"{path}:3"
    assert places["scope.domains"] == f"{drop_in}:2"
    assert places["replies.denied.text"] == f"{drop_in}:5"
    assert places["policy.#mode"] == "as mode at the top"
    assert places["#workers"] == "default"
