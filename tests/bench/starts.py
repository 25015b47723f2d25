"""Ways to measure a beginning: a process that starts, a recipient that is asked about for the first time.

Each is a value and gives one sample, as those of measures.py.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import dataclass

from tests.bench.build import program
from tests.bench.firstanswers import COUNT, InProcess
from tests.bench.measures import Client, Progress, Sample, WrongAnswers, first_key, number, rates
from tests.bench.servers import SERVICE, Interpreter, Server, UnderMaster
from tests.bench.stores import Store
from tests.rigs.processes import RigError, account, start
from tests.rigs.socketmap import ask


@dataclass(frozen=True, slots=True)
class OpenAll:
    """Connections opened at a service without a process, each asked once: time and memory."""

    connections: int = 500

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """`setup_s` to the last answer, then the summed memory."""
        service = _under_master(server)
        service.retire()
        words = ["-a", service.address, "-n", str(self.connections), "-k", store.every_user]
        words += ["-e", "OK"]
        with Client("load", [*words, "-r", "0"]) as client:
            memory = service.memory()
            result = client.result()
        rates(result, 0)
        return {
            "setup_s": number(result, "setup_s"),
            "anonymous_mib": memory.anonymous_kib / 1024,
            "pss_mib": memory.pss_kib / 1024,
            "processes": memory.processes,
        }


@dataclass(frozen=True, slots=True)
class ColdService:
    """Connect to a service without a process: time to the first answer, median of `times`."""

    times: int = 10

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """`ms` from before connect to behind the reply."""
        service = _under_master(server)
        key = first_key(store)
        took = []
        for _ in range(self.times):
            service.retire()
            begin = time.perf_counter()
            replies = ask(service.address, key)
            took.append((time.perf_counter() - begin) * 1000)
            if replies != [b"OK " + key]:
                raise WrongAnswers(f"{key!r} got {replies!r}")
        return {"ms": statistics.median(took)}


@dataclass(frozen=True, slots=True)
class StandardInput:
    """first.c: from exec to the first answer on standard input, median of `times`."""

    times: int = 20

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """`ms` from before fork to behind the reply."""
        service = _under_master(server)
        words = [first_key(store).decode(), service.program]
        # The C program knows -X, too, as every service of Cyrus does.
        times, reply = _first(self.times, [*words, "-X", "-C", service.cyrus.imapd_conf])
        if not reply.split(":", 1)[1].startswith("OK "):
            raise WrongAnswers(f"{service.program} answered {reply}")
        return {"ms": statistics.median(times)}


@dataclass(frozen=True, slots=True)
class PythonAlone:
    """first.c: from exec to the end of an interpreter that has nothing to do, median of `times`."""

    times: int = 20

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """`ms` from before fork to the end."""
        if not isinstance(server, Interpreter):
            raise TypeError(f"{server} is not an interpreter")
        times, _ = _first(self.times, ["", *server.command])
        return {"ms": statistics.median(times)}


def _under_master(server: Server) -> UnderMaster:
    """The server as a service of master.  Raises TypeError where it is something else."""
    if not isinstance(server, UnderMaster):
        raise TypeError(f"{server} is not a service of master")
    return server


def _first(times: int, words: list[str]) -> tuple[list[float], str]:
    """What first.c prints: the milliseconds, and the reply."""
    with start(
        [program("first"), str(times), *words],
        user=account("cyrus"),
        env={"CYRUS_SERVICE": SERVICE, "CYRUS_ID": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        out, err = process.communicate()
    if process.returncode != 0:
        raise RigError(err.decode(errors="replace").strip())
    result = json.loads(out)
    return result["ms"], result["reply"]


@dataclass(frozen=True, slots=True)
class NewProcess:
    """A service without a process, of which 50 connections ask everybody once.

    The first `seconds` of that, or with 0 all of it.
    """

    seconds: float = 0.0
    connections: int = 50

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """The rates, the latencies and the costs."""
        service = _under_master(server)
        service.retire()
        words = ["-a", service.address, "-n", str(self.connections), "-k", store.every_user]
        words += ["-e", "OK"]
        words += ["-t", str(self.seconds)] if self.seconds else ["-r", str(store.users)]
        with Client("load", words) as client:
            before = service.cpu_seconds()
            result = client.result()
            return rates(result, service.cpu_seconds() - before)


@dataclass(frozen=True, slots=True)
class FirstAnswers:
    """An engine in a process of its own, without sockets: recipients that it has not been asked about.

    The least of `runs`, each of them COUNT recipients, in processor time, after `before` others:
    what the beginning costs more is in NewProcess.
    """

    answers: str
    index: bool
    runs: int = 4
    before: int = 4000

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """`cpu_us` of an answer."""
        if not isinstance(server, InProcess):
            raise TypeError(f"{server} is not an engine")
        question: dict[str, object] = {"answers": self.answers, "index": self.index}
        question |= {"known": True, "count": COUNT, "before": self.before}
        return {"cpu_us": min(server.ask(question) for _ in range(self.runs))}


@dataclass(frozen=True, slots=True)
class LongestWait:
    """What the gateway does for itself while everybody is asked once, in a process of its own."""

    answers: str = "smmapd"

    def take(self, server: Server, store: Store, progress: Progress, seconds: float) -> Sample:
        """`longest_ms`: the processor time of the question, or of the piece of work, that took longest."""
        if not isinstance(server, InProcess):
            raise TypeError(f"{server} is not an engine")
        return {"longest_ms": server.ask({"answers": self.answers, "waits": True})}
