"""`make serve`: a gateway that follows the code and its configuration."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from gateway import config
from tests.demo import development


class Enough(Exception):
    """The test has seen enough looks."""


class Started:
    """Stands for a process; `told` is what it was told."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def poll(self) -> int | None:
        """It lives."""
        return None

    def send_signal(self, number: int) -> None:
        """Note it."""
        self.told.append(signal.Signals(number).name)

    def terminate(self) -> None:
        """Note it."""
        self.told.append("end")

    def wait(self) -> int:
        """It has ended."""
        return 0


def test_the_configuration_is_one_with_a_debug_log(tmp_path: Path) -> None:
    """All front ends, on the demo's store."""
    development.configure(str(tmp_path))
    loaded = config.load(str(tmp_path / "gateway.toml"))
    assert {"socketmap", "policy", "milter"} <= set(loaded.listeners)
    assert loaded.logging.level.value == "debug"


def test_code_restarts_and_configuration_reloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look after nothing has changed does nothing."""
    told: list[str] = []
    module = tmp_path / "module.py"
    toml = tmp_path / "gateway.toml"
    for path in (module, toml):
        path.write_text("")
        os.utime(path, ns=(0, 0))

    def start(_path: str) -> Started:
        told.append("start")
        return Started(told)

    monkeypatch.setattr(development, "start", start)
    monkeypatch.setattr(development, "sources", lambda: iter([module]))
    changes = iter([None, toml, None, module, None])

    def wait(_seconds: float) -> None:
        try:
            changed = next(changes)
        except StopIteration:
            raise Enough from None
        if changed is not None:
            os.utime(changed, ns=(1, 1))

    with pytest.raises(Enough):
        development.serve(str(tmp_path), wait)
    assert told == ["start", "SIGHUP", "end", "start", "end"]
