"""Listen strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import endpoints
from gateway.config.endpoints import (
    DescriptorEndpoint,
    Endpoint,
    EndpointError,
    InetEndpoint,
    UnixEndpoint,
)

GOOD: list[tuple[str, Endpoint]] = [
    ("unix:/run/x", UnixEndpoint("/run/x")),
    ("unix:/run/x?mode=0600", UnixEndpoint("/run/x", 0o600)),
    (
        "unix:/run/x?mode=0666&user=u&group=postfix",
        UnixEndpoint("/run/x", 0o666, "u", "postfix"),
    ),
    ("unix:/" + "p" * 106, UnixEndpoint("/" + "p" * 106)),
    ("inet:127.0.0.1:12345", InetEndpoint("127.0.0.1", 12345)),
    ("inet:[::1]:12345", InetEndpoint("::1", 12345)),
    ("inet:[::]:65535", InetEndpoint("::", 65535)),
    ("fd:policy", DescriptorEndpoint("policy")),
]

BAD = [
    ("", '"" names no socket; write unix:/PATH, inet:ADDRESS:PORT or fd:NAME'),
    ("/run/x", '"/run/x" names no socket; write unix:/PATH, inet:ADDRESS:PORT or fd:NAME'),
    (
        "local:/run/x",
        '"local:/run/x" names no socket; write unix:/PATH, inet:ADDRESS:PORT or fd:NAME',
    ),
    ("unix:run/x", '"unix:run/x": the path is not absolute; let it begin with /'),
    ("unix:", '"unix:": the path is not absolute; let it begin with /'),
    ("unix:/run/", '"unix:/run/": the path names no file'),
    (
        "unix:/" + "ä" * 54,
        f'"unix:/{"ä" * 54}": the path has 109 bytes and a Unix socket\'s path at most 107; '
        "choose a shorter folder, for example below /run",
    ),
    (
        "unix:/run/x?mode=rw",
        '"unix:/run/x?mode=rw": mode=rw is not a permission; write octal digits, for example mode=0660',
    ),
    (
        "unix:/run/x?mode=4755",
        '"unix:/run/x?mode=4755": mode=4755 is not a permission; write octal digits, for example '
        "mode=0660",
    ),
    (
        "unix:/run/x?owner=a",
        '"unix:/run/x?owner=a": unknown option owner; there are mode, user and group',
    ),
    (
        "unix:/run/x?mode=0600&mode=0660",
        '"unix:/run/x?mode=0600&mode=0660": mode is given twice',
    ),
    (
        "unix:/run/x?0660",
        '"unix:/run/x?0660": write what follows ? as KEY=VALUE, joined by &, for example '
        "?mode=0660&group=postfix",
    ),
    ("unix:/run/x?group=", '"unix:/run/x?group=": group= is not the name of a group'),
    (
        "inet:12345",
        '"inet:12345": write inet:ADDRESS:PORT, and an IPv6 address in brackets, for example '
        "inet:127.0.0.1:12345 or inet:[::1]:12345",
    ),
    (
        "inet:::1:12345",
        '"inet:::1:12345": write inet:ADDRESS:PORT, and an IPv6 address in brackets, for example '
        "inet:127.0.0.1:12345 or inet:[::1]:12345",
    ),
    (
        "inet:localhost:1",
        '"inet:localhost:1": "localhost" is not a numeric address; write for example 127.0.0.1 or '
        "[::1], and 0.0.0.0 or [::] for every address",
    ),
    ("inet:127.0.0.1:0", '"inet:127.0.0.1:0": the port is not between 1 and 65535'),
    ("inet:127.0.0.1:65536", '"inet:127.0.0.1:65536": the port is not between 1 and 65535'),
    (
        "fd:a b",
        '"fd:a b": write fd: and the FileDescriptorName= of the systemd socket unit',
    ),
]

CONFLICTS = [
    ("unix:/run/x", "unix:/run/x?mode=0600", True),
    ("unix:/run/x", "unix:/run//./x", True),
    ("unix:/run/x", "unix:/run/y", False),
    ("inet:127.0.0.1:1", "inet:127.0.0.1:1", True),
    ("inet:127.0.0.1:1", "inet:127.0.0.1:2", False),
    ("inet:127.0.0.1:1", "inet:127.0.0.2:1", False),
    ("inet:0.0.0.0:1", "inet:127.0.0.1:1", True),
    ("inet:[::]:1", "inet:[::1]:1", True),
    ("inet:[::]:1", "inet:127.0.0.1:1", False),
    ("inet:[::1]:1", "inet:[0:0::1]:1", True),
    ("fd:a", "fd:a", True),
    ("fd:a", "fd:b", False),
    ("fd:a", "unix:/run/x", False),
]


@pytest.mark.parametrize(("text", "endpoint"), GOOD)
def test_a_listen_string_names_one_socket(text: str, endpoint: Endpoint) -> None:
    """And the value writes itself as a string that names the same one."""
    assert endpoints.parse(text) == endpoint
    assert endpoints.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_wrong_listen_string_is_refused_with_the_mend(text: str, message: str) -> None:
    """The message shows the string, the reason and how to write it."""
    with pytest.raises(EndpointError) as caught:
        endpoints.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("one", "other", "same"), CONFLICTS)
def test_two_strings_may_mean_one_socket(one: str, other: str, same: bool) -> None:
    """A wildcard address covers the others of its family."""
    pair = endpoints.parse(one), endpoints.parse(other)
    assert endpoints.conflict(*pair) is same
    assert endpoints.conflict(pair[1], pair[0]) is same


@given(
    st.text(max_size=40)
    | st.tuples(st.sampled_from(["unix:/", "inet:", "fd:"]), st.text(max_size=20)).map("".join)
)
def test_any_text_gives_an_endpoint_or_its_error(text: str) -> None:
    """Nothing else is raised, and what is accepted can be written down."""
    try:
        endpoint = endpoints.parse(text)
    except EndpointError:
        return
    assert endpoints.parse(str(endpoint)) == endpoint
