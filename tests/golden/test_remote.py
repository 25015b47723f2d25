"""The golden conversations about a remote mailbox: what its backend says, and what the client gets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.golden import conversations
from tests.stores import FlatStore

ROOT = Path(__file__).resolve().parents[2]

# What the C program relays as it comes is passed on only as a well-formed
# status here; else the mailbox is known to exist, and that is the answer.
EXISTS = b"9:OK remote,"

# Far more than it takes; only a failure waits so long.
TIMEOUT_S = 60.0


class Backend:
    """A server that says `said` to the first client and notes what it got."""

    def __init__(self, said: bytes) -> None:
        self.got = b""
        self._said = said
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as client:
            client.settimeout(TIMEOUT_S)
            self.got = client.recv(4096)
            client.sendall(self._said)

    def close(self) -> None:
        """Wait until it has served; a backend that nobody asked has not."""
        self._thread.join(2 * TIMEOUT_S)
        assert not self._thread.is_alive(), f"nobody asked the backend at port {self.port}"


@pytest.mark.parametrize(
    "row", conversations("remote"), ids=lambda row: repr(row["backend_sent"])[:30]
)
def test_a_remote_mailbox_is_asked_for_at_its_backend(
    row: dict[str, object], tmp_path: Path
) -> None:
    """A sound answer is passed on byte for byte; nonsense, silence and excess are none."""
    said = str(row["backend_sent"]).encode("latin-1")
    if said.endswith(b"...3000"):
        said = b"x" * 3000
    backend = Backend(said)
    store = FlatStore(
        str(tmp_path),
        mailboxes={b"user.remote": b"%(T r P default S 127.0.0.1 A %() I 1)"},
        options={"smmapd_backend_port": str(backend.port)},
    )
    store.write()
    result = subprocess.run(
        [sys.executable, "-m", "smmapd.main", "-X", "-C", store.conf_path],
        input=b"12:cyrus remote,",
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=TIMEOUT_S,
    )
    backend.close()
    assert result.returncode == 0, result.stderr
    sound = said.endswith(b",") and said.partition(b":")[0].isdigit()
    assert result.stdout == (str(row["reply"]).encode("latin-1") if sound else EXISTS)
    # The C program sends one stray byte behind its request (\4); ours counts hops in the map name.
    assert backend.got.endswith(b" remote,")
