"""Files that are not TOML: what the message says of them, and where."""

from __future__ import annotations

import pytest

from gateway import config
from gateway.config import ConfigurationErrors

FILE = "/etc/smmapd/gateway.toml"
NOT_TOML = [
    (
        "workers = \n",
        '1: is not TOML: Invalid value (column 11); strings are written in straight quotes ("), '
        "lists in brackets, true and false in small letters",
    ),
    (
        "a = 1\na = 2\n",
        "2: is not TOML: Cannot overwrite a value (column 6); each key is written once in a table: "
        "remove one",
    ),
    (
        "[policy]\n[policy]\n",
        "2: is not TOML: Cannot declare ('policy',) twice (column 8); each table is written once: "
        "put its settings together",
    ),
    (
        'mode: "observe"\n',
        "1: is not TOML: Expected '=' after a key in a key/value pair (column 5); write "
        'key = value, for example mode = "observe"',
    ),
    (
        "[policy\n",
        "1: is not TOML: Expected ']' at the end of a table declaration (column 8); a table is "
        "written [name]",
    ),
    (
        "# “remark”\nmode = “observe”\n",
        "2: is not TOML: Invalid value (column 8); the line has U+201C (a typographic quote) "
        "outside of a string: replace or remove it",
    ),
    (
        'ident = "a\\"“”"; x\u00a0= 1\n',
        "1: is not TOML: Expected newline or end of document after a statement (column 16); the "
        "line has U+00A0 (a no-break space) outside of a string: replace or remove it",
    ),
    (
        "\ufeffmode = 1\n",
        "1: is not TOML: Invalid statement (column 1); the line has U+FEFF (a byte order mark) "
        "outside of a string: replace or remove it",
    ),
    (
        "möde = 1\n",
        "1: is not TOML: Expected '=' after a key in a key/value pair (column 2); the line has "
        "U+00F6 (not ASCII) outside of a string: replace or remove it",
    ),
]


@pytest.mark.parametrize(("text", "message"), NOT_TOML)
def test_a_file_that_is_not_toml_is_refused_with_its_line(text: str, message: str) -> None:
    """tomllib's own position becomes the message's line."""
    with pytest.raises(ConfigurationErrors) as caught:
        config.loads(text.encode(), FILE)
    assert str(caught.value) == f"{FILE}:{message}"


def test_a_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    """The first bad byte tells the line."""
    with pytest.raises(ConfigurationErrors) as caught:
        config.loads(b"# ok\nuser = '\xe4'\n", FILE)
    assert (
        str(caught.value)
        == f"{FILE}:2: is not UTF-8, as TOML must be; save the file in that encoding"
    )
