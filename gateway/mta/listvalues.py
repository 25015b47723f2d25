"""Lists in main.cf: words between blanks and commas, where braces hold words together.

Source: postconf(5), DATABASE_README; src/util/mystrtok.c, mystrtokq.
"""

from __future__ import annotations

_BETWEEN = frozenset(" \t\r\n,")


def split(text: str) -> list[str]:
    """The words of a list; `{a, b}` is one word, also behind others as in `pipemap:{a, b}`."""
    found: list[str] = []
    word = ""
    depth = 0
    for char in text:
        if char in _BETWEEN and not depth:
            if word:
                found.append(word)
            word = ""
            continue
        depth += (char == "{") - (char == "}" and depth > 0)
        word += char
    if word:
        found.append(word)
    return found
