"""What a socketmap may find: only what it was asked about as a recipient of ours.

Postfix asks its tables for more than recipients.  `virtual_mailbox_domains` is
`$virtual_mailbox_maps` by default, so a bare domain arrives as a key; an answer that
finds one makes that domain Postfix' own, and the whole world may relay to it.
So, in every mode and whatever the engine says, these are never found:

- the empty key, and `@domain`: there is no local part;
- a key in a domain that is none of [scope]'s, where [scope] says which are;
- a key without an @ where an LMTP server is the store, unless [scope]
  unqualified says that such recipients are ours.  With a catch-all it would
  find every name.

Any other key without an @ (a bare domain, or Postfix' last look into
local_recipient_maps) is answered truthfully: it is found where there is a
mailbox of that name, and a refusal of it is never waived.

Limits: where [scope] names no domains, a waiver finds a recipient in any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.judge import UNSETTLED
from gateway.protocols.address import NO_LOCAL_PART
from gateway.verification.kinds import Kind
from gateway.verification.model import Verdict

if TYPE_CHECKING:
    from gateway.frontends.scope import Scope
    from gateway.frontends.waiver import Waiver, Waivers

# What is found without the engine being asked.
_NO_KEY = Verdict(Kind.BAD_ADDRESS, b"an empty key")
_NO_LOCAL_PART = Verdict(Kind.BAD_ADDRESS, NO_LOCAL_PART.encode())
_NO_DOMAIN = Verdict(Kind.NONEXISTENT, b"a key without a domain")
_NOT_OURS = Verdict(Kind.NONEXISTENT, b"the domain is none of [scope]'s")


class SocketmapJudge:
    """Decides about keys for the socketmap front end.

    `scope` tells which domains are ours, None where nothing does.  With
    `needs_domain` no key without an @ is found.  `folds`: the client may have
    put keys into lower case.
    """

    __slots__ = ("_needs_domain", "_scope", "_waivers", "folds")

    def __init__(
        self,
        waivers: Waivers,
        scope: Scope | None = None,
        *,
        needs_domain: bool = False,
        folds: bool = False,
    ) -> None:
        self.folds = folds
        self._waivers = waivers
        self._scope = scope
        self._needs_domain = needs_domain

    @property
    def scope(self) -> Scope | None:
        """What tells which domains are ours."""
        return self._scope

    def unasked(self, key: bytes) -> Verdict | None:
        """What is said to `key` without asking the engine; None where it is to be asked."""
        local, at, domain = key.rpartition(b"@")
        if not at:
            if not key:
                return _NO_KEY
            return _NO_DOMAIN if self._needs_domain else None
        if not local:
            return _NO_LOCAL_PART
        if self._scope is not None and not self._scope.owns(domain.removesuffix(b".")):
            return _NOT_OURS if self._scope.domains_settled else UNSETTLED
        return None

    def waives(self, kind: Kind) -> bool:
        """Whether there is a key at all for which a refusal of that kind is not carried out."""
        return self._waivers.of(kind, temporary=kind.temporary) is not None

    def waiver(self, key: bytes, verdict: Verdict) -> Waiver | None:
        """Why `verdict` on `key` is not carried out: the key is found all the same."""
        kind = verdict.kind
        if kind.accepts:
            return None
        waiver = self._waivers.of(kind, temporary=kind.temporary)
        if waiver is None or b"@" not in key or self.unasked(key) is not None:
            return None
        return waiver
