"""Frozen values without the start-up cost of `dataclasses`.

`smmapd` on standard input answers within milliseconds of its exec; importing
`dataclasses` (and through it `inspect` and `re`) would double that.  What the
look-up path needs of it is small and is here: named fields in
`__slots__`, equality, hash, repr, and no assignment after construction.

A subclass names its fields in `__slots__` and annotates them; its `__init__`
assigns each of them and then calls `self._freeze`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class Value:
    """The base of all small values of the look-up path; read-only once made.

    Raises `TypeError` for a subclass whose `__init__` forgets a field.
    """

    __slots__: tuple[str, ...] = ()
    _read_only: ClassVar[Any]

    def __init_subclass__(cls, *, read_only: bool = False) -> None:
        if read_only:
            return
        cls._read_only = None  # most classes have no value in a process that answers once
        known = cls.__init__.__code__.co_names
        missing = set(cls.__slots__).difference(known)
        if missing and "setattr" not in known:
            names = ", ".join(sorted(missing))
            raise TypeError(f"{cls.__name__}.__init__ does not assign {names}")

    def _freeze(self) -> None:
        """The fields are set; called once, as the last thing in `__init__`.

        From here on the value is of a class that differs only in refusing
        assignments.  To refuse them from the start, and to set the fields past
        that, took four to eight times as long: a third of a first answer.
        """
        self.__class__ = self._read_only or _read_only_twin(type(self))

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


def _read_only_twin(cls: type[Value]) -> Any:
    """The class of `cls`' values once they are made."""
    body = {
        "__slots__": (),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }
    twin = type(cls.__name__, (cls,), body, read_only=True)
    twin.__slots__ = cls.__slots__  # type: ignore[attr-defined]  # for callers that ask for the fields
    cls._read_only = twin
    return twin


def _refuse_to_set(value: Value, name: str, _field: object) -> None:
    raise AttributeError(f"{type(value).__name__}.{name} is read-only")


def _refuse_to_delete(value: Value, name: str) -> None:
    raise AttributeError(f"{type(value).__name__}.{name} is read-only")
