"""Contact plans and workloads: what is refused and where, what is joined, what files keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import (
    ContactPlan,
    TraceError,
    Workload,
    make_plan,
    make_workload,
    read_contacts,
    read_messages,
    write_contacts,
    write_messages,
)

CONTACTS = "t_start,t_end,a,b\n"
MESSAGES = "id,t,src,dst,size,ttl,prio\n"
NODES = 4


@st.composite
def contacts(draw: st.DrawFn) -> tuple[float, ...]:
    start, length = draw(st.integers(0, 20)), draw(st.integers(1, 6))
    pair = draw(st.lists(st.integers(0, NODES - 1), min_size=2, max_size=2, unique=True))
    return (start / 2, (start + length) / 2, *pair)


def rows_of(plan: ContactPlan) -> list[tuple[float, ...]]:
    columns = (plan.start_s, plan.end_s, plan.a, plan.b)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def joined_slowly(rows: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Join two rows of one pair that overlap or touch, until there are none."""
    left = {(start, end, min(a, b), max(a, b)) for start, end, a, b in rows}
    while True:
        found = next(
            (
                (one, other)
                for one in left
                for other in left
                if one != other and one[2:] == other[2:] and one[0] <= other[0] <= one[1]
            ),
            None,
        )
        if found is None:
            return sorted(left)
        one, other = found
        left -= {one, other}
        left.add((one[0], max(one[1], other[1]), *one[2:]))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@given(st.lists(contacts(), max_size=25))
def test_joins_what_overlaps_or_touches(rows: list[tuple[float, ...]]) -> None:
    plan = make_plan(NODES, np.array(rows, dtype=float))
    assert rows_of(plan) == joined_slowly(rows)
    assert plan.span_s == max((row[1] for row in rows), default=0.0)


def test_keeps_pairs_apart_whatever_their_times() -> None:
    rows = [(0.0, 1e9, 0, 1), (5.0, 6.0, 0, 2), (1e9, 1e9 + 1, 0, 2)]
    assert rows_of(make_plan(3, np.array(rows))) == rows


def test_reads_contacts_and_counts_the_nodes(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", CONTACTS + "5,8.5,3,1\n0,4,0,1\n")
    plan = read_contacts(path)
    assert plan.nodes == 4
    assert rows_of(plan) == [(0, 4, 0, 1), (5, 8.5, 1, 3)]
    assert read_contacts(path, 9).nodes == 9


def test_reads_a_file_without_a_contact(tmp_path: Path) -> None:
    plan = read_contacts(written(tmp_path / "x.csv", CONTACTS))
    assert (plan.nodes, len(plan), plan.span_s) == (1, 0, 0.0)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the first line is"),
        ("a,b,c,d\n0,1,0,1\n", 1, "the first line is"),
        (CONTACTS + "0,4,0,1\n0,4,0\n", 3, "has 3 numbers instead of 4"),
        (CONTACTS + "0,4,0,1\n0,4,0,x\n", 3, "no number"),
        (CONTACTS + "0,4,0,1\n0,4,0,nan\n", 3, "no number"),
        (CONTACTS + "0,inf,0,1\n", 2, "no number"),
        (CONTACTS + "-1,4,0,1\n", 2, "before 0"),
        (CONTACTS + "0,4,0,1\n4,4,0,1\n", 3, "ends before it starts"),
        (CONTACTS + "0,4,0,1.5\n", 2, "whole"),
        (CONTACTS + "0,4,-1,1\n", 2, "whole"),
        (CONTACTS + "0,4,2,2\n", 2, "does not meet itself"),
    ],
)
def test_says_in_which_line_a_contact_is_wrong(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = written(tmp_path / "x.csv", text)
    with pytest.raises(TraceError, match=reason) as caught:
        read_contacts(path)
    assert caught.value.place == f"{path} line {line}"


def test_says_which_node_is_too_many(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", CONTACTS + "0,4,0,1\n0,4,0,7\n")
    with pytest.raises(TraceError, match=r"line 3: node numbers are whole, from 0 to 4"):
        read_contacts(path, 5)


@pytest.mark.parametrize("nodes", [0, 1_000_001])
def test_refuses_a_number_of_nodes(nodes: int) -> None:
    with pytest.raises(TraceError, match="between 1 and 1000000 nodes"):
        make_plan(nodes, np.empty((0, 4)))


def test_says_which_row_is_wrong_where_there_is_no_file() -> None:
    with pytest.raises(TraceError, match="contacts 2: ends before it starts"):
        make_plan(3, np.array([[0, 1, 0, 1], [3, 2, 0, 1]], dtype=float))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("id,t\n", 1, "the first line is"),
        (MESSAGES + "m,0,0,1,5,9\n", 2, "has 5 numbers instead of 6"),
        (MESSAGES + "m,0,0,1,5,9,high\n", 2, "no number"),
        (MESSAGES + "m,-1,0,1,5,9,1\n", 2, "before 0"),
        (MESSAGES + "m,0,0,1,5,9,1\nn,0,0,9,5,9,1\n", 3, "whole"),
        (MESSAGES + "m,0,1,1,5,9,1\n", 2, "write to itself"),
        (MESSAGES + "m,0,0,1,0,9,1\n", 2, "size"),
        (MESSAGES + "m,0,0,1,5,0,1\n", 2, "lifetime"),
        (MESSAGES + "m,0,0,1,5,9,3\n", 2, "prio"),
    ],
)
def test_says_in_which_line_a_message_is_wrong(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = written(tmp_path / "x.csv", text)
    with pytest.raises(TraceError, match=reason) as caught:
        read_messages(path, 3)
    assert caught.value.place == f"{path} line {line}"


def test_refuses_two_messages_of_one_name(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", MESSAGES + "m,0,0,1,5,9,1\nm,1,0,1,5,9,1\n")
    with pytest.raises(TraceError, match="two messages are called 'm'"):
        read_messages(path, 3)


@pytest.mark.parametrize("raw", [b"\xff\xfe0", CONTACTS.encode("utf-16")])
def test_refuses_what_is_no_text(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    with pytest.raises(TraceError, match="UTF-8"):
        read_contacts(path)


def test_says_that_a_file_is_missing_or_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        read_contacts(tmp_path / "none.csv")
    plan = make_plan(1, np.empty((0, 4)))
    with pytest.raises(TraceError, match="cannot be written"):
        write_contacts(plan, tmp_path / "none" / "x.csv")


@given(st.lists(contacts(), max_size=10))
def test_contacts_come_back_from_a_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]
) -> None:
    path = tmp_path_factory.mktemp("plan") / "x.csv"
    plan = make_plan(NODES, np.array(rows, dtype=float))
    write_contacts(plan, path)
    assert rows_of(read_contacts(path, NODES)) == rows_of(plan)


def test_messages_come_back_from_a_file_in_the_order_of_their_times(tmp_path: Path) -> None:
    rows = [[7.25, 1, 0, 2**40, 60, 2], [3, 0, 2, 1, 0.5, 0], [3, 2, 0, 9, 4, 1]]
    workload = make_workload(("c", "b", "a"), np.array(rows), 3, "messages")
    assert workload.names == ("b", "a", "c")
    write_messages(workload, tmp_path / "m.csv")
    again = read_messages(tmp_path / "m.csv", 3)
    for name in Workload.__slots__:
        assert np.array_equal(getattr(again, name), getattr(workload, name)), name
