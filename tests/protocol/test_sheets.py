"""Catalogues of sheets: their bytes, their bounds, and that the order of arrival never matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import encode
from protocol.errors import LimitExceededError, MalformedError
from protocol.sheet_bounds import (
    SHEET_BYTES_MAX,
    SHEET_KEYWORDS_MAX,
    SHEET_NAME_BYTES_MAX,
    SHEET_WITHDRAWN_MAX,
    SHEETS_BYTES_MAX,
    SHEETS_HELD_MAX,
    SHEETS_MAX,
)
from protocol.sheets import (
    NOTHING,
    Catalogue,
    Sheet,
    SheetForm,
    decode_catalogue_untrusted,
    decode_sheet_untrusted,
    encode_catalogue,
    encode_sheet,
    is_sheet_line,
    merge,
    sheet_id_of,
    sheet_name,
)
from tests.reference.sheets import union

FIRST = Sheet(
    "homme-a-la-mer",
    1,
    "Homme à la mer",
    "fr",
    ("alerte",),
    SheetForm.ODF,
    70_000,
    b"h" * 32,
    b"k" * 32,
)
NAMES = ("bord", "fouille", "mer")


def sheets() -> st.SearchStrategy[Sheet]:
    return st.builds(
        replace,
        st.just(FIRST),
        name=st.sampled_from(NAMES),
        version=st.integers(1, 3),
        content_hash=st.sampled_from([b"a" * 32, b"b" * 32]),
        key=st.sampled_from([b"x" * 32, b"y" * 32]),
    )


def _catalogue(version: int, found: list[Sheet], retracted: dict[str, int]) -> Catalogue:
    named = {sheet_id_of(name): number for name, number in retracted.items()}
    return merge(
        NOTHING,
        Catalogue(version, tuple(sorted({e.name: e for e in found}.values(), key=_name)), named),
    )


def _name(sheet: Sheet) -> str:
    return sheet.name


CATALOGUES = st.builds(
    _catalogue,
    st.integers(1, 5),
    st.lists(sheets(), max_size=4),
    st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), max_size=2),
)


@given(CATALOGUES)
def test_a_catalogue_comes_back(catalogue: Catalogue) -> None:
    assert decode_catalogue_untrusted(encode_catalogue(catalogue)) == catalogue


@given(CATALOGUES, CATALOGUES, CATALOGUES)
def test_merging_is_a_union(one: Catalogue, two: Catalogue, three: Catalogue) -> None:
    assert merge(one, two) == merge(two, one)
    assert merge(one, merge(two, three)) == merge(merge(one, two), three)
    assert merge(one, one) == one
    assert merge(one, NOTHING) == one
    assert merge(merge(one, two), three) == union([three, one, two])


def test_a_retracted_sheet_comes_back_in_no_order_but_as_a_later_version() -> None:
    old = Catalogue(1, (FIRST,), {})
    gone = Catalogue(2, (), {FIRST.sheet_id: 1})
    newer = Catalogue(3, (replace(FIRST, version=2),), {})
    assert merge(old, gone).sheets == merge(gone, old).sheets == ()
    assert merge(merge(gone, newer), old).sheets == newer.sheets


def test_names() -> None:
    assert sheet_name("Homme à la mer (v2)") == "homme-a-la-mer-v2"
    assert sheet_name("Œuvres d'art") == "oeuvres-d-art"
    assert sheet_name("../../etc/passwd") == "etc-passwd"
    assert sheet_name("///") == "sheet"
    assert len(sheet_name("é" * 99)) == SHEET_NAME_BYTES_MAX


@given(st.text(max_size=60))
def test_the_name_of_a_name_is_itself(text: str) -> None:
    name = sheet_name(text)
    assert sheet_name(name) == name
    assert decode_sheet_untrusted(encode_sheet(replace(FIRST, name=name))).name == name


@pytest.mark.parametrize("text", ["", " a", "a\n", "\u202ea", "a\x1b[2J", "\ud800"])
def test_titles_are_lines_that_print(text: str) -> None:
    assert not is_sheet_line(text, 160)
    assert is_sheet_line("Contrôle d'un navire", 160)
    assert not is_sheet_line("é" * 81, 160)
    assert is_sheet_line("é" * 80, 160)


FIELDS: tuple[Any, ...] = (
    b"mer", 1, b"Mer", b"fr", (b"mot",), 1, 9, bytes(32), bytes(32),
)  # fmt: skip
_BAD = {
    "a name with a path": {0: b"../mer"},
    "a name that is empty": {0: b""},
    "a name in capitals": {0: b"Mer"},
    "a name of 49 bytes": {0: b"a" * (SHEET_NAME_BYTES_MAX + 1)},
    "version 0": {1: 0},
    "version 2^32": {1: 2**32},
    "a title of two lines": {2: b"a\nb"},
    "a title that steers a screen": {2: b"\x1b[2J"},
    "no title": {2: b""},
    "a language of three letters": {3: b"fra"},
    "a language that is no letters": {3: b"12"},
    "too many keywords": {4: (b"a",) * (SHEET_KEYWORDS_MAX + 1)},
    "an empty keyword": {4: (b"",)},
    "an unknown form": {5: 9},
    "no content": {6: 0},
    "more than a sheet has": {6: SHEET_BYTES_MAX + 1},
    "a short hash": {7: bytes(31)},
    "a long key": {8: bytes(33)},
}


@pytest.mark.parametrize("change", _BAD.values(), ids=list(_BAD))
def test_sheets_that_are_refused(change: dict[int, Any]) -> None:
    good = encode((1, 1, [FIELDS], []))
    assert decode_catalogue_untrusted(good).sheets[0].title == "Mer"
    fields = tuple(change.get(place, value) for place, value in enumerate(FIELDS))
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_catalogue_untrusted(encode((1, 1, [fields], [])))


def _named(name: bytes) -> tuple[Any, ...]:
    return (name, *FIELDS[1:])


@pytest.mark.parametrize(
    "value",
    [
        (2, 1, [FIELDS], []),
        (1, 0, [FIELDS], []),
        (1, 1, [FIELDS, FIELDS], []),
        (1, 1, [_named(b"b"), _named(b"a")], []),
        (1, 1, [FIELDS], [(sheet_id_of("mer"), 1)]),
        (1, 1, [], [(b"b" * 8, 1), (b"a" * 8, 1)]),
        (1, 1, [], [(b"a" * 8, 1), (b"a" * 8, 2)]),
        (1, 1, [], [(b"a" * 8, 0)]),
        (1, 1, [], [(b"a" * 7, 1)]),
        (1, 1, [], [], 0),
    ],
)
def test_catalogues_that_are_refused(value: tuple[Any, ...]) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_catalogue_untrusted(encode(value))


def _many(count: int, size_bytes: int = 1) -> tuple[Sheet, ...]:
    return tuple(
        Sheet(f"s{n:04d}", 1, "t", "", (), SheetForm.TEXT, size_bytes, bytes(32), bytes(32))
        for n in range(count)
    )


def test_bounds_of_a_catalogue() -> None:
    whole = Catalogue(1, _many(SHEETS_MAX), {})
    assert decode_catalogue_untrusted(encode_catalogue(whole)) == whole
    third = SHEETS_BYTES_MAX // 4
    for beyond in (
        Catalogue(1, _many(SHEETS_MAX + 1), {}),
        Catalogue(1, _many(4, third + 1), {}),
        Catalogue(1, tuple(replace(e, title="é" * 80) for e in _many(SHEETS_MAX)), {}),
    ):
        with pytest.raises(LimitExceededError):
            encode_catalogue(beyond)
    assert encode_catalogue(Catalogue(1, _many(4, third), {}))


def test_bounds_of_what_a_device_keeps() -> None:
    retracted = {n.to_bytes(8, "big"): 1 for n in range(1, SHEET_WITHDRAWN_MAX + 1)}
    assert merge(NOTHING, Catalogue(1, (), retracted)).retracted == retracted
    with pytest.raises(LimitExceededError):
        merge(Catalogue(1, (), retracted), Catalogue(1, (), {bytes(8): 1}))
    assert len(merge(NOTHING, Catalogue(1, _many(SHEETS_HELD_MAX), {})).sheets) == SHEETS_HELD_MAX
    with pytest.raises(LimitExceededError):
        merge(NOTHING, Catalogue(1, _many(SHEETS_HELD_MAX + 1), {}))


def test_pieces_follow_from_the_size() -> None:
    assert FIRST.chunk_count == 3
    assert sum(FIRST.piece_bytes(n) for n in range(3)) == FIRST.size_bytes
    assert Catalogue(1, (FIRST,), {}).find("homme-a-la-mer") == FIRST
    assert Catalogue(1, (FIRST,), {}).find("autre") is None
