"""smmapd: verifies recipients for a mail server, as a service of Cyrus master or by hand.

The start of the program: command line, configuration, store, then one of two
ways to serve.  It ends with a code from sysexits.h, and tells standard error
and syslog why whenever that is not an ordinary end.
"""

from __future__ import annotations

import gc
import os
import sys

from gateway.errors import ConfigurationError
from smmapd.options import USAGE, Options, UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.sqlserver.connections import SqlPool
    from gateway.cyrus.imapdconf import ImapdConf

# The service's name where master does not give one: what cyrus.conf examples
# call it.
DEFAULT_SERVICE = "smmap"

# libconfig's environment variable wins over imapd.conf's syslog_prefix
# (imap/global.c, cyrus_init).
PREFIX_VARIABLE = "CYRUS_SYSLOG_PREFIX"


def main(arguments: list[str] | None = None) -> int:
    """Run smmapd with `arguments` (default: the command line); the exit code."""
    service = os.environ.get("CYRUS_SERVICE") or DEFAULT_SERVICE
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
    except UsageError as error:
        _complain(service, f"{error}\n{USAGE}")
        return os.EX_USAGE
    if os.geteuid() == 0 and not options.stdio:
        _complain(
            service, "must run as the Cyrus user; only with -X may root look something up by hand"
        )
        return os.EX_USAGE
    try:
        return _run(options, service)
    except ConfigurationError as error:
        if error.option is not None:  # of imapd.conf: nothing else has options here
            error.file = error.file or options.config
        _complain(service, str(error))
        return os.EX_CONFIG
    except OSError as error:
        _complain(service, f"{error.filename or 'system'}: {error.strerror}")
        return os.EX_IOERR


def _run(options: Options, service: str) -> int:
    from gateway.cyrus import imapdconf  # noqa: PLC0415  (a wrong option answers at once)
    from gateway.cyrus.store import CyrusStore  # noqa: PLC0415
    from gateway.verification.verifier import Verifier  # noqa: PLC0415
    from smmapd import stdio, syslog  # noqa: PLC0415

    start = None
    if not options.stdio and _started_by_master():
        from smmapd.waitingclients import Start  # noqa: PLC0415

        start = Start(service)
    else:
        stdio.check()
    conf = imapdconf.load(options.config, service)
    syslog.open_log(
        service,
        os.environ.get(PREFIX_VARIABLE) or conf.syslog_prefix,
        conf.syslog_facility,
        debugging=conf.debug,
    )
    if options.debugger:
        _debug(conf, service)

    warnings: set[str] = set()  # the engines of one process say the same of the same files

    def warn(line: str) -> None:
        if line not in warnings:
            warnings.add(line)
            syslog.warning(line)

    def make_verifier(sql: SqlPool | None = None) -> Verifier:
        return Verifier.for_store(
            CyrusStore(conf, service.encode(), skip_plus=options.skip_plus, report=warn, sql=sql)
        )

    verdicts = syslog.SyslogVerdicts(audit=conf.auditlog)
    if start is not None:
        verifier = make_verifier()
        if verifier.store.server is None:  # else each look-up may wait for the SQL server
            start.serve(verifier, verdicts.observer())
        # Loading all this takes several times as long as an answer.
        from smmapd import service as under_master  # noqa: PLC0415

        # Clients wait by now; what the start has made stays (gateway/server/garbage.py).
        gc.freeze()
        gc.enable()
        return under_master.run(options, make_verifier, verdicts, start)
    stdio.serve(make_verifier(), verdicts.observer())
    return os.EX_OK


def _started_by_master() -> bool:
    from smmapd.master import started_by_master  # noqa: PLC0415  (not for -X)

    return started_by_master()


def _debug(conf: ImapdConf, service: str) -> None:
    """Start the external debugger of imapd.conf's debug_command, and wait for it.

    As in the C program the command is one for the shell, and its three
    placeholders are the program, the pid and the service.
    """
    import subprocess  # noqa: PLC0415

    from smmapd import syslog  # noqa: PLC0415

    if not conf.debug_command:
        syslog.warning("-D: imapd.conf has no debug_command")
        return
    try:
        command = conf.debug_command % (sys.argv[0], os.getpid(), service)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"it takes %s, %d and %s for program, pid and service: {error}",
            option="debug_command",
        ) from error
    syslog.debug(f"running external debugger: {command}")
    status = subprocess.run(command, shell=True, check=False).returncode  # noqa: S602
    syslog.debug(f"debugger returned exit status: {status}")


def _complain(service: str, message: str) -> None:
    """One message on standard error and in syslog."""
    from smmapd import syslog  # noqa: PLC0415

    syslog.open_log(service, os.environ.get(PREFIX_VARIABLE))
    for line in message.splitlines():
        syslog.error(line)
    # Without standard error print would take standard output, which is the client's.
    if sys.stderr is not None:
        print(f"smmapd: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
