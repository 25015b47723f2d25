"""Settings about other servers: remote stores, the Murder, TLS, and who may connect."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.config.choices import Order, TlsVersion, Unreachable
from gateway.config.endpoints import InetEndpoint
from gateway.config.locations import Location, Protocol
from gateway.upstream.address import InetAddress, UnixAddress
from tests.config.test_loader import ON, load, problems

SOCKETMAP, LMTP = Protocol.SOCKETMAP, Protocol.LMTP

STORES = [
    ('"cyrus"', ()),
    ('"socketmap://mx:12346"', (Location(SOCKETMAP, InetAddress("mx", 12346)),)),
    ('"socketmap://mx"', (Location(SOCKETMAP, InetAddress("mx", 12345)),)),
    ('"socketmap+tls://mx:1"', (Location(SOCKETMAP, InetAddress("mx", 1), tls=True),)),
    ('"socketmap:unix:/run/s"', (Location(SOCKETMAP, UnixAddress("/run/s")),)),
    ('"lmtp://[::1]"', (Location(LMTP, InetAddress("::1", 24)),)),
    ('"lmtp://::1"', (Location(LMTP, InetAddress("::1", 24)),)),
    (
        '["lmtp://192.0.2.1:24", "lmtp:unix:/run/l"]',
        (Location(LMTP, InetAddress("192.0.2.1", 24)), Location(LMTP, UnixAddress("/run/l"))),
    ),
]


@pytest.mark.parametrize(("text", "store"), STORES)
def test_a_store_is_cyrus_or_servers(text: str, store: tuple[Location, ...]) -> None:
    """A string, or a list of servers; ports have defaults."""
    assert load(f"store = {text}\n{ON}").general.store == store


FORMS = (
    '"socketmap://HOST:PORT", "socketmap+tls://HOST:PORT", "lmtp://HOST:PORT", '
    '"socketmap:unix:/PATH" or "lmtp:unix:/PATH"'
)
TLS_ON = '[socketmap]\nlisten = ["inet:0.0.0.0:12346?tls=yes"]\n'
BAD = [
    ("store = 1\n" + ON, "1: store: must be a list of servers, not a whole number"),
    (
        "store = []\n" + ON,
        '1: store: is an empty list; write "cyrus", or name servers',
    ),
    (
        'store = ["cyrus", "lmtp://a"]\n' + ON,
        '1: store[0]: cyrus cannot be one of several; write store = "cyrus" alone',
    ),
    ("store = [1]\n" + ON, f"1: store[0]: must be a string such as {FORMS}"),
    (
        'store = "lmtp+tls://a"\n' + ON,
        '1: store: "lmtp+tls://a": TLS is spoken with socketmap servers over TCP only; '
        "leave +tls out",
    ),
    (
        'store = "socketmap+tls:unix:/run/s"\n' + ON,
        '1: store: "socketmap+tls:unix:/run/s": TLS is spoken with socketmap servers over TCP '
        "only; leave +tls out",
    ),
    ('store = "lmtp:host"\n' + ON, f'1: store: "lmtp:host" names no server; write {FORMS}'),
    (
        'store = "lmtp://host:99999"\n' + ON,
        "1: store: host:99999: the port is not between 1 and 65535",
    ),
    (
        'store = "lmtp://"\n' + ON,
        "1: store: : names no host; write HOST:PORT, or [2001:db8::1]:PORT",
    ),
    (
        'store = "lmtp:unix:run/l"\n' + ON,
        "1: store: unix:run/l: write unix: and the absolute path of a socket",
    ),
    (
        'store = "lmtp://unix:/run/l"\n' + ON,
        "1: store: //unix:/run/l: a Unix socket is written without //",
    ),
    (
        'store = ["lmtp://a", "lmtp://a:24"]\n' + ON,
        '1: store[1]: "lmtp://a:24" is given twice; remove one',
    ),
    (
        ON + '[murder]\nunreachable = "maybe"\n',
        '4: murder.unreachable: must be one of "ok", "tempfail", not "maybe"',
    ),
    (ON + "[remote]\ndeadline = 0\n", "4: remote.deadline: 0 is not between 0.1 and 60 seconds"),
    (ON + '[tls]\nminimum = "1.1"\n', '4: tls.minimum: must be one of "1.2", "1.3", not "1.1"'),
    (
        ON + '[tls]\nkey = "/k"\n',
        "4: tls.key: is set, and tls.certificate is not; set both or none",
    ),
    (
        TLS_ON + '[tls]\nca = "/ca"\n',
        "3: tls.certificate: a socket listens with TLS and needs a certificate; set it",
    ),
    (
        TLS_ON + '[tls]\ncertificate = "/c"\n',
        "3: tls.ca: clients must show a certificate (tls.verify_clients) and nothing says which authority signs them; set it",
    ),
    (
        ON + '[scope]\ndomains = ["a.example"]\n[policy]\nlisten = ["inet:127.0.0.1:1?tls=yes"]\n'
        '[tls]\ncertificate = "/c"\nca = "/ca"\n',
        '6: policy.listen: "inet:127.0.0.1:1?tls=yes": only socketmap sockets speak TLS; '
        "leave ?tls=yes out",
    ),
    (
        ON + 'allow = ["192.0.2.1/24"]\n',
        '3: socketmap.allow[0]: "192.0.2.1/24" has bits set behind its prefix; write "192.0.2.0/24"',
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_setting_is_refused(text: str, message: str) -> None:
    """One mistake gives one line, and the line says where, what and how to fix it."""
    assert problems(text) == [message]


def test_every_value_arrives_typed() -> None:
    """Of the tables about other servers."""
    loaded = load(
        TLS_ON + 'allow = ["192.0.2.0/24"]\n'
        '[murder]\nport = 2345\ndeadline = 2\nunreachable = "ok"\npool_size = 3\n'
        '[remote]\norder = "spread"\nserve_stale = 3600\nremember_no = 0\n'
        '[tls]\ncertificate = "/c"\nkey = "/k"\nca = "/ca"\nminimum = "1.3"\n'
    )
    assert loaded.socketmap.listen == (InetEndpoint("0.0.0.0", 12346, tls=True),)
    assert str(loaded.socketmap.listen[0]) == "inet:0.0.0.0:12346?tls=yes"
    assert loaded.socketmap.allow == (ip_network("192.0.2.0/24"),)
    murder = loaded.murder
    assert (murder.port, murder.deadline, murder.unreachable) == (2345, 2.0, Unreachable.OK)
    assert loaded.remote.order is Order.SPREAD
    assert (loaded.remote.serve_stale, loaded.remote.remember_no) == (3600.0, 0.0)
    assert loaded.tls.minimum is TlsVersion.TLS_1_3
    assert (loaded.tls.certificate, loaded.tls.key, loaded.tls.ca) == ("/c", "/k", "/ca")


@pytest.mark.parametrize("text", [text.strip('"') for text, store in STORES if len(store) == 1])
def test_a_location_can_be_written_again(text: str) -> None:
    """Its text names the same server."""
    (location,) = load(f'store = "{text}"\n{ON}').general.store
    assert load(f'store = "{location}"\n{ON}').general.store == (location,)
