"""The child's side of the supervisor: sockets, configuration, and a line home.

A child is started by exec with one environment variable that holds JSON: its
name and number, the descriptors of its listening sockets, and that of its
channel.  The channel is a stream of words: the child says that it is ready,
alive, or why it gives up, and, once it is to leave, how many clients it still
has; the supervisor tells how often others were restarted, and when to stop: a
signal could not say how long the clients have, and belongs to libmilter in a
process that has it.  When the channel ends, the supervisor
is gone and the child must go too, or its sockets would keep a new instance out.

A child may be told to stop twice: at first that others serve on, and that its
clients have time, which is up to hours for SMTP sessions; later that no other
serves any more, and that it must hurry.

No gevent, no threads: the channel is a non-blocking descriptor for any loop.
"""

from __future__ import annotations

import json
import os
import socket
import time
from array import array
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Never

from gateway.config import endpoints
from gateway.observability.metrics.sharedmemory import MetricsSlot, SharedMetrics
from gateway.printable import printable
from gateway.supervisor.listeners import Listener

VARIABLE = "SMMAPD_SUPERVISED"
READY = "READY"
ALIVE = "ALIVE"
FAILED = "FAILED"
CLIENTS = "CLIENTS"
TROUBLE = "TROUBLE"
WAITING = "WAITING"
ENTRIES = "ENTRIES"
RESTARTS = "RESTARTS"
# An index of a mailbox list: a child wants one, it may make one, and here is one, with the line's
# descriptor.
WANTS_INDEX = "WANTS-INDEX"
MAKE_INDEX = "MAKE-INDEX"
INDEX = "INDEX"
STOP = "STOP"
# Why a process gives up that has run out of it: the whole line, since there is nothing left to
# make it of when it is wanted.
OUT_OF_MEMORY = (
    f"{FAILED} out of memory; raise its limit (MemoryMax= in the unit, ulimit -v)\n".encode()
)
MESSAGE_LIMIT = 2000
_LINE_LIMIT = 2 * MESSAGE_LIMIT
_CHANNEL_READ = 4096
# Descriptors that one message may bring.
_MOST_DESCRIPTORS = 4


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often processes called `name` have been restarted since the supervisor started."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave: clients may take `patience` seconds to go by themselves; 0: no other child serves."""

    patience: float


@dataclass(frozen=True, slots=True)
class MakeIndex:
    """No other process makes the index that this one wants: make it."""


@dataclass(frozen=True, slots=True)
class Index:
    """Another process has made an index; the descriptor is the receiver's to close."""

    descriptor: int


Message = Restarts | Leave | MakeIndex | Index


@dataclass(frozen=True, slots=True)
class Beginning:
    """What went before this process.

    `again`: another one of the same configuration has served in its place;
    `replaces`: one of an older configuration serves until this one is ready.
    `entries` is how many entries files had, by path, when they were read last;
    `indexes` are descriptors of indexes of mailbox lists that others have made.
    """

    again: bool = False
    replaces: bool = False
    entries: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    indexes: tuple[int, ...] = ()


# A first process, which replaces no other.
FIRST = Beginning()


class Supervised:
    """This process as a child of the supervisor.

    `name` is that of its ChildSpec, `index` counts the processes of one name
    from 0, `generation` counts configurations from 1.  `listeners` are its
    sockets by front end, `configuration` is the text that was validated, `files`
    are what the files held that it needs, by path.
    `metrics_slot` is where it puts what it counts, `beginning` what went before.
    """

    def __init__(
        self,
        *,
        name: str,
        index: int,
        generation: int,
        listeners: Mapping[str, tuple[Listener, ...]],
        configuration: bytes,
        files: Mapping[str, bytes],
        channel: socket.socket,
        metrics_slot: MetricsSlot,
        beginning: Beginning = FIRST,
    ) -> None:
        self.name = name
        self.beginning = beginning
        self.index = index
        self.generation = generation
        self.listeners = listeners
        self.configuration = configuration
        self.files = files
        self.metrics_slot = metrics_slot
        self._channel = channel
        self._reader = ChannelReader(channel)

    def fileno(self) -> int:
        """The channel's descriptor: readable when there are messages, or the supervisor is gone."""
        return self._channel.fileno()

    def ready(self) -> None:
        """All sockets are served from now on."""
        self._say(READY)

    def alive(self) -> None:
        """For a ChildSpec with a silence limit: not stuck."""
        self._say(ALIVE)

    def waiting(self, text: str) -> None:
        """What it waits for before it is ready, however long that takes; said again and again."""
        self._say(f"{WAITING} {printable(text, MESSAGE_LIMIT)}")

    def entries(self, path: str, count: int) -> None:
        """How many entries the file at `path` has, which is believed."""
        self._say(f"{ENTRIES} {count} {json.dumps(path)}")

    def failed(self, message: str) -> None:
        """Why this process is about to exit; the supervisor logs it."""
        self._say(f"{FAILED} {printable(message, MESSAGE_LIMIT)}")

    def out_of_memory(self) -> Never:
        """End this process, which has none left, and say so; it needs none for that."""
        try:
            self._channel.send(OUT_OF_MEMORY)
        finally:
            # At once: what the interpreter does at its end may want memory, too.
            os._exit(os.EX_OSERR)

    def trouble(self, text: str) -> None:
        """What keeps it from judging mail; empty where nothing does any more."""
        self._say(f"{TROUBLE} {printable(text, MESSAGE_LIMIT)}")

    def clients(self, count: int) -> None:
        """How many clients are left, for a process that has been told to stop."""
        self._say(f"{CLIENTS} {count}")

    def wants_index(self, path: str) -> None:
        """An index of the file at `path` is wanted; MakeIndex or Index is the answer."""
        self._say(f"{WANTS_INDEX} {json.dumps(path)}")

    def share_index(self, path: str, descriptor: int) -> None:
        """The index of the file at `path` that this process has had made, for all others."""
        try:
            send_index(self._channel, path, descriptor)
        except OSError:
            return  # as in _say

    def receive(self) -> list[Message] | None:
        """What came over the channel; None when the supervisor is gone: stop then."""
        lines = self._reader.read()
        if lines is None:
            return None
        messages: list[Message] = []
        for word, rest in lines:
            name, _, count = rest.rpartition(" ")
            if word == RESTARTS and count.isdigit():
                messages.append(Restarts(name, int(count)))
            elif word == STOP:
                messages.append(Leave(float(rest)))
            elif word == MAKE_INDEX:
                messages.append(MakeIndex())
            elif word == INDEX and self._reader.descriptors:
                messages.append(Index(self._reader.descriptors.pop(0)))
        return messages

    def _say(self, line: str) -> None:
        try:
            self._channel.send(f"{line}\n".encode())
        except OSError:
            # Full or gone: the next read of the channel tells which.
            return


class ChannelReader:
    """What comes over one end of a channel; `descriptors` are those whose lines are still to come.

    `heard` is when something has come last (time.monotonic).
    """

    def __init__(self, channel: socket.socket) -> None:
        self.descriptors: list[int] = []
        self.heard = time.monotonic()
        self._channel = channel
        self._received = b""  # of a line that is not complete

    def read(self) -> list[tuple[str, str]] | None:
        """The word and the rest of each line that is complete; None when the channel has ended."""
        try:
            data, more, _flags, _from = self._channel.recvmsg(
                _CHANNEL_READ, socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        descriptors = array("i")
        for level, kind, content in more:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content[: len(content) // 4 * 4])
        self.descriptors += descriptors.tolist()
        if not data:
            return None
        self.heard = time.monotonic()
        *lines, rest = (self._received + data).split(b"\n")
        self._received = rest[:_LINE_LIMIT]
        found = (line.decode(errors="replace").partition(" ") for line in lines)
        return [(word, rest) for word, _, rest in found]


def send_index(channel: socket.socket, path: str, descriptor: int) -> None:
    """An index over a channel, in either direction.  Raises OSError."""
    line = f"{INDEX} {json.dumps(path)}\n".encode()
    socket.send_fds(channel, [line], [descriptor])


def supervised(environ: MutableMapping[str, str]) -> Supervised | None:
    """This process as a child, or None if no supervisor started it.

    The variable is taken out of `environ`.  The configuration is read from
    standard input, which the supervisor made for it.
    """
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    told: dict[str, Any] = json.loads(text)  # as `environment` made it
    begun = told["beginning"]
    shared_metrics, number, writer = told["metrics_slot"]
    listeners = {
        group: tuple(_listener(descriptor, where) for descriptor, where in members)
        for group, members in told["listeners"].items()
    }
    home = socket.socket(fileno=_ours(told["channel"]))
    home.setblocking(False)
    configuration, *contents = _given(told["lengths"])
    return Supervised(
        name=told["name"],
        index=told["index"],
        generation=told["generation"],
        listeners=MappingProxyType(listeners),
        configuration=configuration,
        files=MappingProxyType(dict(zip(told["files"], contents, strict=True))),
        channel=home,
        metrics_slot=MetricsSlot(SharedMetrics(_ours(shared_metrics)), number, writer),
        beginning=Beginning(
            again=begun["again"],
            replaces=begun["replaces"],
            entries=MappingProxyType(begun["entries"]),
            indexes=tuple(map(_ours, begun["indexes"])),
        ),
    )


def _ours(descriptor: int) -> int:
    """A descriptor that was passed, and is not passed on."""
    os.set_inheritable(descriptor, False)
    return descriptor


def _given(lengths: Sequence[int]) -> list[bytes]:
    """The pieces of standard input, which have these lengths."""
    found, position = [], 0
    for length in lengths:
        piece = b""
        while len(piece) < length and (more := os.pread(0, length - len(piece), position)):
            piece += more
            position += len(more)
        found.append(piece)
    return found


def environment(
    name: str,
    index: int,
    generation: int,
    *,
    channel: int,
    listeners: Mapping[str, tuple[Listener, ...]],
    metrics_slot: MetricsSlot,
    beginning: Beginning,
    lengths: Sequence[int],
    files: Sequence[str] = (),
) -> str:
    """The value of VARIABLE for a child; the supervisor's half of `supervised`.

    `lengths` are those of the configuration and of the `files` behind it on standard input.
    """
    groups = {
        group: [[each.socket.fileno(), str(each.endpoint)] for each in members]
        for group, members in listeners.items()
    }
    return json.dumps(
        {
            "name": name,
            "index": index,
            "generation": generation,
            "channel": channel,
            "listeners": groups,
            "metrics_slot": [
                metrics_slot.shared_metrics.fileno(),
                metrics_slot.index,
                metrics_slot.writer,
            ],
            "beginning": {
                "again": beginning.again,
                "replaces": beginning.replaces,
                "entries": dict(beginning.entries),
                "indexes": list(beginning.indexes),
            },
            "lengths": list(lengths),
            "files": list(files),
        }
    )


def _listener(descriptor: int, where: str) -> Listener:
    """A socket that was passed; its file belongs to the supervisor, so it has no inode here."""
    passed = socket.socket(fileno=_ours(descriptor))
    passed.setblocking(False)
    return Listener(endpoints.parse(where), passed)
