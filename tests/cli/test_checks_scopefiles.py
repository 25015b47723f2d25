"""check-config on the files of [scope]."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config
from gateway.cli.checks import scopefiles
from tests.rigs.folders import write_text


@pytest.mark.parametrize(
    ("scope", "asked_for"),
    [
        ('domains = ["example.org"]', True),
        ('domains = ["example.org"]\naliases = ["{path}"]', False),
        ('postfix = "/etc/postfix"', False),
    ],
    ids=["no alias file", "its alias file", "Postfix, which knows its own"],
)
def test_an_alias_file_that_exists_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str, *, asked_for: bool
) -> None:
    """Unless Postfix is asked itself."""
    path = str(tmp_path / "aliases")
    write_text(path, "root: fred\n")
    monkeypatch.setattr(scopefiles, "_USUAL_ALIASES", (str(tmp_path / "no such file"), path))
    toml = f'[policy]\nlisten = ["unix:/run/smmapd/p"]\n[scope]\n{scope.format(path=path)}\n'
    warned = [
        each
        for each in scopefiles.check(config.loads(toml.encode(), "/etc/smmapd/gateway.toml"))
        if "its aliases would be refused" in each.what
    ]
    assert [each.fix for each in warned] == [f'add "{path}" to aliases in [scope]'] * asked_for
