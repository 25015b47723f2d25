"""One child process as the supervisor sees it: start by exec, channel, signals, restart delay."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from gateway import memoryfiles
from gateway.supervisor import channel
from gateway.supervisor.channel import FIRST, Beginning
from gateway.supervisor.listeners import Listener

if TYPE_CHECKING:
    from gateway.observability.metrics.sharedmemory import MetricsSlot

# The first restart comes at once for people and late enough not to burn a processor.
FIRST_DELAY = 0.1
DELAY_FACTOR = 2.0
# Half a minute: a mended cause is noticed soon, and the log has two lines a minute.
LONGEST_DELAY = 30.0
# What was ready once can be again: however often it is killed, service is soon back.
LONGEST_DELAY_AFTER_READY = 1.0
# A process that lived this long was healthy; its next restart is a first one again.
HEALTHY_SECONDS = 10.0
# Reading a million mailboxes takes about a second; this is a hang.
START_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run: `count` processes of `argv`, which get the sockets of `listeners`.

    `configuration`, and `files` by path, are given to each on standard input.  A process that has
    said that it is ready and then is silent for more than `silence_limit`
    seconds is killed and started again; None: never.  `session_timeout` is how
    many seconds its clients have once others serve in its place, where that is
    longer than the plan's graceful timeout; `clients` is what they are called in the log.
    """

    name: str
    argv: tuple[str, ...]
    listeners: tuple[str, ...] = ()
    count: int = 1
    configuration: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    silence_limit: float | None = None
    session_timeout: float = 0.0
    clients: str = "clients"


class Delay:
    """How long to wait before the next restart; grows until a process was healthy."""

    def __init__(self) -> None:
        self._next = FIRST_DELAY

    def after(self, lifetime: float, *, was_ready: bool) -> float:
        """Seconds to wait after a process that lived `lifetime` seconds."""
        if was_ready and lifetime >= HEALTHY_SECONDS:
            self._next = FIRST_DELAY
        longest = LONGEST_DELAY_AFTER_READY if was_ready else LONGEST_DELAY
        delay = min(self._next, longest)
        self._next = delay * DELAY_FACTOR
        return delay


class Child:
    """A running process.  Times are of time.monotonic, in seconds."""

    def __init__(
        self,
        spec: ChildSpec,
        index: int,
        generation: int,
        listeners: Mapping[str, tuple[Listener, ...]],
        metrics_slot: MetricsSlot,
        *,
        beginning: Beginning = FIRST,
    ) -> None:
        """Start it; raises OSError when the program cannot be run.

        `metrics_slot` is where it puts what it counts, `beginning` what went before.
        """
        self.spec = spec
        self.index = index
        self.generation = generation
        self.metrics_slot = metrics_slot
        self.label = f"{spec.name}[{index}]" if spec.count > 1 else spec.name
        self.ready = False
        self.given_up = False
        self.message = ""
        self.trouble = ""
        self.waiting = ""  # what for, before it is ready
        self.entries: dict[str, int] = {}  # of files that it has read, by path
        self.clients: int | None = None  # that are left, once it has been told to stop
        mine = {name: listeners[name] for name in spec.listeners if name in listeners}
        passed = [each.socket.fileno() for group in mine.values() for each in group]
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.setblocking(False)
        told = channel.environment(
            spec.name,
            index,
            generation,
            channel=theirs.fileno(),
            listeners=mine,
            metrics_slot=metrics_slot,
            beginning=beginning,
            lengths=[len(spec.configuration), *map(len, spec.files.values())],
            files=list(spec.files),
        )
        try:
            with theirs, _readable(spec.configuration, *spec.files.values()) as stdin:
                self._process = subprocess.Popen(
                    spec.argv,
                    stdin=stdin,
                    env={**os.environ, channel.VARIABLE: told},
                    pass_fds=[
                        *passed,
                        *beginning.indexes,
                        theirs.fileno(),
                        metrics_slot.shared_metrics.fileno(),
                    ],
                    # ctrl-C on a terminal is for the supervisor; it tells its children.
                    process_group=0,
                )
        except OSError:
            self.channel.close()
            raise
        self.started = time.monotonic()
        self._reader = channel.ChannelReader(self.channel)
        self._excused = self._patient_since = self.started
        self.wanted_index = ""  # the path of the file, until it is answered
        self.indexes: list[tuple[str, int]] = []  # that it has made, until they are taken

    @property
    def name(self) -> str:
        """For the log, where several generations are about."""
        return f"{self.label} (pid {self.pid}) of configuration {self.generation}"

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone already gets none."""
        self._process.send_signal(number)

    def exit_code(self) -> int | None:
        """None while it runs; else its exit code, or the signal's number negated."""
        return self._process.poll()

    def listen(self) -> bool:
        """Take what the child says over the channel; False when it has closed it."""
        lines = self._reader.read()
        for word, rest in lines or ():
            self._hear(word, rest)
        return lines is not None

    def _hear(self, word: str, rest: str) -> None:
        match word:
            case channel.READY:
                self.ready = True
            case channel.FAILED:
                self.message = rest
            case channel.WAITING:
                self.waiting = rest
                self._patient_since = self._reader.heard
            case channel.ENTRIES:
                count, _, path = rest.partition(" ")
                self.entries[str(json.loads(path))] = int(count)
            case channel.TROUBLE:
                self.trouble = rest
            case channel.WANTS_INDEX:
                self.wanted_index = str(json.loads(rest))
            case channel.INDEX if self._reader.descriptors:
                self.indexes.append((str(json.loads(rest)), self._reader.descriptors.pop(0)))
            case channel.CLIENTS if rest.isdigit():
                self.clients = int(rest)

    def stop(self, patience: float) -> None:
        """Tell it to stop; its clients have `patience` seconds to go by themselves.

        May be said again, with less patience.  It is told over the channel, and not by
        SIGTERM, which belongs to a library in some programs and tells no patience.
        """
        try:
            self.channel.send(f"{channel.STOP} {patience:g}\n".encode())
        except ConnectionError:
            # It has closed the channel and is ending; if it does not, its time is limited.
            return
        except OSError:
            # It does not read: it will not hear anything else either.
            self.signal(signal.SIGKILL)

    def tell_restarts(self, name: str, count: int) -> None:
        """Pass a count on; a child that does not read misses it."""
        try:
            self.channel.send(f"{channel.RESTARTS} {name} {count}\n".encode())
        except OSError:
            return

    def make_index(self) -> None:
        """No other process makes the index that it wants; a child that does not read misses it."""
        try:
            self.channel.send(f"{channel.MAKE_INDEX}\n".encode())
        except OSError:
            return

    def give_index(self, path: str, descriptor: int) -> None:
        """Another one has made an index; a child that does not read misses it."""
        try:
            channel.send_index(self.channel, path, descriptor)
        except OSError:
            return

    def excuse(self, now: float) -> None:
        """What came before `now` does not count: the supervisor could not have heard it."""
        self._excused = self._patient_since = now

    def overdue(self) -> float | None:
        """The moment at which the child counts as stuck, or None for never."""
        if self.given_up:
            return None
        if not self.ready:
            return self._patient_since + START_LIMIT
        limit = self.spec.silence_limit
        return None if limit is None else max(self._reader.heard, self._excused) + limit

    def ended(self, code: int) -> str:
        """How it ended, in words for the log."""
        why = f": {self.message}" if self.message else ""
        if code >= 0:
            return f"{self.label} (pid {self.pid}) ended with exit code {code}{why}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{self.label} (pid {self.pid}) was ended by {name}{why}"

    def close(self) -> None:
        """Close the channel, and the descriptors that came over it and were not taken."""
        self.channel.close()
        for descriptor in [*self._reader.descriptors, *(each for _, each in self.indexes)]:
            os.close(descriptor)
        self._reader.descriptors, self.indexes = [], []


def _readable(*data: bytes) -> BinaryIO:
    """A file in memory from which all of `data` can be read."""
    file = os.fdopen(memoryfiles.create("configuration"), "w+b")
    with ExitStack() as on_error:
        on_error.callback(file.close)
        file.writelines(data)
        file.seek(0)
        on_error.pop_all()
    return file
