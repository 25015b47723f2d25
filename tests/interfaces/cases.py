"""The one table of cases: senders and recipients, and what is true of the latter.

What each interface replies follows from it (`replies`); only what an MTA says
without asking anybody is here, as `by_mta`.  The store is that of `store`,
the configuration that of `conftest`.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.frontends.scope import Skip
from gateway.verification.kinds import Kind
from tests.interfaces.kinds import (
    BROKEN,
    DENIED_USER,
    FRED,
    FULL,
    NO_POST,
    NOBODY,
    OVER,
    SEE_ONLY,
    TOO_LARGE,
    UNKNOWN,
    VERDICTS,
)
from tests.interfaces.model import POSTFIX, SENDMAIL, Case, Flow, Interface, Rcpt

# Clients that [scope] exempts, one of them on the loopback interface.
EXEMPT_CLIENT = "127.0.0.9"
EXEMPT_CLIENT_IPV6 = "2001:db8::25"
# double_bounce_sender of Postfix, with and without address_verify_sender_ttl.
PROBE = b"double-bounce@mx.test.example"
PROBE_WITH_TIME = b"double-bounce1a2b@mx.test.example"
NULL = b""

BROKEN_LENIENT = replace(BROKEN, lenient=True)
FULL_LENIENT = replace(FULL, lenient=True)
ANNA = Rcpt(b"anna@virt.example")
TIGHT = Rcpt(b"tight@example.org")
TIGHT_REFUSED = Rcpt(b"tight@example.org", TOO_LARGE)
# lmtpd takes no eight-bit characters in addresses (lmtp_strict_rfc2821).
FRED_UTF8 = Rcpt("fréd@example.org".encode(), Kind.BAD_ADDRESS)
OUTSIDE = Rcpt(b"friend@other.test", UNKNOWN, skip=Skip.NOT_OUR_DOMAIN)

# What MTAs say themselves.
_NOT_UTF8 = {
    **dict.fromkeys(POSTFIX, b"500 5.5.2 Error: bad UTF-8 syntax"),
    **dict.fromkeys(
        SENDMAIL,
        b'501 5.1.3 Syntax error in mailbox address "nob?ody@example.org"'
        b" (non-printable character)",
    ),
}
_NOT_LOCAL = dict.fromkeys(
    POSTFIX, b"550 5.1.1 <fred@[127.0.0.1]>: Recipient address rejected: no local mailboxes"
)
_PERCENT = dict.fromkeys(POSTFIX, b"554 5.7.1 <nob%ody@example.org>: Relay access denied")
# The rig's check_rcpt knows neither routes of several hops nor the root's dot.
_MAP_DENIES = b"550 5.7.1 <%s>... relaying denied"


def _not_for_sendmail_map(argument: bytes) -> dict[Interface, bytes]:
    return {Interface.SENDMAIL_MAP: _MAP_DENIES % argument}


def _no_local_user(argument: bytes) -> dict[Interface, bytes]:
    """Sendmail takes an address without a domain for a user of its machine."""
    return dict.fromkeys(SENDMAIL, b"550 5.1.1 <%s>... User unknown" % argument)


_ADDRESSES = {
    "capitals": Rcpt(b"FRED@Example.ORG"),
    "capitals of nobody": Rcpt(b"Nobody@Example.ORG", UNKNOWN),
    "a folder": Rcpt(b"fred+sent@example.org"),
    "a folder with a capital": Rcpt(b"fred+Lists@example.org"),
    "no such folder": Rcpt(b"fred+none@example.org"),
    "a folder of nobody": Rcpt(b"nobody+sent@example.org", UNKNOWN),
    "a shared folder with a capital": Rcpt(b"bb+Fairs@example.org"),
    "its name without the capital": Rcpt(b"bb+fairs@example.org", UNKNOWN, folded=Kind.DELIVERABLE),
    "another one that not all may post to": Rcpt(b"bb+BOARD@example.org", UNKNOWN, folded=NO_POST),
    "a plus without a folder": Rcpt(b"fred+@example.org"),
    "a dot": Rcpt(b"john.smith@example.org"),
    "a hat is a dot": Rcpt(b"john^smith@example.org"),
    "a dot at the end": Rcpt(b"fred.@example.org", UNKNOWN),
    "an apostrophe": Rcpt(b"o'neil@example.org"),
    "a percent sign": Rcpt(b"nob%ody@example.org", by_mta=_PERCENT),
    "a long local part": Rcpt(b"x" * 60 + b"@example.org"),
    "a longer one of nobody": Rcpt(b"x" * 120 + b"@example.org", UNKNOWN),
    "quoted": Rcpt(b'"a b"@example.org', UNKNOWN, bare=b"a b@example.org"),
    "quoted, of nobody": Rcpt(b'"a c"@example.org', UNKNOWN, bare=b"a c@example.org"),
    "quoted without need": Rcpt(b'"fred"@example.org', bare=b"fred@example.org"),
    "an escaped quote": Rcpt(b'"no\\"quote"@example.org', UNKNOWN, bare=b'no"quote@example.org'),
    "an empty local part": Rcpt(
        b'""@example.org', Kind.BAD_ADDRESS, bare=b"@example.org", bad=True
    ),
    "a control character": Rcpt(
        b'"fr\\\x01ed"@example.org',
        UNKNOWN,
        bare=b"fr\x01ed@example.org",
        shown=b"fr ed@example.org",
        bad=True,
    ),
    "a source route": Rcpt(
        b"@a.test,@b.test:fred@example.org",
        bare=b"fred@example.org",
        by_mta=_not_for_sendmail_map(b"@a.test,@b.test:fred@example.org"),
    ),
    "a source route to nobody": Rcpt(
        b"@a.test:nobody@example.org", UNKNOWN, bare=b"nobody@example.org"
    ),
    "the root's dot": Rcpt(
        b"fred@example.org.",
        bare=b"fred@example.org",
        by_mta=_not_for_sendmail_map(b"fred@example.org."),
    ),
    "the root's dot behind nobody": Rcpt(
        b"nobody@example.org.",
        UNKNOWN,
        bare=b"nobody@example.org",
        shown=b"nobody@example.org.",
        by_mta=_not_for_sendmail_map(b"nobody@example.org."),
    ),
    "a virtual domain": ANNA,
    "a virtual domain in capitals": Rcpt(b"Anna@VIRT.Example"),
    "nobody in a virtual domain": Rcpt(b"nobody@virt.example", UNKNOWN),
    "over quota in a virtual domain": Rcpt(b"bert@virt.example", OVER),
    "the default domain's user in another one": Rcpt(b"fred@virt.example", UNKNOWN),
    "another domain's user in the default one": Rcpt(b"anna@example.org", UNKNOWN),
    "a shared folder in a domain": Rcpt(b"bb+fair@virt.example"),
    "another domain's shared folder": Rcpt(b"bb+news@virt.example", UNKNOWN),
}

# Policy and milter have nothing to say about these.
_NOT_JUDGED = {
    "another domain": OUTSIDE,
    "a domain below ours": Rcpt(b"fred@sub.example.org", UNKNOWN, skip=Skip.NOT_OUR_DOMAIN),
    "a bare domain": Rcpt(
        b"example.org",
        UNKNOWN,
        skip=Skip.NOT_OUR_DOMAIN,
        by_mta=_no_local_user(b"example.org"),
    ),
    "no domain": Rcpt(
        b"john.smith", skip=Skip.NOT_OUR_DOMAIN, by_mta=_no_local_user(b"john.smith")
    ),
    "our address literal": Rcpt(
        b"fred@[127.0.0.1]", UNKNOWN, skip=Skip.NOT_OUR_DOMAIN, by_mta=_NOT_LOCAL
    ),
    "another address literal": Rcpt(b"fred@[192.0.2.1]", UNKNOWN, skip=Skip.NOT_OUR_DOMAIN),
    "an alias": Rcpt(b"sales@example.org", UNKNOWN, skip=Skip.ALIAS),
    "an alias in capitals": Rcpt(b"Sales@example.org", UNKNOWN, skip=Skip.ALIAS),
    "an alias with an extension": Rcpt(b"sales+eu@example.org", UNKNOWN, skip=Skip.ALIAS),
    "an alias of one domain": Rcpt(b"info@virt.example", UNKNOWN, skip=Skip.ALIAS),
    "the same name in another domain": Rcpt(b"info@example.org", UNKNOWN),
    "an exempt recipient": Rcpt(b"postmaster@example.org", UNKNOWN, skip=Skip.EXEMPT_RECIPIENT),
    "an exempt pattern": Rcpt(b"list-x@virt.example", UNKNOWN, skip=Skip.EXEMPT_RECIPIENT),
}

_CLIENTS = (
    Case(
        "an exempt client",
        (FRED, Rcpt(b"nobody@example.org", UNKNOWN, skip=Skip.EXEMPT_CLIENT)),
        client=EXEMPT_CLIENT,
    ),
    Case(
        "an exempt client's outbound mail, over quota at home",
        (OUTSIDE, Rcpt(b"over@example.org", OVER, skip=Skip.EXEMPT_CLIENT)),
        client=EXEMPT_CLIENT,
    ),
    Case(
        "an exempt client with IPv6",
        (Rcpt(b"nobody@example.org", UNKNOWN, skip=Skip.EXEMPT_CLIENT),),
        client=EXEMPT_CLIENT_IPV6,
    ),
    Case("another client with IPv6", (FRED, NOBODY), client="2001:db9::25"),
    Case("an authenticated client's outbound mail", (OUTSIDE,), login="alice"),
    Case(
        "an authenticated client and our own",
        (FRED, Rcpt(b"nobody@example.org", UNKNOWN, skip=Skip.AUTHENTICATED)),
        login="alice",
    ),
)

_SENDERS = (
    Case("the null sender to nobody", (NOBODY,), sender=NULL),
    Case("the null sender, over quota", (FULL,), sender=NULL),
    Case(
        "the null sender while the store is damaged",
        (BROKEN_LENIENT,),
        sender=NULL,
    ),
    Case("an MTA's probe of nobody", (NOBODY,), sender=PROBE),
    Case("an MTA's probe of a mailbox", (FRED, SEE_ONLY), sender=PROBE),
    Case(
        "an MTA's probe, over quota",
        (FULL_LENIENT,),
        sender=PROBE,
    ),
    Case(
        "an MTA's probe with a time",
        (FULL_LENIENT,),
        sender=PROBE_WITH_TIME,
    ),
    Case(
        "an MTA's probe while the store is damaged",
        (BROKEN_LENIENT,),
        sender=PROBE,
    ),
)

_SIZES = (
    Case("a size that fits", (TIGHT,), size=10 * 1024),
    Case("a size larger than the free quota", (TIGHT_REFUSED,), size=10 * 1024 + 1),
    Case("a size, and over quota already", (FULL,), size=1),
    Case("a size without a quota", (FRED,), size=5_000_000),
    Case("size 0 is not a size", (TIGHT,), size=0),
    Case("a size and several recipients", (FRED, TIGHT_REFUSED, NOBODY), size=20_000),
    Case("a size and a quota of messages", (Rcpt(b"counted@example.org"),), size=20_000),
    Case("a message that fits", (TIGHT,), message=2_000),
    Case("a message larger than the free quota", (TIGHT_REFUSED,), message=20_000),
)

_UTF8 = (
    Case("UTF-8", (FRED_UTF8,), smtputf8=True),
    Case(
        "UTF-8 of nobody",
        (Rcpt("nobödy@example.org".encode(), Kind.BAD_ADDRESS), FULL, FRED),
        smtputf8=True,
    ),
    Case("not UTF-8", (Rcpt(b"nob\xffody@example.org", Kind.BAD_ADDRESS, by_mta=_NOT_UTF8), FRED)),
)

_COMMANDS = (
    Case("different verdicts in one mail", (FRED, NOBODY, FULL, SEE_ONLY, DENIED_USER, ANNA)),
    Case("the same recipient again", (NOBODY, FRED, NOBODY, FRED)),
    Case("pipelined", (FULL, FRED, BROKEN, NOBODY, ANNA, SEE_ONLY), Flow.PIPELINED),
    Case("pipelined with a size", (TIGHT_REFUSED, FRED), Flow.PIPELINED, size=20_000),
    Case("RSET", (FRED, NOBODY, FULL), Flow.RSET),
    Case("RSET with a size", (TIGHT_REFUSED, FRED), Flow.RSET, size=20_000),
    Case("two mails", (FRED, NOBODY, FULL), Flow.TWO_MAILS),
    Case("two mails to several", (ANNA, SEE_ONLY, FRED), Flow.TWO_MAILS),
    Case("VRFY", (FRED,), Flow.VRFY),
    Case("VRFY of nobody", (NOBODY, FRED), Flow.VRFY),
    Case("VRFY, over quota", (FULL,), Flow.VRFY),
)

_SINGLE = {**VERDICTS, **_ADDRESSES, **_NOT_JUDGED}
CASES: tuple[Case, ...] = (
    *(Case(name, (rcpt,)) for name, rcpt in _SINGLE.items()),
    *_CLIENTS,
    *_SENDERS,
    *_SIZES,
    *_UTF8,
    *_COMMANDS,
)
