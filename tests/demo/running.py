"""The gateway as a process on sockets in the demo's folder, and the question through each interface."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from typing import Self

from gateway import config
from gateway.frontends.judge import Question
from gateway.frontends.policy_frontend import FRONT_END as POLICY
from gateway.protocols.address import parse_bare
from gateway.wiring.engines import make_engines
from gateway.wiring.judges import make_judge
from tests.demo.store import ALIASES, DOMAINS, Asked, build
from tests.rigs.folders import write_text
from tests.rigs.gateway import LIBRARY
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.processes import Daemon, RigError, run
from tests.rigs.socketmap import Connection, frame

# Two processes of Python start; only a failure waits so long.
READY_LIMIT_S = 60.0
_LOOK_S = 0.5
BIN = os.path.dirname(sys.executable)

CONFIGURATION = """\
user = ""
size_check = "temporary"

[cyrus]
imapd_conf = "{folder}/imapd.conf"

[socketmap]
listen = ["unix:{folder}/socketmap"]

[policy]
listen = ["unix:{folder}/policy"]

[milter]
listen = ["unix:{folder}/milter"]
library = "{library}"

[scope]
domains = [{domains}]
aliases = ["{folder}/aliases"]

[admin]
listen = [{admin}]

[logging]
target = "stderr"
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What each interface says of one recipient; `verdict` is the engine's, or why nobody asked it."""

    recipient: str
    verdict: str
    socketmap: str
    policy: str
    smtp: str


class Gateway:
    """A running gateway on a store of its own; a context that ends it."""

    def __init__(self, folder: str, *, admin: str = "", configuration: str = CONFIGURATION) -> None:
        """`admin` is where the status page listens, if it does."""
        self.folder = folder
        self.store = build(folder)
        write_text(f"{folder}/aliases", ALIASES)
        domains = ", ".join(f'"{domain}"' for domain in DOMAINS)
        text = configuration.format(
            folder=folder, domains=domains, library=LIBRARY, admin=f'"{admin}"' if admin else ""
        )
        self.config = write_text(f"{folder}/gateway.toml", text)
        loaded = config.load(self.config)
        self._verifier = make_engines(loaded).engine()
        self._judge = make_judge(loaded, POLICY)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"{folder}/notify")
        self.daemon = Daemon(
            [f"{BIN}/smmapd-gateway", "serve", "-c", self.config],
            log=f"{folder}/log",
            env={"NOTIFY_SOCKET": f"{folder}/notify"},
        )

    def __enter__(self) -> Self:
        try:
            self.daemon.start()
            self._wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._notify.close()
        self.daemon.stop()

    def ask(self, asked: Asked) -> Answer:
        """Ask about one recipient through every interface."""
        key = asked.recipient.encode(errors="surrogateescape")
        with Connection.to(f"{self.folder}/socketmap") as connection:
            reply = connection.ask(key)
        return Answer(
            asked.recipient if asked.size is None else f"{asked.recipient} SIZE={asked.size}",
            self._verdict(key, asked.size),
            reply.decode(errors="replace"),
            self._policy(key, asked.size or 0).decode(errors="replace"),
            self._milter(key, asked.size).decode(errors="replace"),
        )

    def smmapd(self, recipient: str) -> tuple[str, str]:
        """The shell's line that asks smmapd on standard input, and what it answers."""
        query = frame(b"smmap " + recipient.encode())
        words = [f"{BIN}/smmapd", "-X", "-C", self.store.conf_path]
        answer = run(words, stdin=query)
        return f"printf '{query.decode()}' | {' '.join(words)}", answer.decode()

    def _verdict(self, key: bytes, size: int | None) -> str:
        """What the engine says, by the same way as the policy and milter front ends ask it."""
        decision = self._judge.judge(Question(parse_bare(key), size=size), self._verifier)
        if decision.verdict is not None:
            return decision.verdict.kind.name
        assert decision.skip is not None
        return f"({decision.skip.value})"

    def _policy(self, key: bytes, size: int) -> bytes:
        attributes = (
            b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=sender@client.example\n"
            b"client_address=192.0.2.1\nrecipient=%b\nsize=%d\n\n" % (key, size)
        )
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(READY_LIMIT_S)
            link.connect(f"{self.folder}/policy")
            link.sendall(attributes)
            received = b""
            while not received.endswith(b"\n\n"):
                data = link.recv(4096)
                if not data:
                    return b"(closed)"
                received += data
        return received.strip().removeprefix(b"action=")

    def _milter(self, key: bytes, size: int | None) -> bytes:
        """What an SMTP client hears; where the milter has nothing to say, the MTA's own reply."""
        parameters = [] if size is None else [b"SIZE=%d" % size]
        with MilterClient(f"{self.folder}/milter") as mta:
            mta.connect()
            mta.mail(b"<sender@client.example>", *parameters)
            answer = mta.rcpt(b"<%b>" % key)
        return b"250" if answer == CONTINUE else answer

    def _wait_ready(self) -> None:
        """Wait for READY=1, as systemd does."""
        self._notify.settimeout(_LOOK_S)
        for _ in range(int(READY_LIMIT_S / _LOOK_S)):
            self.daemon.check()
            try:
                message = self._notify.recv(4096)
            except TimeoutError:
                continue
            if b"READY=1" in message.split(b"\n"):
                return
        raise RigError(f"the gateway is not ready: {self.daemon.output()}")
