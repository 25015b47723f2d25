"""Ways to measure a server once: each is a value, and gives one sample.

A sample maps names of figures to numbers: `requests_per_s`, `p50_us`, `p99_us`,
`p999_us`, `max_us` (latency), `least`, `median`, `most` (answers a connection), `cpu_us` (CPU
of the server's processes for a request), `client_cpu_us`, `anonymous_mib` and `pss_mib`
(summed), `ms` (time of one event), `setup_s`.  An answer that is wrong, malformed or lost
spoils the sample: it raises `WrongAnswers`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from tests.bench.build import program
from tests.bench.servers import DOMAIN, Server
from tests.bench.stores import Store
from tests.rigs.processes import RigError, start

Sample = dict[str, float]

# What a client reports about answers that are not as they should be.
_FAULTS = ("refused", "stalled", "broken", "malformed", "lost", "wrong")
# Seconds that a load client may take beyond its load: 500 processes of the C daemon start slowly.
_PATIENCE_S = 120
# Seconds that others load before and after what is measured beside them.
_AROUND_S = 1.0
# Connections that are opened before the first of them is waited for.
_AT_ONCE = 20
# Bytes of a negotiation's reply, and more.
_LONGEST_REPLY = 4096
# An MTA's offer: version 6, all changes, all steps.
_OFFER = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
# Each run with unique keys gets this many of the 2^40 names.
_UNIQUE_STEP = 1 << 26
# xorshift needs seeds with bits set all over.
_SEED_STEP = 0x9E3779B97F4A7C1
# Requests before the first measure with repeated keys: random ones, so more than there are keys.
WARM_UP = 5_000
# Kinds of keys: names that exist nowhere and never repeat, and the store's key files.
UNIQUE = "unique"
EVERY = "every"
REPEATED = "repeated"
PARENTS = "parents"
# What each kind of key gets, by protocol.
_RIGHT = {
    ("socketmap", EVERY): "OK",
    ("socketmap", REPEATED): "OK",
    ("socketmap", PARENTS): "NOTFOUND",
    ("socketmap", UNIQUE): "NOTFOUND",
    ("policy", EVERY): "DUNNO",
    ("policy", REPEATED): "DUNNO",
}


class WrongAnswers(Exception):
    """The server did not answer as it must; speed does not count then."""


@dataclass(slots=True)
class Progress:
    """What a server has been asked: its next measure takes other keys, the same as its rivals'."""

    unique: int = 1
    seed: int = 0
    warm: bool = False
    warmed_s: float = 0.0

    def next_seed(self) -> str:
        """A seed for random keys."""
        self.seed += 1
        return str(self.seed * _SEED_STEP)


class Measure(Protocol):
    """One way to measure."""

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """Measure `server`, which serves `store`, for about `seconds`."""


@dataclass(frozen=True, slots=True)
class Load:
    """load.c on a running server.

    With `every_user_once` the load ends with the last user, else after the
    measure's seconds.  `cpu` pins the client.
    """

    connections: int = 50
    depth: int = 1
    keys: str = EVERY
    protocol: str = "socketmap"
    anything_goes: bool = False  # for a server that does not look anything up
    every_user_once: bool = False
    cpu: int | None = None

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """The rates, the latencies and the costs.

        Recipients that are asked again and again have been asked before.
        """
        if self.keys == REPEATED and not progress.warm:
            progress.warm = True
            once = ["-a", server.address, "-p", self.protocol, "-r", str(WARM_UP)]
            with Client("load", [*once, *self._keys(store, progress), *self._domain()]) as client:
                client.result()
        words = ["-a", server.address, "-n", str(self.connections), "-d", str(self.depth)]
        words += ["-p", self.protocol, *self._keys(store, progress)]
        if self.every_user_once:
            words += ["-r", str(store.users)]
        else:
            words += ["-t", str(seconds)]
        words += self._domain()
        if not self.anything_goes:
            words += ["-e", _RIGHT[self.protocol, self.keys]]
        if self.cpu is not None:
            words += ["-c", str(self.cpu)]
        client = Client("load", words)
        with client:
            before = server.cpu_seconds()
            result = client.result()
            used = server.cpu_seconds() - before
            memory = server.memory()
        sample = rates(result, used)
        sample["anonymous_mib"] = memory.anonymous_kib / 1024
        sample["pss_mib"] = memory.pss_kib / 1024
        sample["processes"] = memory.processes
        return sample

    def _domain(self) -> list[str]:
        return ["-D", DOMAIN] if self.protocol == "policy" else []

    def _keys(self, store: Store, progress: Progress) -> list[str]:
        if self.keys == UNIQUE:
            progress.unique += _UNIQUE_STEP
            return ["-u", str(progress.unique)]
        path = os.path.join(store.folder, f"{self.keys}.keys")
        if self.every_user_once:
            return ["-k", path]
        return ["-k", path, "-R", progress.next_seed()]


@dataclass(frozen=True, slots=True)
class MilterLoad:
    """milterload.c on a running milter: RCPT commands a second."""

    connections: int = 20
    keys: str = REPEATED
    expect: str = "c"

    def words(self, server: Server, store: Store, progress: Progress, seconds: float) -> list[str]:
        """The load client's."""
        words = ["-a", server.address, "-n", str(self.connections), "-t", str(seconds)]
        keys = os.path.join(store.folder, f"{self.keys}.keys")
        words += ["-k", keys, "-D", DOMAIN, "-e", self.expect]
        return [*words, "-R", progress.next_seed()]

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """The rates, the latencies and the costs of RCPT."""
        with Client("milterload", self.words(server, store, progress, seconds)) as client:
            before = server.cpu_seconds()
            result = client.result()
            used = server.cpu_seconds() - before
        return rates(result, used)


@dataclass(frozen=True, slots=True)
class MilterWitness:
    """One connection's RCPT commands, while `busy` others load and `silent` ones say nothing."""

    busy: int = 0
    silent: int = 0

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """The witness' rates and latencies."""
        with ExitStack() as stack:
            for _ in range(self.silent // _AT_ONCE):
                links = [stack.enter_context(_silent_mta(server.address)) for _ in range(_AT_ONCE)]
                if not all(link.recv(_LONGEST_REPLY) for link in links):
                    raise RigError("the milter does not negotiate")
            if self.busy:
                others = MilterLoad(self.busy)
                words = others.words(server, store, progress, seconds + _AROUND_S)
                stack.enter_context(Client("milterload", words)).begin()
                time.sleep(_AROUND_S / 2)
            return MilterLoad(1).take(server, store, progress, seconds)


def _silent_mta(address: str) -> socket.socket:
    """A connection that offers to negotiate, and says nothing more."""
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(_PATIENCE_S)
    link.connect(address)
    link.sendall(_OFFER)
    return link


class Client:
    """A load client that waits for its start, so that the server's CPU can be read before."""

    def __init__(self, name: str, words: list[str]) -> None:
        """Start it; it sets up its connections at once."""
        self._process = start(
            [program(name), *words, "-h"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Client:
        """Wait for the set-up."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self._fail()
        return self

    def begin(self) -> None:
        """Let it load."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def result(self) -> Mapping[str, object]:
        """Let it load; its JSON line.  The connections stay open until the `with` ends."""
        self.begin()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._fail()
        found = json.loads(line)
        if not isinstance(found, dict):
            raise RigError(f"the load client printed {line!r}")
        return found

    def _fail(self) -> None:
        self._process.kill()
        _, err = self._process.communicate()
        raise RigError(f"the load client failed: {err.decode(errors='replace').strip()}")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # Nobody wants its result any more, and it may have an hour to go.
            self._process.kill()
        try:
            self._process.communicate(timeout=_PATIENCE_S)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise


def rates(result: Mapping[str, object], used: float) -> Sample:
    """A sample of a load client's line; `used` is the server's CPU, in seconds.

    Raises `WrongAnswers` if anything was not answered as it must be.
    """
    faults = {name: result[name] for name in _FAULTS if result[name]}
    if faults:
        raise WrongAnswers(f"{faults}; {result['first_wrong']}; {result['statuses']}")
    names = ("requests_per_s", "p50_us", "p99_us", "p999_us", "max_us", "setup_s", "answered")
    sample = {name: number(result, name) for name in (*names, "least", "median", "most")}
    if sample["answered"]:
        sample["cpu_us"] = used / sample["answered"] * 1e6
        sample["client_cpu_us"] = number(result, "client_cpu_s") / sample["answered"] * 1e6
    return sample


def number(result: Mapping[str, object], name: str) -> float:
    """One number of a client's line."""
    value = result[name]
    if not isinstance(value, int | float):
        raise RigError(f"the load client printed {name} = {value!r}")
    return float(value)


def first_key(store: Store) -> bytes:
    """A user of the store."""
    with open(store.every_user, "rb") as file:
        return file.readline().rstrip(b"\n")
