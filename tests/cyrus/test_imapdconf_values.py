"""What the values of options in imapd.conf may be: tables of words and what they mean."""

from __future__ import annotations

import pytest

from gateway.cyrus.imapdconf_values import duration, kibibytes, number, port, switch, timeout

SWITCHES: list[tuple[bytes, bool | None]] = [
    *((word, False) for word in (b"0", b"n", b"no", b"nein", b"off", b"of", b"f", b"false", b"0x")),
    *((word, True) for word in (b"1", b"y", b"yes", b"on", b"one", b"t", b"true", b"10")),
    *((word, None) for word in (b"No", b"YES", b"True", b"o", b"enabled", b"2", b"-")),
]


@pytest.mark.parametrize(("word", "value"), SWITCHES)
def test_the_first_letters_of_a_switch_decide(word: bytes, value: bool | None) -> None:
    """The first letters of a switch decide, in lower case only."""
    if value is None:
        with pytest.raises(ValueError, match="neither yes nor no"):
            switch(word)
    else:
        assert switch(word) is value


@pytest.mark.parametrize(
    ("word", "value"),
    [(b"0", 0), (b"12", 12), (b"-3", -3), (b"0x10", 16), (b"010", 8), (b"2147483647", 2**31 - 1)],
)
def test_numbers_are_decimal_octal_or_hexadecimal(word: bytes, value: int) -> None:
    """Numbers are decimal, octal or hexadecimal, as strtol with base 0 takes them."""
    assert number(word) == value


@pytest.mark.parametrize("word", [b"", b"x", b"1x", b"08", b"0x", b"1_0", b"2147483648", b"--1"])
def test_what_is_not_a_number_of_32_bits_is_refused(word: bytes) -> None:
    """Whatever follows a number, or does not fit 32 bits, is refused."""
    with pytest.raises(ValueError, match=r"number|greater"):
        number(word)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b"90", 90),
        (b"15m", 900),
        (b"1h30m", 5400),
        (b"1d1", 86401),
        (b"-5m", -300),
        (b"0", 0),
        (b"2147483647", 2**31 - 1),
    ],
)
def test_durations_are_sums_of_numbers_with_units(word: bytes, value: int) -> None:
    """Durations are sums of numbers with units; seconds where none is given."""
    assert duration(word) == value


@pytest.mark.parametrize(
    "word", [b"", b"m", b"5x", b"5 m", b"-", b"-m", b"99999999d", b"2147483648"]
)
def test_what_is_not_a_duration_is_refused(word: bytes) -> None:
    """A unit without a number, an unknown unit and an overflow are refused."""
    with pytest.raises(ValueError, match=r"duration|longer"):
        duration(word)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (b"5000", 5000),
        (b"-1", -1),
        (b"+5", 5),
        (b"0x10", 16),
        (b"08", 8),
        (b"10M", 10240),
        (b"10 MiB", 10240),
        (b"2g", 2 << 20),
        (b"3KB", 3),
        (b"2048B", 2),
    ],
)
def test_sizes_are_of_kib_or_have_a_unit(word: bytes, found: int) -> None:
    """A number is of KiB, as that of every release, or has a unit, from 3.8 on."""
    assert kibibytes(word) == found


@pytest.mark.parametrize("word", [b"", b"-", b"K", b"10X", b"10iB", b"1.5G", b"9" * 30 + b"G"])
def test_what_is_not_a_size_is_refused(word: bytes) -> None:
    """A unit without a number, an unknown one and an overflow are refused."""
    with pytest.raises(ValueError, match=r"size|greater"):
        kibibytes(word)


@pytest.mark.parametrize("found", [1, 65535])
def test_ports_are_from_1_to_65535(found: int) -> None:
    """A port is from 1 to 65535."""
    assert port(b"%d" % found) == found


@pytest.mark.parametrize("word", [b"0", b"65536", b"-1", b"smtp"])
def test_what_is_not_a_port_is_refused(word: bytes) -> None:
    """0 is not a port that a server could be asked on."""
    with pytest.raises(ValueError, match=r"not a port from 1 to 65535|number"):
        port(word)


def test_a_timeout_is_a_second_or_more() -> None:
    """Less would give every server up before it is asked."""
    assert timeout(b"1") == 1
    for word in (b"0", b"-1m"):
        with pytest.raises(ValueError, match="shorter than a second"):
            timeout(word)
