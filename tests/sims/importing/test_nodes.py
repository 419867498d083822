"""Lists of nodes: words of traces, round trip, lines that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import TraceError
from sims.importing.nodes import ROLES, NodeList, read_nodes, write_nodes

WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8).filter(
    lambda word: word != "-1"
)


def written(folder: Path, text: str) -> Path:
    (folder / "nodes.csv").write_text(text, encoding="utf-8")
    return folder / "nodes.csv"


def test_reads_the_words_of_traces_as_roles(tmp_path: Path) -> None:
    text = "id,role,group\n1,post,0\n0,gateway,-1\n\n2,phone, Queyras\n"
    assert read_nodes(written(tmp_path, text)) == NodeList(
        ("gateway 0", "post 1", "phone 2"), ("gateway", "relay", "agent"), ("", "0", "Queyras")
    )


@pytest.mark.slow
@given(st.lists(st.tuples(WORDS, st.sampled_from(ROLES), st.just("") | WORDS), min_size=1))
def test_comes_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("nodes") / "nodes.csv"
    labels, roles, groups = (tuple(column) for column in zip(*entries, strict=True))
    write_nodes(NodeList(labels, roles, groups), path)
    assert read_nodes(path) == NodeList(labels, roles, groups)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the first line is"),
        ("id,role\n", 1, "the first line is"),
        ("id,role,group\n0,agent\n", 2, "2 columns instead of 3"),
        ("id,role,group\n\n0,pilot,\n", 3, "the role is one of"),
        ("id,role,group\nx,agent,\n", 2, "whole number"),
        ("id,role,group\n-1,agent,\n", 2, "whole number"),
        ("id,role,group\n0,agent,\n0,agent,\n", 3, "earlier line"),
        ("id,role,group\n0,agent,\n2,agent,\n", 3, "from 0 to 1"),
        ('id,role,group\n0,agent,"x\n', 2, "quotation mark"),
    ],
)
def test_says_which_line_is_wrong(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(TraceError, match=reason) as caught:
        read_nodes(path)
    assert caught.value.place == f"{path} line {line}"


def test_says_that_a_file_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        read_nodes(tmp_path / "none.csv")
    with pytest.raises(TraceError, match="cannot be written"):
        write_nodes(NodeList((), (), ()), tmp_path / "none" / "nodes.csv")
