"""Connections to SQL servers: shared, few, given back, and never waited for beyond the deadline."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from gateway.cyrus.db.sqlserver import connections as sql_pool
from gateway.cyrus.db.sqlserver.connections import SqlPool, SqlSession
from gateway.cyrus.db.sqlserver.location import ANSWER_SECONDS, Host, SqlServer, TooManyConnections
from gateway.errors import DatabaseUnavailable

from .sqlworld import World

GONE = DatabaseUnavailable("server", "it is gone")
FULL = TooManyConnections("a", "sorry, too many clients already")
ASK = ("SELECT", (b"k",))
ROWS = [(b"k", b"v", b"k")]


def ask(pool: SqlPool, world: World) -> list[tuple[object, ...]]:
    """One question with all of its time."""
    return list(pool.rows(*ASK, world.now + ANSWER_SECONDS))


def test_one_connection_serves_questions_that_come_one_by_one() -> None:
    """It is opened by the first, at the first host."""
    world = World()
    pool = world.pool()
    assert world.tried == []
    for _ in range(3):
        assert ask(pool, world) == ROWS
    assert [name for name, _ in world.tried] == ["a"]
    assert pool.open == world.open == 1


def test_the_next_host_is_tried_with_its_share_of_the_time() -> None:
    """A host that is down does not use up the time of the others."""
    world = World()
    world.refuse("a")
    assert ask(world.pool(), world) == ROWS
    assert world.tried == [("a", ANSWER_SECONDS / 2), ("b", ANSWER_SECONDS)]


def test_a_host_that_has_failed_comes_last_for_a_while() -> None:
    """For every engine alike; then the first one is the first again."""
    world = World()
    world.refuse("a")
    pool = world.pool()
    ask(pool, world)
    pool.close()
    ask(pool, world)
    assert [name for name, _ in world.tried] == ["a", "b", "b"]
    world.down = {}
    world.now += sql_pool.RETURN_SECONDS
    ask(pool, world)
    assert [name for name, _ in world.tried] == ["a", "b", "b", "a"]
    assert world.open == 1


def test_a_connection_to_the_first_host_is_kept_and_one_to_another_for_a_while() -> None:
    """The first one is where an administrator wants us."""
    world = World()
    pool = world.pool()
    ask(pool, world)
    world.now += 2 * sql_pool.RETURN_SECONDS
    ask(pool, world)
    assert [name for name, _ in world.tried] == ["a"]
    world = World()
    world.refuse("a")
    pool = world.pool()
    for _ in range(3):
        ask(pool, world)
        world.now += sql_pool.RETURN_SECONDS / 3 - 1
    assert [name for name, _ in world.tried] == ["a", "b"]


def test_a_connection_that_broke_is_replaced_unseen() -> None:
    """The question is asked once more, on a new connection."""
    world = World()
    pool = world.pool()
    ask(pool, world)
    world.faults = [GONE]
    world.refuse("a")
    assert ask(pool, world) == ROWS
    assert [name for name, _ in world.tried] == ["a", "b"]
    assert world.open == 1


def test_a_kept_connection_that_hangs_leaves_time_for_the_next_host() -> None:
    """It has half of the time."""
    world = World()
    pool = world.pool()
    ask(pool, world)
    until = world.now + ANSWER_SECONDS

    def hang() -> None:
        if len(world.asked) == 2:
            world.now += ANSWER_SECONDS / 2 + 0.1

    world.before = hang
    assert list(pool.rows(*ASK, until)) == ROWS
    assert world.left == [ANSWER_SECONDS, ANSWER_SECONDS / 2, until - world.now]
    ((name, left),) = world.tried[1:]
    assert name == "b"
    assert left == pytest.approx((until - world.now) / 2)
    assert world.now < until


def test_a_question_that_fails_twice_is_a_fault_and_the_next_is_a_new_one() -> None:
    """A fault is never an answer, and it does not last."""
    world = World()
    pool = world.pool()
    ask(pool, world)
    world.faults = [GONE, GONE]
    with pytest.raises(DatabaseUnavailable, match="gone"):
        ask(pool, world)
    assert world.open == pool.open == 0
    assert ask(pool, world) == ROWS


def test_a_new_connection_that_breaks_is_a_fault() -> None:
    """It was not idle, so another one would be no better."""
    world = World()
    pool = world.pool()
    world.faults = [GONE]
    with pytest.raises(DatabaseUnavailable, match="gone"):
        ask(pool, world)
    assert len(world.tried) == len(world.asked) == 1
    assert pool.open == 0


def test_a_question_whose_time_is_over_is_not_asked_again() -> None:
    """No second try where the deadline is over."""
    world = World()
    pool = world.pool()
    ask(pool, world)

    def pass_time() -> None:
        world.now += ANSWER_SECONDS

    world.faults = [GONE]
    world.before = pass_time
    with pytest.raises(DatabaseUnavailable, match="gone"):
        ask(pool, world)
    assert len(world.tried) == 1


def test_servers_that_are_all_down_rest_for_a_moment() -> None:
    """A caller that asks meanwhile knows at once, with every host's reason; then they are tried again."""
    world = World()
    world.refuse("a", "b")
    pool = world.pool()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match=r"a: refused; b: refused"):
            ask(pool, world)
    assert len(world.tried) == 2
    world.now += sql_pool.REST_SECONDS
    world.down = {}
    assert ask(pool, world) == ROWS


def test_a_server_without_others_is_named_once() -> None:
    """There is no other that the reason could be of."""
    world = World()
    world.refuse("a")
    with pytest.raises(DatabaseUnavailable, match=r"^pgsql://a/cyrus: refused$"):
        ask(world.pool(SqlServer("pgsql", "cyrus", (Host("a"),))), world)


@pytest.mark.parametrize("fault", [FULL, DatabaseUnavailable("a", "refused")])
def test_who_gets_no_connection_waits_for_one_that_others_have(fault: Exception) -> None:
    """A server without a connection for us is there for those who have one."""
    world = World()
    pool = world.pool(SqlServer("pgsql", "cyrus", (Host("a"),)))
    other = pool._borrow(world.now + 1)
    world.down = {"a": fault}
    until = world.now + ANSWER_SECONDS

    def give_back() -> None:
        if world.now > until - 2:
            world.paused = None
            pool._give_back(other)

    world.paused = give_back
    assert list(pool.rows(*ASK, until)) == ROWS
    assert world.open == 1
    # It was tried again all the time, and not too often.
    most = (ANSWER_SECONDS - 2) / sql_pool.AGAIN_SECONDS
    assert most / 2 < len(world.tried) - 1 <= most + 1


def test_a_server_that_is_full_is_asked_again_until_the_time_is_over() -> None:
    """Others give theirs back, as a generation that leaves does."""
    world = World()
    pool = world.pool(SqlServer("pgsql", "cyrus", (Host("a"),)))
    world.down = {"a": FULL}
    until = world.now + ANSWER_SECONDS + sql_pool.PAUSE / 2
    with pytest.raises(DatabaseUnavailable, match="too many clients"):
        pool.rows(*ASK, until)
    assert world.now == pytest.approx(until)

    def relent() -> None:
        world.down = {}

    world.paused = relent
    assert ask(pool, world) == ROWS


def test_no_more_connections_than_its_size() -> None:
    """One more question waits in vain, and says so."""
    world = World()
    pool = world.pool(size=2)
    borrowed = [pool._borrow(world.now + 1) for _ in range(2)]
    with pytest.raises(DatabaseUnavailable, match="too many wait"):
        ask(pool, world)
    assert world.open == 2
    for each in borrowed:
        pool._give_back(each)
    assert ask(pool, world) == ROWS


def test_a_generation_that_leaves_gives_its_connections_back() -> None:
    """All but one, with which it answers those who are still there: others may take the rest."""
    world = World()
    pool = world.pool()
    used, *idle = (pool._borrow(world.now + 1) for _ in range(4))
    for each in idle:
        pool._give_back(each)
    pool.retire()
    assert world.open == 2
    rest = pool._borrow(world.now + 1)
    with pytest.raises(DatabaseUnavailable, match="too many wait"):
        ask(pool, world)
    assert len(world.tried) == 4
    pool._give_back(rest)
    pool._give_back(used)
    assert world.open == pool.open == 1
    world.refuse("a", "b")
    assert ask(pool, world) == ROWS
    assert world.open == 1


def test_connections_that_nobody_needs_are_closed() -> None:
    """The one that was used last serves the next question, so others grow old."""
    world = World()
    pool = world.pool()
    one, other = (pool._borrow(world.now + 1) for _ in range(2))
    pool._give_back(one)
    pool._give_back(other)
    world.now += sql_pool.MAX_IDLE_TIME - 1
    ask(pool, world)
    pool.sweep()
    assert world.open == 2
    world.now += 2
    pool.sweep()
    assert world.open == 1
    world.now += sql_pool.MAX_IDLE_TIME
    pool.sweep()
    assert world.open == pool.open == 0


def test_what_is_given_back_while_others_are_looked_at_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another thread, just when the last one has been looked at."""
    world = World()
    pool = world.pool()
    busy, idle = (pool._borrow(world.now + 1) for _ in range(2))
    pool._give_back(idle)
    really = pool._pop

    def pop(place: int = -1) -> sql_pool._PooledConnection | None:
        found = really(place)
        if found is None:
            monkeypatch.undo()
            pool._give_back(busy)
        return found

    monkeypatch.setattr(pool, "_pop", pop)
    pool.sweep()
    assert pool._idle == [idle, busy]


def test_a_listing_that_nobody_finishes_costs_its_connection() -> None:
    """The rest of its rows would be the next question's answer."""
    world = World()
    world.records = {b"a": b"1", b"b": b"2"}
    pool = world.pool()
    assert list(pool.stream(*ASK)) == [(b"a", b"1"), (b"b", b"2")]
    assert world.open == 1
    rows = pool.stream(*ASK)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert world.open == pool.open == 0


def test_all_statements_of_a_question_have_one_deadline() -> None:
    """Without a question each has its own."""
    world = World()
    session = SqlSession(world.pool())
    session.begin(world.now)

    def slow() -> None:
        world.now += 2.0

    world.before = slow
    session.rows(*ASK)
    with pytest.raises(DatabaseUnavailable, match="deadline"):
        for _ in range(3):
            session.rows(*ASK)
    assert world.now <= 1000.0 + ANSWER_SECONDS + 2.0
    session.begin(None)
    for _ in range(4):
        session.rows(*ASK)


Found = Sequence[tuple[int, tuple[str, int]]]
NAMES: list[tuple[str, Found | OSError, list[str | None], str]] = [
    ("db", [(socket.AF_INET, ("192.0.2.1", 0))], ["192.0.2.1"], ""),
    (
        "db",
        [(socket.AF_INET, ("192.0.2.1", 0)), (socket.AF_INET6, ("2001:db8::1", 0))],
        ["192.0.2.1", "2001:db8::1"],
        "down",
    ),
    ("db", TimeoutError("the name db was not found in time"), [], "not found in time"),
    ("db", [], [], "no address"),
    ("", [], [None], ""),
    ("/run/postgresql", [], [None], ""),
]


@pytest.mark.parametrize("port", [None, 5433])
@pytest.mark.parametrize(("name", "found", "addresses", "problem"), NAMES)
def test_names_are_looked_up_before_the_driver_connects(
    name: str,
    found: Found | OSError,
    addresses: list[str | None],
    problem: str,
    port: int | None,
) -> None:
    """Within the deadline, and each address has its share; sockets have no name."""
    world = World()
    asked: list[tuple[str, int, float]] = []

    def lookup(host: str, port: int, until: float) -> Found:
        asked.append((host, port, until - world.now))
        if isinstance(found, OSError):
            raise found
        return found

    if problem == "down":
        world.down = {name: DatabaseUnavailable(name, "down")}
    server = SqlServer("pgsql", "cyrus", (Host(name, port),))
    pool = SqlPool(server, world.connect, lookup=lookup, clock=lambda: world.now, pause=world.pause)
    if problem:
        with pytest.raises(DatabaseUnavailable, match=problem):
            ask(pool, world)
    else:
        assert ask(pool, world) == ROWS
    assert world.addresses == addresses
    shares = [ANSWER_SECONDS / (len(addresses) - at) for at in range(len(addresses))]
    assert [left for _, left in world.tried] == shares
    assert asked == ([(name, port or 0, ANSWER_SECONDS)] if name == "db" else [])
