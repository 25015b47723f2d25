"""One Postfix: its parameters made ready, and the routing of an address in it.

`Postfix.read` asks `postconf`; `routing` then tells what becomes of an address, as
a generator: it yields the look-ups that it needs, all that can be asked at once
together, and is sent their answers.  An address that nothing is known of costs
one such round, and another one where its domain's class is in a table.  Since
most are such, all tables that are asked for the same keys are asked in one call
at first, which tells whether any of them knows the address (`screens`); only
then is each parameter asked for itself.

The order is Postfix': recipient_canonical_maps, canonical_maps,
virtual_alias_maps (cleanup), transport_maps, relocated_maps (trivial-rewrite),
alias_maps (local).  A fault of one table counts only where no other one knows
the address.

Limits: sender-dependent and content-filter transports, $smtpd_*_override and
`owner-` names are not followed; a generic or masquerading rule changes no
recipient that smtpd has accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.mta import domains, expansion, keys, postconf, tables, transports
from gateway.mta.configuration import ConfigurationFiles
from gateway.mta.domains import WITH_MAILBOXES, Class
from gateway.mta.keys import Delimiters, Key, Mailbox
from gateway.mta.lookups import Lookup, Lookups, TableAnswers, askable
from gateway.mta.postmap import Asker
from gateway.mta.routing import STAYS, Routing, RoutingKind
from gateway.mta.tablecache import TableCache, Tables
from gateway.mta.tables import Run, Table
from gateway.mta.transports import Transports

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from gateway.mta.domains import DomainPatterns
    from gateway.mta.postconf import Parameters

    # Yields what has to be looked up, and ends with the routing.
    Reasoning = Generator[Lookups, TableAnswers, Routing]

# Parameters whose tables rewrite a recipient: name, and its word in
# propagate_unmatched_extensions.
_REWRITING = (
    ("recipient_canonical_maps", "canonical"),
    ("canonical_maps", "canonical"),
    ("virtual_alias_maps", "virtual"),
)
_CLASSES = {
    "recipient_canonical_maps": "recipient_canonical_classes",
    "canonical_maps": "canonical_classes",
}
_ENVELOPE = "envelope_recipient"
_PASSWD = tables.runs("postmap", [Table("unix", "passwd.byname")])


@dataclass(frozen=True, slots=True)
class Maps:
    """The tables of one parameter."""

    parameter: str
    runs: tuple[Run, ...]

    def lookups(self, wanted: Sequence[Key]) -> Iterator[tuple[Lookup, Key]]:
        """In Postfix' order: each key of every table that is asked for such."""
        for key in wanted:
            for run in self.runs:
                if askable(key.text) and not (key.part and run.whole):
                    yield Lookup(run, key.text), key


@dataclass(frozen=True, slots=True)
class FoundKey:
    """The first key of a parameter that has a value."""

    value: bytes
    key: Key


class Postfix:
    """What one instance of Postfix knows; `tables` asks for it where the caller may wait.

    Used by any number of threads.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        ours: Callable[[Table], bool],
        mailers: frozenset[str] = frozenset(),
        remote_store: bool = False,
        user: str = "",
        configuration: ConfigurationFiles | None = None,
    ) -> None:
        """`ours` tells our own socketmaps, which are never asked; `user` reads the tables.

        `mailers` and `remote_store` as `transports.Transports` has them.  Raises
        MailServerError.  `configuration` are the files that the parameters are of.
        """
        self.parameters = parameters
        self.configuration = configuration or ConfigurationFiles(parameters.folder)
        self.configuration.add(
            bare
            for _, name in domains.LISTS
            for word in parameters.words(name)
            if (bare := word.lstrip("!")).startswith("/")
        )
        self.tables = Tables(Asker(parameters.folder, user), TableCache())
        self.transports = Transports.of(parameters, mailers, remote_store=remote_store)
        self.delimiters = Delimiters(
            parameters["recipient_delimiter"].encode(),
            owner_request=parameters.yes("owner_request_special"),
            double_bounce=parameters["double_bounce_sender"].lower().encode(),
        )
        self.origin = parameters["myorigin"].lower().encode()
        self.classes: dict[Class, DomainPatterns] = {
            each: domains.read(parameters, name, ours) for each, name in domains.LISTS
        }
        self._ours = ours
        self._rewriting = [
            (self._maps(name), word)
            for name, word in _REWRITING
            if name not in _CLASSES or _ENVELOPE in parameters.words(_CLASSES[name])
        ]
        self._relocated = self._maps("relocated_maps")
        self._of_addresses = [*(maps for maps, _ in self._rewriting), self._relocated]
        self.screens = _screens(self._of_addresses)
        self._transport_maps = self._maps("transport_maps")
        self._aliases = self._maps("alias_maps", "postalias")
        self._propagated = frozenset(parameters.words("propagate_unmatched_extensions"))
        style = parameters.words("parent_domain_matches_subdomains")
        self.transport_parents = "transport_maps" in style

    @classmethod
    def read(
        cls,
        folder: str,
        *,
        ours: Callable[[Table], bool],
        mailers: frozenset[str] = frozenset(),
        remote_store: bool = False,
        user: str = "",
    ) -> Postfix:
        """The instance whose configuration is in `folder`; raises MailServerError."""
        # Before they are read: what is changed meanwhile shows as a change.
        configuration = ConfigurationFiles(folder)
        return cls(
            postconf.read(folder),
            ours=ours,
            mailers=mailers,
            remote_store=remote_store,
            user=user,
            configuration=configuration,
        )

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of tables that may be asked."""
        lists = [pattern.run for each in self.classes.values() for pattern in each.patterns]
        maps = [self._relocated, self._transport_maps, self._aliases]
        maps += [each for each, _ in self._rewriting]
        found = [run for run in lists if run is not None]
        return tuple(dict.fromkeys([*found, *(run for each in maps for run in each.runs)]))

    def summary(self) -> tuple[str, bool]:
        """What is judged and what is left to Postfix, for a person; and whether anything is judged.

        Single recipients and domains may go otherwise by transport_maps.
        """
        ours: list[str] = []
        others: list[str] = []
        for each, name in domains.LISTS:
            transport = self.transports.default(each)
            if each in WITH_MAILBOXES and self.classes[each].patterns:
                group = ours if self.transports.may_be_cyrus(transport) else others
                group.append(f"{name} (by {transport})")
        version, folder = self.parameters["mail_version"], self.parameters.folder
        judged = f"recipients of {', '.join(ours)} are judged" if ours else "no recipient is judged"
        left = f"; those of {', '.join(others)} are left to it" if others else ""
        return f"Postfix {version} in {folder}: {judged}{left}", bool(ours)

    def may_own(self, domain: bytes) -> bool:
        """False where no recipient of `domain` can have a mailbox here."""
        domain = domain or self.origin
        return any(self.classes[each].may_have(domain) for each in WITH_MAILBOXES)

    def routing(
        self, mailbox: Mailbox, *, explicit: bool = False, transport: str = ""
    ) -> Reasoning:
        """What becomes of `mailbox`; with `explicit` its domain is ours whatever Postfix says.

        `transport` is the one that Postfix has named already, "" where none was.
        """
        if not mailbox.domain:
            mailbox = Mailbox(mailbox.local, self.origin)
        domain_class = yield from self._class_of(mailbox.domain)
        fault = domain_class if isinstance(domain_class, str) else ""
        known = Class.OTHER if isinstance(domain_class, str) else domain_class
        local = known is Class.LOCAL or mailbox.domain == self.origin
        asked = _Round(mailbox, self, local=local)
        asked.answers = yield asked.lookups(self._by_key(asked), self.screens)
        moved = None
        if asked.is_known(self.screens):
            exact = [(maps, asked.address_keys) for maps in self._of_addresses]
            asked.add((yield asked.lookups(exact)))
            for maps, word in self._rewriting:
                found = asked.find(maps, asked.address_keys)
                if found is not None:
                    rewritten = self._rewritten(mailbox, maps.parameter, found, word)
                    if not _is_itself(rewritten, mailbox):
                        return rewritten
            moved = asked.find(self._relocated, asked.address_keys)
        if not fault and not explicit and known not in WITH_MAILBOXES:
            return asked.unless_faulty(Routing(RoutingKind.NOT_OURS, detail=known.value))
        if moved is not None:
            return Routing(RoutingKind.LEFT, by="relocated_maps")
        transport = transport or self._transport(asked, known)
        if not explicit and transport and not self.transports.may_be_cyrus(transport):
            return asked.unless_faulty(Routing(RoutingKind.OTHER_TRANSPORT, detail=transport))
        if known is Class.LOCAL and transport.partition(":")[0] == transports.LOCAL:
            delivered = self._local(mailbox, asked)
            if delivered is not None:
                return delivered
        return Routing(RoutingKind.UNKNOWN, detail=fault) if fault else asked.unless_faulty(STAYS)

    def routing_now(self, mailbox: Mailbox) -> Routing:
        """As `routing`, for callers that may wait for the tables."""
        reasoning = self.routing(mailbox)
        try:
            wanted = next(reasoning)
            while True:
                wanted = reasoning.send(self.tables.ask(wanted))
        except StopIteration as ended:
            found: Routing = ended.value
            return found

    # ----------------------------------------------------------------------------------------

    def _class_of(self, domain: bytes) -> Generator[Lookups, TableAnswers, Class | str]:
        """The class of `domain`, or the fault that keeps it from being known."""
        wanted = [each for listed in self.classes.values() for each in listed.lookups(domain)]
        answers = TableAnswers()
        if wanted:
            answers = yield Lookups.of(wanted)
        for each, listed in self.classes.items():
            has = listed.has(domain, answers)
            if has:
                return each if has is True else str(has)
        return Class.OTHER

    def _rewritten(self, mailbox: Mailbox, parameter: str, found: FoundKey, word: str) -> Routing:
        extension = found.key.extension
        if extension and word not in self._propagated and not found.value.startswith(b"@"):
            extension = b""
        targets = expansion.addresses(found.value, mailbox, extension, self.origin)
        if targets is None:
            return Routing(RoutingKind.LEFT, by=parameter)
        return Routing(RoutingKind.REWRITTEN, targets, by=parameter)

    def _transport(self, asked: _Round, known: Class) -> str:
        default = self.transports.default(known)
        found = asked.find(self._transport_maps, asked.transport_keys)
        return default if found is None else transports.entry(found.value, default)

    def _local(self, mailbox: Mailbox, asked: _Round) -> Routing | None:
        """What local(8) does before it hands on what it does not know."""
        found = asked.find(self._aliases, asked.alias_keys)
        if found is not None:
            extension = found.key.extension if "alias" in self._propagated else b""
            targets = expansion.aliases(found.value, extension, self.origin)
            if targets is None:
                return Routing(RoutingKind.LEFT, by="alias_maps")
            aliased = Routing(RoutingKind.REWRITTEN, targets, by="alias_maps")
            if not _is_itself(aliased, mailbox):
                return aliased
        if self.transports.luser_relay:
            return Routing(RoutingKind.LEFT, by="luser_relay")
        if self.transports.only_unknown and asked.find(_SYSTEM, asked.alias_keys) is not None:
            return Routing(RoutingKind.OTHER_TRANSPORT, detail="the mailbox of a system user")
        return None

    def _maps(self, parameter: str, program: str = "postmap") -> Maps:
        named = [tables.parse(word) for word in self.parameters.words(parameter)]
        known = [table for table in named if table is not None and not self._ours(table)]
        return Maps(parameter, tables.runs(program, known))

    def _by_key(self, asked: _Round) -> list[tuple[Maps, Sequence[Key]]]:
        """The parameters whose keys are not addresses alone, with their keys."""
        found: list[tuple[Maps, Sequence[Key]]] = [(self._transport_maps, asked.transport_keys)]
        if asked.local:
            found.append((self._aliases, asked.alias_keys))
            if self.transports.only_unknown:
                found.append((_SYSTEM, asked.alias_keys))
        return found


def _screens(parameters: Sequence[Maps]) -> Maps:
    """All tables of these parameters in as few runs as can be, whatever their order."""
    every = dict.fromkeys(
        (table, run.whole) for maps in parameters for run in maps.runs for table in run.tables
    )
    runs = [
        Run("postmap", tuple(table for table, whole in every if whole is wanted), wanted)
        for wanted in (False, True)
    ]
    return Maps("any", tuple(run for run in runs if run.tables))


_SYSTEM = Maps("passwd", _PASSWD)


def _is_itself(routing: Routing, mailbox: Mailbox) -> bool:
    """Whether an address becomes what it was: an exception to a rule that is more general."""
    return [each.address.lower() for each in routing.targets] == [mailbox.address.lower()]


class _Round:
    """One address' keys, the look-ups for them, and what came of these."""

    def __init__(self, mailbox: Mailbox, postfix: Postfix, *, local: bool) -> None:
        delimiters = postfix.delimiters
        self.local = local
        self.address_keys = keys.of_address(mailbox, delimiters, local=local)
        self.alias_keys = keys.of_alias(mailbox, delimiters)
        self.transport_keys = keys.of_transport(
            mailbox, delimiters, parents=postfix.transport_parents
        )
        self._fault: str | None = None
        self.answers = TableAnswers()

    def lookups(
        self, wanted: Sequence[tuple[Maps, Sequence[Key]]], more: Maps | None = None
    ) -> Lookups:
        """The look-ups of these parameters, and of `more` with the keys of addresses."""
        every = [*wanted, *([(more, self.address_keys)] if more is not None else [])]
        return Lookups.of(lookup for maps, keys_ in every for lookup, _ in maps.lookups(keys_))

    def add(self, answers: TableAnswers) -> None:
        """More answers."""
        self.answers.values.update(answers.values)
        self.answers.faults.update(answers.faults)

    def is_known(self, screens: Maps) -> bool:
        """Whether a table may know the address: one does, or one could not be asked."""
        found = [lookup for lookup, _ in screens.lookups(self.address_keys)]
        return any(
            self.answers.value(each) is not None or self.answers.fault(each) is not None
            for each in found
        )

    def find(self, maps: Maps, wanted: Sequence[Key]) -> FoundKey | None:
        """The first value; a table that could not be asked has none, which is remembered."""
        for lookup, key in maps.lookups(wanted):
            value = self.answers.value(lookup)
            if value is not None:
                return FoundKey(value, key)
            if self._fault is None:
                self._fault = self.answers.fault(lookup)
        return None

    def unless_faulty(self, routing: Routing) -> Routing:
        """`routing`, unless a table that could not be asked may know better."""
        if self._fault is None:
            return routing
        return Routing(RoutingKind.UNKNOWN, detail=self._fault)
