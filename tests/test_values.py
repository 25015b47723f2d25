"""Small frozen values."""

from __future__ import annotations

import pytest

from gateway.values import Value


class Point(Value):
    """Two numbers."""

    __slots__ = ("x", "y")
    x: int
    y: int

    def __init__(self, x: int, y: int = 0) -> None:
        self.x = x
        self.y = y
        self._freeze()


class Other(Value):
    """The same fields, and another type."""

    __slots__ = ("x", "y")
    x: int
    y: int

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y
        self._freeze()


def test_values_of_one_type_are_equal_by_their_fields() -> None:
    """And equal values have equal hashes, so that they can be keys."""
    assert Point(1, 2) == Point(1, y=2)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert {Point(1): "a"}[Point(1, 0)] == "a"
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != Other(1, 2)
    assert Point(1, 2) != (1, 2)


def test_values_cannot_be_changed() -> None:
    """Neither a field that there is nor one that there is not."""
    point = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x is read-only"):
        point.x = 2
    with pytest.raises(AttributeError, match=r"Point\.z is read-only"):
        setattr(point, "z", 2)  # noqa: B010  (mypy knows that there is none)
    with pytest.raises(AttributeError, match=r"Point\.x is read-only"):
        del point.x
    assert point == Point(1)


def test_values_show_what_they_hold() -> None:
    """For logs and failing tests."""
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_a_value_is_of_its_class() -> None:
    """For code that asks for its type, its fields or its documentation."""
    point = Point(1)
    assert isinstance(point, Point)
    assert type(point) is type(Point(2))
    assert type(point).__name__ == "Point"
    assert point.__slots__ == ("x", "y")
    assert not hasattr(point, "__dict__")


def test_every_field_must_be_set() -> None:
    """A constructor that forgets one is a defect that shows at once."""
    with pytest.raises(TypeError, match=r"Broken.__init__ does not assign b"):

        class Broken(Value):
            __slots__ = ("a", "b")

            def __init__(self) -> None:
                self.a = 1
                self._freeze()
