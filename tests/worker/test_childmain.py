"""What each process that serves is given at its start, whatever its front ends and library are."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import pytest

from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.worker import childmain, core, pymilterprocess

TOML = b'[socketmap]\nlisten = ["unix:/run/s"]\n[logging]\ntarget = "stderr"\n'
FILES = {"/etc/smmapd/mx.key": b"what it held when it was validated"}


class Parent:
    """A supervisor that notes why a child gives up."""

    def __init__(self) -> None:
        self.configuration = TOML
        self.files = FILES
        self.reasons: list[str] = []

    def failed(self, reason: str) -> None:
        """Give up."""
        self.reasons.append(reason)

    def out_of_memory(self) -> None:
        """No test comes to this."""
        raise AssertionError


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Parent:
    """The supervisor of each process."""
    made = Parent()
    monkeypatch.setattr(childmain, "supervised", lambda _environ: made)
    monkeypatch.setattr("gateway.observability.logging.setup.configure", lambda _settings: None)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # and put back
    return made


@pytest.mark.parametrize(
    ("module", "name"),
    [(core, "Core"), (pymilterprocess, "PymilterProcess")],
    ids=["core", "pymilter"],
)
def test_certificates_are_those_that_were_validated(
    parent: Parent, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    """A process that starts in the middle of a renewal does not read half of one."""
    given: list[Settings] = []

    def make(_parent: object, settings: Settings, *_more: object) -> SimpleNamespace:
        given.append(settings)
        return SimpleNamespace(run=lambda: os.EX_OK)

    monkeypatch.setattr(module, name, make)
    assert callable(main := getattr(module, "main"))  # noqa: B009  (two modules)
    assert main() == os.EX_OK
    assert given[0].tls_contents == FILES
    assert parent.reasons == []


def test_what_a_configuration_lacks_is_told_to_the_supervisor(parent: Parent) -> None:
    """And the process ends as for any wrong configuration."""

    def serve(_parent: object, _settings: object) -> int:
        raise ConfigurationError("no such file", option="tls.key")

    assert childmain.run("a.module", serve) == os.EX_CONFIG
    assert parent.reasons == ["tls.key: no such file"]
