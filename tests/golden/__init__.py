"""The golden data, read row by row; see README.md beside this file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

FOLDER = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Configuration:
    """One set of databases under one imapd.conf."""

    set: str
    name: str

    @property
    def root(self) -> str:
        """The set's folder, which stands for @ROOT@ in imapd.conf."""
        return os.path.join(FOLDER, self.set)

    @property
    def id(self) -> str:
        """A short name for messages."""
        return f"{self.set}/{self.name}"

    @property
    def service(self) -> str:
        """The service's name in cyrus.conf."""
        return self._arguments()[0]

    @property
    def arguments(self) -> list[str]:
        """The command-line options."""
        return self._arguments()[1].split()

    @property
    def summary(self) -> str:
        """What is special about it, for messages: options of imapd.conf and of the command line."""
        source = os.path.join(self.root, self.name, "imapd.conf")
        with open(source, encoding="ascii") as file:
            options = [line.strip() for line in file if "@ROOT@" not in line and line.strip()]
        return ", ".join([*options, *self.arguments])

    @property
    def keeps_domains(self) -> bool:
        """Whether virtdomains is on."""
        source = os.path.join(self.root, self.name, "imapd.conf")
        with open(source, encoding="ascii") as file:
            return "virtdomains" in file.read()

    def reply_to(self, key: bytes) -> bytes:
        """The C program's reply to one recipient; KeyError where it was not asked."""
        replies = {row.key: row.reply for row in self.rows("key")}
        return replies[key]

    def _arguments(self) -> tuple[str, str]:
        with open(os.path.join(self.root, self.name, "args"), encoding="ascii") as file:
            service, _, arguments = file.read().strip().partition(" args=")
        return service.removeprefix("service="), arguments

    def write_conf(self, path: str) -> None:
        """Write the imapd.conf with this machine's path of the databases."""
        source = os.path.join(self.root, self.name, "imapd.conf")
        with open(source, encoding="ascii") as file:
            text = file.read().replace("@ROOT@", self.root)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def rows(self, kind: str) -> list[Row]:
        """The rows of one kind: key, raw or overlong."""
        path = os.path.join(self.root, self.name, "replies.jsonl")
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return [_row(row) for row in rows if row["kind"] == kind]


@dataclass(frozen=True)
class Row:
    """One query and what the C program replied, in bytes.

    `key` is the recipient (of `key` rows) or the row's id.  `reply_open` is
    what came before the client closed its side, and `closed` whether the
    server closed first.
    """

    key: bytes
    query: bytes
    reply: bytes
    reply_open: bytes
    closed: bool


def _row(row: dict[str, str | bool | int]) -> Row:
    def text(field: str) -> bytes:
        return str(row.get(field) or "").encode("latin-1")

    query = text("query")
    if row["kind"] == "overlong":
        size = int(str(row["id"]).removeprefix("req-"))
        query = b"%d:cyrus %b," % (size, b"z" * (size - 6))
    return Row(
        key=text("key") or text("id"),
        query=query,
        reply=text("reply"),
        reply_open=text("reply_open"),
        closed=bool(row.get("closed_by_server", False)),
    )


def configurations() -> list[Configuration]:
    """Every configuration of every set."""
    found = []
    for name in sorted(os.listdir(FOLDER)):
        folder = os.path.join(FOLDER, name)
        if not os.path.isdir(folder) or not name.startswith("head-"):
            continue
        found += [
            Configuration(name, inner)
            for inner in sorted(os.listdir(folder))
            if os.path.exists(os.path.join(folder, inner, "replies.jsonl"))
        ]
    return found


def conversations(kind: str) -> list[dict[str, object]]:
    """The rows of conversations.jsonl of one kind."""
    with open(os.path.join(FOLDER, "conversations.jsonl"), encoding="utf-8") as file:
        rows: list[dict[str, object]] = [json.loads(line) for line in file]
    return [row for row in rows if row["kind"] == kind]
