"""Every kind of fault the gateway knows, one exception type each.

The type says whose fault it is, and that decides what happens next: a
`ConfigurationError` stops a start (exit 78), a `StoreError` makes a temporary
failure of one answer, a `ProtocolError` ends one connection, an
`UpstreamError` is another server's and temporary too.  Nothing here knows a
reply code.

Every message names the file, option or peer it is about and, where there is
one, what to do.  `str(error)` is fit for a log line and for a person.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class GatewayError(Exception):
    """The root: whatever the gateway itself raises is one of its children."""


class ConfigurationError(GatewayError):
    """The administrator's fault: a file of settings that cannot be used.

    `file` is the path of the file, `line` its line (counted from 1, or None
    where the fault belongs to no line), `option` the setting's name or None.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        option: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        self.option = option
        super().__init__(problem)

    def __str__(self) -> str:
        where = ""
        if self.file is not None:
            where = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        what = f"{self.option}: " if self.option is not None else ""
        return f"{where}{what}{self.problem}"


class ConfigurationErrors(ConfigurationError):
    """A configuration that cannot be used, with every reason; `str` has one line each.

    `errors` are in the order of the file, where they come from a file.
    """

    def __init__(self, errors: Sequence[ConfigurationError], *, file: str | None = None) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(each) for each in errors), file=file)

    def __str__(self) -> str:
        return self.problem


class StoreError(GatewayError):
    """The mail store's fault: what it holds cannot be read or makes no sense.

    The answer is a temporary failure; `path` names the file (or database)
    that needs a look.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")


class DatabaseUnavailable(StoreError):
    """The database cannot be read just now: no permission, EIO, a server that is down."""


class DatabaseMissing(DatabaseUnavailable):
    """There is no such file; for some databases that is a normal state."""


class DatabaseEmpty(DatabaseUnavailable):
    """A mailbox list without any record: it is being restored, or has replaced another."""


class DatabaseDamaged(StoreError):
    """The bytes are there and contradict the format: checksum, bounds, order or truncation."""


class SharedIndexRefused(GatewayError):
    """What another process has made of a mailbox list is not what it should be; it is not used."""


class RecordDamaged(StoreError):
    """The database is sound, one record in it is not; `key` is that record's key.

    `text` is what the C program tells its client of such a record.
    """

    def __init__(
        self,
        path: str,
        key: bytes,
        problem: str,
        *,
        text: bytes = b"Mailbox has an invalid format",
    ) -> None:
        self.key = key
        self.text = text
        super().__init__(path, f"record {key!r}: {problem}")


class ProtocolError(GatewayError):
    """The peer's fault: bytes that its protocol does not allow; the connection ends."""


class UpstreamError(GatewayError):
    """Another server's fault: not reachable, too slow, or talking nonsense.

    `server` names it the way the configuration does.
    """

    def __init__(self, server: str, problem: str) -> None:
        self.server = server
        self.problem = problem
        super().__init__(f"{server}: {problem}")


class MailServerError(GatewayError):
    """The mail server beside us: its programs or tables cannot be asked, or talk nonsense.

    `subject` is the program or the table.  What could not be learned makes a
    temporary failure of the recipients that it could hold.
    """

    def __init__(self, subject: str, problem: str) -> None:
        self.subject = subject
        self.problem = problem
        super().__init__(f"{subject}: {problem}")
