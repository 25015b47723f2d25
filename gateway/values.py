"""Frozen values without the start-up cost of `dataclasses`.

`smmapd` on standard input answers within milliseconds of its exec; importing
`dataclasses` (and through it `inspect` and `re`) would double that.  What the
look-up path needs of it is small and stands here: named fields in
`__slots__`, equality, hash, repr, and no assignment after construction.

A subclass names its fields in `__slots__` and annotates them; its `__init__`
takes them in that order, by position or by name, and calls `self._freeze`.
"""

from __future__ import annotations


class Value:
    """The base of all small values of the look-up path; immutable once made."""

    __slots__: tuple[str, ...] = ()

    def _freeze(self, *values: object) -> None:
        """Set the fields of `__slots__` in order; called once, by `__init__`."""
        put = object.__setattr__
        for name, value in zip(self.__slots__, values, strict=True):
            put(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def _fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({inner})"
