"""Events of The ONE: what is read, what is passed over, what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import ContactPlan, TraceError
from sims.importing.the_one import OneEvents, is_one_event, read_one_events

EVENTS = """# a report
0.50 CONN 0 p1 up
1.00 CONN p1 c2 up

3.00 CONN 1 0 down
4.00 C M1 0 2 1500
5.00 S M1 0 1
8.00 CONN 0 2 up
"""


def read(folder: Path, text: str, end_s: float | None = None) -> OneEvents:
    (folder / "events.txt").write_text(text, encoding="utf-8")
    return read_one_events([folder / "events.txt"], lifetime_s=60, end_s=end_s)


def rows_of(plan: ContactPlan) -> list[tuple[float, ...]]:
    columns = (plan.start_s, plan.end_s, plan.a, plan.b)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_reads_connections_messages_and_names(tmp_path: Path) -> None:
    found = read(tmp_path, EVENTS)
    assert rows_of(found.plan) == [(0.5, 3, 0, 1), (1, 8, 1, 2)]
    assert found.labels == ("node 0", "p1", "c2")
    assert found.workload.names == ("M1",)
    assert found.workload.created_s.tolist() == [4.0]
    assert found.workload.size_bytes.tolist() == [1500]
    assert found.workload.lifetime_s.tolist() == [60.0]
    # The transfer, and the connection that came up with the last event.
    assert found.skipped == 2


def test_open_connections_end_where_it_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, EVENTS, end_s=10)
    assert rows_of(found.plan) == [(0.5, 3, 0, 1), (1, 10, 1, 2), (8, 10, 0, 2)]
    with pytest.raises(TraceError, match=r"events until 8\.0 s"):
        read(tmp_path, EVENTS, end_s=7)


def test_passes_over_what_comes_twice_or_never_began(tmp_path: Path) -> None:
    lines = ["0 CONN 3 4 down", "1 CONN 0 1 up", "2 CONN 1 0 up", "3 CONN 0 1 down"]
    found = read(tmp_path, "\n".join([*lines, "3 CONN 0 1 down", "4 CONN 0 1 up"]))
    assert rows_of(found.plan) == [(1, 3, 0, 1)]
    assert found.skipped == 4
    assert found.plan.nodes == 5


def test_reads_connections_and_messages_from_two_files(tmp_path: Path) -> None:
    one, other = tmp_path / "a.txt", tmp_path / "b.txt"
    one.write_text("2 CONN 0 1 up\n9 CONN 0 1 down\n")
    other.write_text("1 C x 0 1 10\n7 C y n5 0 10 20\n")
    found = read_one_events([one, other], lifetime_s=5, priority=2)
    assert found.workload.names == ("x", "y")
    assert found.workload.priority.tolist() == [2, 2]
    assert found.plan.nodes == 6
    with pytest.raises(TraceError, match="has a host 5, but there are 3 nodes"):
        read_one_events([one, other], lifetime_s=5, nodes=3)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x CONN 0 1 up", "begins with a time"),
        ("-1 CONN 0 1 up", "begins with a time"),
        ("inf CONN 0 1 up", "begins with a time"),
        ("0 CONN 0 1 up", "earlier than the line before"),
        ("2", "names no event"),
        ("2 CONN 0 1", "a connection is"),
        ("2 CONN 0 1 sideways", "a connection is"),
        ("2 CONN 0 0 up", "does not connect to itself"),
        ("2 CONN zero 1 up", "is no host"),
        ("2 CONN 0 4000000 up", "is no host"),
        ("2 CONN 0 c1 up", "the same number"),
        ("2 C m 0 1", "a new message is"),
        ("2 C m 0 1 0", "between 1 byte"),
        ("2 C m 0 1 1.5", "between 1 byte"),
        ("2 C m 0 1 big", "number of bytes"),
        ("2 C m 1 1 5", "write to itself"),
        ("2 C m,n 0 1 5", "no comma"),
        ("2 C M 0 1 5", "two messages are called 'M'"),
        ("2 MOVE 0 1", "is no event"),
    ],
)
def test_says_which_line_is_wrong(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read(tmp_path, f"# first\n1 CONN 0 p1 up\n1 C M 0 1 5\n{line}\n")
    assert caught.value.place == f"{tmp_path / 'events.txt'} line 4"


def test_says_which_line_is_no_text_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    for raw in (b"1 CONN 0 1 up\n\xff", b"1 CONN 0 1 up\n" + b"9" * 20_000):
        path.write_bytes(raw)
        with pytest.raises(TraceError, match="line 2"):
            read_one_events([path], lifetime_s=5)
    with pytest.raises(TraceError, match="cannot be read"):
        read_one_events([tmp_path / "none.txt"], lifetime_s=5)


def test_knows_its_own_lines() -> None:
    assert is_one_event("0.10 CONN 1 2 up")
    assert is_one_event("7 C M1 1 2 500")
    assert not is_one_event("t_start,t_end,a,b")
    assert not is_one_event("$GPRMC,1")


@given(st.binary(max_size=200))
def test_any_bytes_give_events_or_the_named_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("one") / "events.txt"
    path.write_bytes(b"1 CONN 0 1 up\n" + raw)
    with suppress(TraceError):
        read_one_events([path], lifetime_s=5)
