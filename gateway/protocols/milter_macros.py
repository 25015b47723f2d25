"""What an MTA has told of macros: which value a step sees.

Source: libmilter's engine.c (mi_clr_macros) and smfi.c (smfi_getsymval).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.protocols.milter import Macros


class MacroTable:
    """What an MTA has told of macros until now, as libmilter keeps them.

    Macros belong to the step that they came before, and stay until the MTA
    tells others for such a step, or a step before it comes again; a step sees
    those of earlier steps, too (engine.c, mi_clr_macros; smfi.c, smfi_getsymval).
    Those of steps that are not known are left out.
    """

    __slots__ = ("_read", "_told")

    def __init__(self) -> None:
        self._told = [b""] * len(_STAGES)
        self._read = _NOTHING.copy()

    def tell(self, macros: Macros) -> None:
        """The MTA tells macros."""
        stage = _STAGES.get(macros.command)
        if stage is not None and b"\0" in macros.data:
            self._told[stage] = macros.data
            self._read[stage] = None  # when they are asked for

    def step(self, command: bytes) -> None:
        """A step comes: what was told of later ones is of the past."""
        later = _LATER.get(command)
        if later is not None:
            self._read[later:] = _NOTHING[later:]

    def clear(self) -> None:
        """Nothing has been told."""
        self._read = _NOTHING.copy()

    def value(self, name: str) -> bytes:
        """The value of a macro, `i` or `{rcpt_mailer}`; empty where it is not told."""
        key = name.encode()
        for stage in _BACKWARDS:
            known = self._read[stage]
            if known is None:
                known = self._read[stage] = _values(self._told[stage])
            if key in known:
                return known[key]
        return b""


# The stages in their order, by the command that their macros come with.
_STAGES = {bytes((command,)): stage for stage, command in enumerate(b"CHMRTEN")}
_BACKWARDS = tuple(reversed(range(len(_STAGES))))
_NOTHING: list[dict[bytes, bytes] | None] = [{} for _ in _STAGES]
# The first stage whose macros are of the past when a command comes; the other commands leave
# all macros alone.
_LATER = {command: _STAGES[command] + 1 for command in (b"C", b"H", b"M", b"R")}


def _values(data: bytes) -> dict[bytes, bytes]:
    """Values by name; names of one letter are without braces, and the first of two counts."""
    words = data.split(b"\0")[:-1]
    if len(words) % 2:
        words.append(b"")  # a name without a value
    return {
        name[1:-1]
        if len(name) == _BRACED and name[:1] == b"{" and name[-1:] == b"}"
        else name: value
        # same with False: the number of words is even
        for name, value in zip(words[-2::-2], words[::-2], strict=True)
    }


# Bytes of a name of one letter in braces.
_BRACED = 3
