"""A gateway for developers: the demo's store, a debug log, a restart on change.

`make serve` runs it until ctrl-C.  A change of a file in gateway/ or smmapd/ ends the gateway and
starts another one in the same folder, so that sockets keep their paths; a change of gateway.toml in
that folder is a reload (SIGHUP).  Where the new code does not start, its last words are shown, and
the next change is tried.

Limits: files are looked at once a LOOK_S; connections do not survive a restart.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.demo.running import BIN, CONFIGURATION
from tests.demo.store import ALIASES, DOMAINS, build
from tests.rigs.folders import folder, write_text
from tests.rigs.gateway import LIBRARY

ROOT = Path(__file__).parents[2]
ROOMS = ("gateway", "smmapd")
LOOK_S = 0.5


def main() -> int:
    """Serve until ctrl-C; 0."""
    with folder("serve") as path:
        configure(path)
        print(f"Serving in {path} (gateway.toml, and the sockets of the front ends); try")
        print(f"    {BIN}/smmapd-gateway -c {path}/gateway.toml explain fred@example.org")
        print("A change of the code restarts it, one of gateway.toml reloads it; ctrl-C ends.")
        try:
            serve(path, wait=time.sleep)
        except KeyboardInterrupt:
            print()
    return os.EX_OK


def configure(path: str) -> None:
    """The demo's store and configuration in `path`, with a debug log on standard error."""
    build(path)
    write_text(f"{path}/aliases", ALIASES)
    domains = ", ".join(f'"{domain}"' for domain in DOMAINS)
    text = CONFIGURATION.format(
        folder=path, domains=domains, library=LIBRARY, admin=f'"unix:{path}/admin"'
    )
    write_text(f"{path}/gateway.toml", text + 'level = "debug"\n')


def serve(path: str, wait: Callable[[float], object]) -> None:
    """Start the gateway again whenever the code has changed; `wait` sleeps between two looks."""
    while True:
        code, toml = stamps(sources()), stamps([Path(path, "gateway.toml")])
        gateway = start(path)
        try:
            while stamps(sources()) == code:
                wait(LOOK_S)
                now = stamps([Path(path, "gateway.toml")])
                if now != toml and gateway.poll() is None:
                    toml = now
                    gateway.send_signal(signal.SIGHUP)
        finally:
            gateway.terminate()
            gateway.wait()
        print("--- the code has changed: starting again", file=sys.stderr)


def start(path: str) -> subprocess.Popen[bytes]:
    """The gateway of this source tree in the foreground."""
    command = [f"{BIN}/smmapd-gateway", "serve", "-c", f"{path}/gateway.toml"]
    return subprocess.Popen(command, cwd=ROOT)


def sources() -> Iterator[Path]:
    """Every module of the program."""
    for room in ROOMS:
        yield from (ROOT / room).rglob("*.py")


def stamps(paths: Iterator[Path] | list[Path]) -> dict[Path, int]:
    """When each was changed, in nanoseconds; one that has just gone is left out."""
    found = {}
    for each in paths:
        try:
            found[each] = each.stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
