"""Addresses in the forms that SMTP clients, milters and Postfix write them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.address import (
    BAD_DOMAIN,
    BRACKETS,
    CONTROL,
    EMPTY,
    MAX_LENGTH,
    NO_DOMAIN,
    NO_LOCAL_PART,
    PROBLEMS,
    QUOTES,
    ROUTE,
    SPECIAL,
    TOO_LONG,
    Address,
    BadAddress,
    bare,
    is_domain,
    parse_bare,
    parse_path,
)

# argument, address, domain
PATHS = [
    (b"<fred@example.org>", b"fred@example.org", b"example.org"),
    (b"fred@example.org", b"fred@example.org", b"example.org"),
    (b" <fred@example.org>\t", b"fred@example.org", b"example.org"),
    (b"< fred@example.org >", b"fred@example.org", b"example.org"),
    (b"<Fred@EXAMPLE.Org>", b"Fred@EXAMPLE.Org", b"example.org"),
    (b"<fred@example.org.>", b"fred@example.org", b"example.org"),
    (b"<postmaster>", b"postmaster", b""),
    (b"postmaster", b"postmaster", b""),
    (b"<fred+Folder.Sub@example.org>", b"fred+Folder.Sub@example.org", b"example.org"),
    (b"<+shared@example.org>", b"+shared@example.org", b"example.org"),
    (b"<fred.@example.org>", b"fred.@example.org", b"example.org"),
    (b"<SRS0=x=y=z=fred@example.org>", b"SRS0=x=y=z=fred@example.org", b"example.org"),
    (b"<o'neil@example.org>", b"o'neil@example.org", b"example.org"),
    (b'<"fred"@example.org>', b"fred@example.org", b"example.org"),
    (b'<"a b"@example.org>', b"a b@example.org", b"example.org"),
    (b'<"a@b"@example.org>', b"a@b@example.org", b"example.org"),
    (b'<"a>b"@example.org>', b"a>b@example.org", b"example.org"),
    (b'<"a\\"b\\\\c"@example.org>', b'a"b\\c@example.org', b"example.org"),
    (b'<a."b c".d@example.org>', b"a.b c.d@example.org", b"example.org"),
    (b"<a\\ b@example.org>", b"a b@example.org", b"example.org"),
    (b"<a\\@b@example.org>", b"a@b@example.org", b"example.org"),
    (b"<a@b@example.org>", b"a@b@example.org", b"example.org"),
    (b'<"postmaster">', b"postmaster", b""),
    (b"<@a.example:fred@example.org>", b"fred@example.org", b"example.org"),
    (b"<@a,@b:user@c>", b"user@c", b"c"),
    (b"@a,@b:user@c", b"user@c", b"c"),
    (b"<@[192.0.2.1]:user@c>", b"user@c", b"c"),
    (b"<fred@[192.0.2.1]>", b"fred@[192.0.2.1]", b"[192.0.2.1]"),
    (b"<fred@[IPv6:2001:DB8::1]>", b"fred@[IPv6:2001:DB8::1]", b"[ipv6:2001:db8::1]"),
    (b"<fred@xn--bcher-kva.example>", b"fred@xn--bcher-kva.example", b"xn--bcher-kva.example"),
    (b"<j\xc3\xbcrgen@b\xc3\xbccher.example>", b"j\xc3\xbcrgen@b\xc3\xbccher.example", b"b\xc3\xbccher.example"),
    (b"<j\xfcrgen@example.org>", b"j\xfcrgen@example.org", b"example.org"),
    (b"<fred@my_host>", b"fred@my_host", b"my_host"),
]  # fmt: skip

BAD_PATHS = [
    (b"", EMPTY, b""),
    (b"<>", EMPTY, b""),
    (b"< >", EMPTY, b""),
    (b"<@a:>", EMPTY, b""),
    (b"<" + b"x" * MAX_LENGTH + b"@example.org>", TOO_LONG, b"example.org"),
    (b"<fr\0ed@example.org>", CONTROL, b"example.org"),
    (b"<fred@example.org>\r\nDATA", CONTROL, b""),
    (b"<fr\x7fed@example.org>", CONTROL, b"example.org"),
    (b"<fred@example.org", BRACKETS, b"example.org"),
    (b"<fred@example.org> SIZE=1", BRACKETS, b""),
    (b"fred@example.org>", BRACKETS, b"example.org"),
    (b"<", BRACKETS, b""),
    (b">", BRACKETS, b""),
    (b"a>b", SPECIAL, b""),
    (b"<<fred@example.org>>", SPECIAL, b"example.org"),
    (b"Fred <fred@example.org>", BRACKETS, b"example.org"),
    (b"<fred(comment)@example.org>", SPECIAL, b"example.org"),
    (b"<a b@example.org>", SPECIAL, b"example.org"),
    (b"<a,b@example.org>", SPECIAL, b"example.org"),
    (b"<@a,@b>", ROUTE, b"b"),
    (b"<@>", ROUTE, b""),
    (b"<@a,b:user@c>", ROUTE, b"c"),
    (b"<@:user@c>", ROUTE, b"c"),
    (b'<"fred@example.org>', QUOTES, b"example.org"),
    (b"<fred@example.org\\>", QUOTES, b""),
    (b'<""@example.org>', NO_LOCAL_PART, b"example.org"),
    (b'<"">', NO_LOCAL_PART, b""),
    (b"<@a:@example.org>", NO_LOCAL_PART, b"example.org"),
    (b"<fred@>", NO_DOMAIN, b""),
    (b"<fred@.>", NO_DOMAIN, b""),
    (b"<fred@example..org>", BAD_DOMAIN, b""),
    (b"<fred@example.org..>", BAD_DOMAIN, b"example.org"),
    (b"<fred@.example.org>", BAD_DOMAIN, b""),
    (b"<fred@exam ple.org>", BAD_DOMAIN, b""),
    (b"<fred@[192.0.2.1>", BAD_DOMAIN, b""),
    (b"<fred@[]>", BAD_DOMAIN, b""),
    (b"<fred@[a[b]>", BAD_DOMAIN, b""),
]


@pytest.mark.parametrize(("argument", "address", "domain"), PATHS)
def test_a_path_has_an_address(argument: bytes, address: bytes, domain: bytes) -> None:
    """The bare address is what Cyrus is asked; its domain is ready to be compared."""
    found = parse_path(argument)
    assert isinstance(found, Address)
    assert (found.address, found.domain) == (address, domain)
    assert found.address == (found.local + address[len(found.local) :])


@pytest.mark.parametrize(("argument", "problem", "domain"), BAD_PATHS)
def test_what_is_not_an_address_says_why(argument: bytes, problem: str, domain: bytes) -> None:
    """What is not an address says why, and which domain it claims where that can be seen."""
    assert parse_path(argument) == BadAddress(problem, domain)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (b"example.org", True),
        (b"a_b-1", True),
        (b"\x80.\xff", True),
        (b"a b", False),
        (b"", False),
        (b".a", False),
        (b"[1]", True),
        (b"[192.0.2.1]", True),
        (b"[!~]", True),
        (b"[]", False),
        (b"[", False),
        (b"[1", False),
        (b"[ 1]", False),
        (b"[1 ]", False),
        (b"[\x7f1]", False),
        (b"[1\x7f]", False),
        (b"[[1]", False),
        (b"[1]]", False),
        (b"[\\]", False),
        (b"[\x80]", False),
    ],
)
def test_what_is_a_domain(domain: bytes, expected: bool) -> None:
    """Labels, of which none is empty, or an address literal."""
    assert is_domain(domain) is expected


def test_every_problem_stands_in_the_table() -> None:
    """The table of bad paths has a case for each problem."""
    assert {problem for _, problem, _ in BAD_PATHS} == set(PROBLEMS)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (b"fred@example.org", Address(b"fred@example.org", b"example.org", b"fred")),
        (b"Fred@Example.org.", Address(b"Fred@Example.org", b"example.org", b"Fred")),
        (b"postmaster", Address(b"postmaster", b"", b"postmaster")),
        (b"a b@example.org", Address(b"a b@example.org", b"example.org", b"a b")),
        (b'a"b@example.org', Address(b'a"b@example.org', b"example.org", b'a"b')),
        (b"a@b@example.org", Address(b"a@b@example.org", b"example.org", b"a@b")),
        (b"a\\b@[192.0.2.1]", Address(b"a\\b@[192.0.2.1]", b"[192.0.2.1]", b"a\\b")),
        (b"<fred>@example.org", Address(b"<fred>@example.org", b"example.org", b"<fred>")),
        (b"", BadAddress(EMPTY)),
        (b"@example.org", BadAddress(NO_LOCAL_PART, b"example.org")),
        (b"fred@", BadAddress(NO_DOMAIN)),
        (b"fred@a..b", BadAddress(BAD_DOMAIN)),
        (b"fr\ned@example.org", BadAddress(CONTROL, b"example.org")),
        (b"x" * MAX_LENGTH, Address(b"x" * MAX_LENGTH, b"", b"x" * MAX_LENGTH)),
        (b"x" * (MAX_LENGTH + 1), BadAddress(TOO_LONG)),
        (b"x@" + b"d" * MAX_LENGTH, BadAddress(TOO_LONG, b"d" * MAX_LENGTH)),
        (b"x@" + b"d" * (MAX_LENGTH + 1), BadAddress(TOO_LONG)),
    ],
)
def test_a_bare_address_keeps_quotes_and_backslashes(
    address: bytes, expected: Address | BadAddress
) -> None:
    """A bare address keeps its quotes and backslashes: they are characters of the name."""
    assert parse_bare(address) == expected


@given(st.one_of(st.binary(max_size=60), st.text('<>@"\\ ,:[]().ab', max_size=25).map(str.encode)))
def test_closed_set_of_outcomes(argument: bytes) -> None:
    """Any bytes give an address with sound parts, or one of the known problems."""
    for found in (parse_path(argument), parse_bare(argument)):
        if isinstance(found, BadAddress):
            assert found.problem in PROBLEMS
        else:
            assert found.local
            assert found.domain == found.domain.lower()
            ending = b"@" + found.domain if found.domain else b""
            assert found.address.lower() == (found.local + ending).lower()
        assert len(found.domain) <= MAX_LENGTH


@given(st.binary(min_size=1, max_size=30).filter(lambda b: all(c >= 32 and c != 127 for c in b)))
def test_quoting_is_undone(local: bytes) -> None:
    """Whatever a local part holds, its quoted form is read as that local part."""
    quoted = local.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    found = parse_path(b'<"' + quoted + b'"@example.org>')
    assert found == Address(local + b"@example.org", b"example.org", local)


@pytest.mark.processes
def test_addresses_need_no_slow_module() -> None:
    """Reading an address needs none of the slow standard modules."""
    program = (
        "import sys; sys.path.insert(0, '.');"
        "import gateway.protocols.address, gateway.protocols.policy;"
        "print(sorted({'dataclasses', 're', 'enum', 'inspect', 'typing', 'logging'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("text", [b"fred@x", b" <fred@x> ", b"<fred@x>", b"\tfred@x\n"])
def test_an_address_as_people_write_it(text: bytes) -> None:
    """Blanks and angle brackets are not part of it."""
    assert bare(text) == b"fred@x"
    assert bare(b"<>") == b""
    assert bare(b"<fred") == b"<fred"
