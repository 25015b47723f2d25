"""What a command ends with: exit codes of sysexits.h, and the fault that carries one.

| code | when |
|---|---|
| 1 | some recipients are refused for good |
| 64 EX_USAGE | the command line makes no sense |
| 65 EX_DATAERR | an input file holds nothing of what it should |
| 66 EX_NOINPUT | an input file cannot be read |
| 70 EX_SOFTWARE | a defect of ours; --debug shows the traceback |
| 74 EX_IOERR | the output cannot be written |
| 75 EX_TEMPFAIL | a database or another server cannot answer now |
| 78 EX_CONFIG | the configuration cannot be used |
"""

from __future__ import annotations

import errno
import os

from gateway.errors import ConfigurationError, GatewayError, StoreError, UpstreamError

# Some answers refuse, or are not what was expected.
SOME_NOT = 1

# As a shell reports a program that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
BROKEN_PIPE = 141

_CODES: tuple[tuple[type[GatewayError], int], ...] = (
    (ConfigurationError, os.EX_CONFIG),
    (StoreError, os.EX_TEMPFAIL),
    (UpstreamError, os.EX_TEMPFAIL),
)


# What to do about errors that a unit's sandbox makes.
_SANDBOX = {
    errno.EAFNOSUPPORT: "; RestrictAddressFamilies= of the unit has to allow AF_UNIX, AF_INET, "
    "AF_INET6 and AF_NETLINK",
}


class InputError(GatewayError):
    """A file that the user named cannot be used; `code` is the exit code."""

    def __init__(self, path: str, problem: str, code: int = os.EX_NOINPUT) -> None:
        self.path = path
        self.code = code
        super().__init__(f"{path}: {problem}")


class ArgumentsError(GatewayError):
    """Arguments that do not go together."""

    code = os.EX_USAGE


def system_fault(error: OSError) -> str:
    """What could not be done, without the error's number."""
    # What has no file's name and is of writing is standard output's.
    of_output = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
    where = error.filename or ("standard output" if of_output else None)
    what = f"{error.strerror or error}{_SANDBOX.get(error.errno or 0, '')}"
    return f"{where}: {what}" if where else what


def exit_code(error: GatewayError) -> int:
    """The exit code that tells a program what kind of fault `error` is."""
    if isinstance(error, (InputError, ArgumentsError)):
        return error.code
    return next((code for kind, code in _CODES if isinstance(error, kind)), os.EX_SOFTWARE)
