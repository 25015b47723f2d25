"""Files that are something else than a list."""

from __future__ import annotations

import pytest

from gateway.frontends import plaintext

LIST = b"# ours\nsales: fred\nfred@example.org fred\n"

WRONG = {
    "utf-16": ("\ufeff" + LIST.decode()).encode("utf-16-le"),
    "utf-16 without a mark": LIST.decode().encode("utf-16-be"),
    "nul": LIST + b"half a \0 block\n",
    "torn by a crash": LIST + b"\0" * 512,
    "cr": LIST.replace(b"\n", b"\r"),
    "page": b"\n <!DOCTYPE html>\n<html><body>404</body></html>\n",
    "xml": b'<?xml version="1.0"?>\n<aliases/>\n',
    "one line with cr": b"sales: fred\rinfo: fred",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_list_is_told(what: str) -> None:
    """By what is wrong with all of it."""
    assert plaintext.unusable(WRONG[what])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        LIST,
        LIST.replace(b"\n", b"\r\n"),
        LIST.rstrip(),
        "müller: fred\nßüro: fred\n".encode(),
        b"a: b\r\nc: d\n",
        b"odd\rname: fred\nsales: fred\ninfo: fred\n",
    ],
)
def test_what_is_a_list_with_or_without_mistakes_is_one(data: bytes) -> None:
    """Mistakes in lines are told line by line."""
    assert plaintext.unusable(data) is None


def test_the_mark_of_utf_8_is_no_fault() -> None:
    """Windows' editors write it; the first name must not be lost for that."""
    data = LIST.decode().encode("utf-8-sig")
    assert plaintext.unusable(data) is None
    assert plaintext.text_of(data) == LIST
