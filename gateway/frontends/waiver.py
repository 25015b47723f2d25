"""Why a refusal is not carried out: decided here, beside the verdict, for every front end.

A verdict that would refuse is waived where
- the mode is observe: everything is judged, nothing is refused;
- it is a fault of ours and `on_error` is accept;
- it is temporary and the sender is an MTA's address probe: a deferred probe
  would be taken for a deferred recipient by the MTA that asks itself;
- it is a fault of ours and the sender is null: such a mail is a bounce or a
  probe, and deferring it helps nobody (Postfix ADDRESS_VERIFICATION_README,
  `address_verify_sender`).

The log (`not_enforced`), the metric, `explain` and the status page read the
`Waiver` that was decided; none of them decides again.

Limits: what a socketmap's key must be to be waived is in socketmap_judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from gateway.verification.kinds import Kind

# The local part of Postfix' probes: double_bounce_sender, and behind it the
# time in base 31 where address_verify_sender_ttl is set (verify_sender_addr.c).
PROBE_PREFIX = b"double-bounce"
_PROBE = re.compile(PROBE_PREFIX + rb"[0-9a-z]*(@.*)?", re.IGNORECASE | re.DOTALL)


class Mode(Enum):
    """What becomes of a refusal."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class OnError(Enum):
    """What becomes of a recipient while a fault of ours keeps it from being judged."""

    TEMPFAIL = "tempfail"
    ACCEPT = "accept"


class Waiver(Enum):
    """Why a verdict that refuses is not carried out; the set is closed."""

    OBSERVED = "observed"
    ACCEPTED_ON_ERROR = "accepted-on-error"
    PROBE = "probe"
    NULL_SENDER = "null-sender"


@dataclass(frozen=True, slots=True)
class Waivers:
    """Decides for one front end which refusals are not carried out."""

    mode: Mode = Mode.ENFORCE
    on_error: OnError = OnError.TEMPFAIL

    def of(self, kind: Kind, *, temporary: bool, sender: bytes | None = None) -> Waiver | None:
        """Why a verdict of `kind`, which refuses, is not carried out; None where it is.

        `temporary` tells whether the client would be told to come again.
        `sender` is the bare address of MAIL FROM, empty for the null sender
        and None where it is not known.
        """
        if self.mode is Mode.OBSERVE:
            return Waiver.OBSERVED
        if kind.our_fault and self.on_error is OnError.ACCEPT:
            return Waiver.ACCEPTED_ON_ERROR
        if temporary and sender is not None:
            if _PROBE.fullmatch(sender):
                return Waiver.PROBE
            if not sender and kind.our_fault:
                return Waiver.NULL_SENDER
        return None


# Every refusal is carried out, but for probes and null senders.
NO_WAIVERS = Waivers()
