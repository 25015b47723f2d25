"""Checks that need more than one setting.

Each gives pairs of the dotted key that the message is about and the reason
with what to do.  A check is left out where a setting that it needs is itself
wrong (`faulty`), so that one mistake is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import combinations

from gateway.config import endpoints
from gateway.config.endpoints import InetEndpoint
from gateway.config.frontends import FRONT_ENDS, NAMES, Row
from gateway.config.model import Settings
from gateway.config.tables import replies

Problem = tuple[str, str]


def problems(settings: Settings, faulty: Collection[str]) -> Iterator[Problem]:
    """Every problem between settings; `faulty` are the dotted keys that are wrong alone."""
    for check, needs in _CHECKS:
        if not any(key.startswith(needs) for key in faulty):
            yield from check(settings)


def _something_listens(settings: Settings) -> Iterator[Problem]:
    if not settings.serving:
        *first, last = (f"[{name}]" for name in NAMES)
        yield (
            _LISTEN[0],
            f"no front end listens; set listen in {', '.join(first)} or {last}",
        )


def _one_socket_each(settings: Settings) -> Iterator[Problem]:
    every = [
        (f"{name}.listen", endpoint)
        for name, listen in settings.listeners.items()
        for endpoint in listen
    ]
    for (one_key, one), (other_key, other) in combinations(every, 2):
        if endpoints.conflict(one, other):
            same = f'"{other}"' if str(one) == str(other) else f'"{other}" and "{one}"'
            where = f"{one_key} has it too" if one_key != other_key else "the list has both"
            yield (
                other_key,
                f"{same}: one socket cannot serve twice, {where}; give each its own",
            )


def _scope_is_known(settings: Settings) -> Iterator[Problem]:
    lacking = [row for row in settings.serving if not knows_scope(settings, row)]
    if not lacking:
        return
    fix = "set scope.domains, scope.domain_files or scope.postfix"
    if all(row.front_end.sees_mailers for row in lacking):
        fix += ", or scope.mailers"
    elif settings.scope.mailers:
        fix += " (scope.mailers serves the milter only: Postfix does not tell a policy service)"
    names = " and ".join(row.name for row in lacking)
    on, sees = ("is on", "it sees") if len(lacking) == 1 else ("are on", "they see")
    yield (
        "scope.domains",
        f"{names} {on} and nothing says which recipients are ours: {sees} "
        f"outbound mail too and would refuse it; {fix}",
    )


def knows_scope(settings: Settings, row: Row) -> bool:
    """Whether something says which recipients of a front end are ours, if it needs to know."""
    front_end = row.front_end
    return (
        not front_end.needs_scope
        or settings.scope.rules().knows_domains
        or (front_end.sees_mailers and bool(settings.scope.mailers))
    )


def _table_agrees(row: Row, settings: Settings) -> Iterator[Problem]:
    """What the table of one front end says of its own settings."""
    yield from row.problems(settings.front_end(row.name), settings.given)


def _admin_is_local(settings: Settings) -> Iterator[Problem]:
    if settings.admin.allow_remote:
        return
    for endpoint in settings.admin.listen:
        if isinstance(endpoint, InetEndpoint) and not endpoint.address.is_loopback:
            yield (
                "admin.listen",
                f'"{endpoint}" can be reached by other machines, and it asks for no '
                "password; use 127.0.0.1, [::1] or a Unix socket, or set admin.allow_remote = true",
            )


def _tls_is_complete(settings: Settings) -> Iterator[Problem]:
    serves = False
    for name, listen in settings.listeners.items():
        for endpoint in listen:
            if not (isinstance(endpoint, InetEndpoint) and endpoint.tls):
                continue
            serves = True
            if name not in _TLS:
                yield (
                    f"{name}.listen",
                    f'"{endpoint}": only {" and ".join(_TLS)} sockets speak TLS; leave ?tls=yes '
                    "out",
                )
    if serves and not settings.tls.certificate:
        yield "tls.certificate", "a socket listens with TLS and needs a certificate; set it"
    if serves and settings.tls.verify_clients and not settings.tls.ca:
        yield (
            "tls.ca",
            "clients must show a certificate (tls.verify_clients) and nothing says which "
            "authority signs them; set it",
        )
    if settings.tls.client_names and not (serves and settings.tls.verify_clients):
        yield (
            "tls.client_names",
            "nothing asks clients for a certificate; listen with ?tls=yes and leave "
            "tls.verify_clients true, or leave it out",
        )
    if settings.tls.key and not settings.tls.certificate:
        yield "tls.key", "is set, and tls.certificate is not; set both or none"


def _reply_fits(kind: str, settings: Settings) -> Iterator[Problem]:
    template = settings.replies[replies.KINDS[kind]]
    yield from replies.problems(kind, template, settings.general.size_check)


_TLS = tuple(row.name for row in FRONT_ENDS if row.front_end.speaks_tls)
_LISTEN = tuple(f"{name}.listen" for name in NAMES)
_SCOPED = tuple(f"{row.name}.listen" for row in FRONT_ENDS if row.front_end.needs_scope)

# What is checked, and what the keys begin with that it needs.
_CHECKS: tuple[tuple[Callable[[Settings], Iterator[Problem]], tuple[str, ...]], ...] = (
    (_something_listens, _LISTEN),
    (_one_socket_each, ()),
    (_scope_is_known, ("scope.domains", "scope.mailers", "scope.postfix", *_SCOPED)),
    *((partial(_table_agrees, row), (f"{row.name}.",)) for row in FRONT_ENDS),
    (_admin_is_local, ("admin.allow_remote",)),
    (_tls_is_complete, ("tls.",)),
    *((partial(_reply_fits, kind), (f"replies.{kind}.", "size_check")) for kind in replies.KINDS),
)
