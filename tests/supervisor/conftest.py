"""A running supervisor, asked from outside: its sockets, its log, what it tells systemd."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "supervisor_program.py"
ROOT = Path(__file__).parents[2]
# Far more than anything here takes; only a failure waits so long.
DEADLINE = 60.0


@dataclass(frozen=True)
class Answer:
    """What a dummy child tells a client, and the connection, still open."""

    name: str
    index: int
    generation: int
    pid: int
    uid: int
    restarts: dict[str, int]
    environment: list[str]


class Connection:
    """A client of a dummy child."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")
        line = self._file.readline()
        assert line, "the connection was closed without an answer"
        self.answer = Answer(**json.loads(line))

    def echo(self, data: bytes) -> bytes:
        """Send a line and take its echo."""
        self._socket.sendall(data + b"\n")
        return self._file.readline().rstrip(b"\n")

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


class Running:
    """One supervisor process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan_path = folder / "plan.json"
        self.socket_path = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind(str(folder / "notify"))
        # A process that has left root must reach it, as it reaches systemd's.
        (folder / "notify").chmod(0o777)
        self._systemd.settimeout(DEADLINE)
        self._log = b""
        self._pidfds: list[int] = []

    def plan(self, *children: Mapping[str, object], **more: object) -> None:
        """Write the plan; without children one that serves the socket `s`."""
        self.plan_path.write_text(
            json.dumps(
                {
                    "children": children or [{"name": "core", "listeners": ["main"]}],
                    "listeners": {"main": [f"unix:{self.socket_path}"]},
                    **more,
                }
            )
        )

    def start(self, prefix: Sequence[str] = (), **environ: str) -> None:
        """Start the supervisor on the plan; `prefix` is put before its command."""
        self._process = subprocess.Popen(
            [*prefix, sys.executable, str(PROGRAM), str(self.plan_path)],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "NOTIFY_SOCKET": str(self.folder / "notify"),
                **environ,
            },
            close_fds=False,
        )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor's process."""
        assert self._process is not None
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def told(self) -> dict[str, str]:
        """The next thing that systemd hears."""
        try:
            message = self._systemd.recv(9999).decode()
        except TimeoutError:
            self.process.kill()
            raise AssertionError(f"systemd hears nothing; {self.rest_of_log()}") from None
        pairs = (line.split("=", 1) for line in message.split("\n"))
        return {pair[0]: pair[1] for pair in pairs}

    def wait_told(self, name: str) -> dict[str, str]:
        """What systemd hears until this variable is among it."""
        heard = self.told()
        while name not in heard:
            heard = self.told()
        return heard

    def wait_log(self, text: str) -> str:
        """The next log line that holds `text`."""
        assert self.process.stderr is not None
        descriptor = self.process.stderr.fileno()
        deadline = time.monotonic() + DEADLINE
        while True:
            *lines, rest = self._log.split(b"\n")
            for index, line in enumerate(lines):
                if text in line.decode():
                    self._log = b"\n".join([*lines[index + 1 :], rest])
                    return line.decode()
            left = deadline - time.monotonic()
            assert select.select([descriptor], [], [], max(0, left))[0], f"no {text!r} in the log"
            data = os.read(descriptor, 65536)
            assert data, f"the log ended without {text!r}: {self._log.decode()}"
            self._log += data

    def ask(self, path: Path | None = None) -> Answer:
        """What a new client hears."""
        connection = Connection(path or self.socket_path)
        connection.close()
        return connection.answer

    def exit_code(self) -> int:
        """Wait for the supervisor's end."""
        return self.process.wait(DEADLINE)

    def rest_of_log(self) -> list[str]:
        """All log lines that are left, after the end."""
        assert self.process.stderr is not None
        return (self._log + self.process.stderr.read()).decode().splitlines()

    def watch(self, pid: int) -> int:
        """A descriptor for `wait_gone`; take it while the process surely lives."""
        self._pidfds.append(os.pidfd_open(pid))
        return self._pidfds[-1]

    def wait_gone(self, pidfd: int) -> None:
        """Wait until the process has ended."""
        assert select.select([pidfd], [], [], DEADLINE)[0], "the process still lives"

    def finish(self) -> None:
        """End whatever is left."""
        self._systemd.close()
        for descriptor in self._pidfds:
            os.close(descriptor)
        if self._process is None:
            return
        if self._process.poll() is None:
            # Twice: the second kills its children at once.
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


@pytest.fixture
def running() -> Iterator[Running]:
    """A supervisor that is not started yet; its folder is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="sv") as folder:
        # Children of another user must reach the sockets.
        Path(folder).chmod(0o755)
        made = Running(Path(folder))
        yield made
        made.finish()
