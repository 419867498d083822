"""Sentences for a plotter, read back by a slow reader of bits that knows no library."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.services.ais import (
    NAME_CHARS_MAX,
    Target,
    help_sentence,
    lost_sentence,
    plain_name,
    sentences,
)

SENTENCE = re.compile(rb"!AIVDM,1,1,,A,([0-W`-w]+),([0-5])\*([0-9A-F]{2})\r\n")
MMSI = 982_270_042


def bits_of(sentence: bytes) -> str:
    """Return the bits of one sentence, as ITU-R M.1371 and IEC 61162-1 lay them out."""
    found = SENTENCE.fullmatch(sentence)
    assert found is not None, sentence
    assert len(sentence) <= 82
    total = 0
    for byte in sentence[1 : sentence.index(b"*")]:
        total ^= byte
    assert int(found[3], 16) == total
    values = [byte - 48 if byte < 96 else byte - 56 for byte in found[1]]
    bits = "".join(f"{value:06b}" for value in values)
    return bits[: len(bits) - int(found[2])]


def number(bits: str, start: int, length: int, *, is_signed: bool = False) -> int:
    value = int(bits[start : start + length], 2)
    return value - (1 << length) if is_signed and value >> (length - 1) else value


def text(bits: str, start: int) -> str:
    codes = [number(bits, at, 6) for at in range(start, len(bits) - 5, 6)]
    letters = "".join(chr(code + 64 if code < 32 else code) for code in codes)
    return letters.split("@")[0].rstrip()


def target(name: str = "Anna", age_s: int = 0, **more: int) -> Target:
    fields = {"latitude_e7": 448_900_000, "longitude_e7": -66_400_000, "second": 42, **more}
    return Target(mmsi=MMSI, name=name, is_exact=True, age_s=age_s, **fields)


@given(
    st.integers(-900_000_000, 900_000_000),
    st.integers(-1_800_000_000, 1_800_000_000),
    st.integers(0, 59),
    st.integers(0, 359),
)
def test_a_place_is_read_back_to_a_ten_thousandth_of_a_minute(
    latitude: int, longitude: int, second: int, age_s: int
) -> None:
    made = target(age_s=age_s, latitude_e7=latitude, longitude_e7=longitude, second=second)
    bits = bits_of(sentences(made)[0])
    assert (number(bits, 0, 6), number(bits, 8, 30), len(bits)) == (18, MMSI, 168)
    east = number(bits, 57, 28, is_signed=True)
    north = number(bits, 85, 27, is_signed=True)
    assert abs(east * 10_000_000 / 600_000 - longitude) <= 10
    assert abs(north * 10_000_000 / 600_000 - latitude) <= 10
    # Speed, course and heading are not known, and an old place has no second.
    assert (number(bits, 46, 10), number(bits, 112, 12), number(bits, 124, 9)) == (1023, 3600, 511)
    assert number(bits, 133, 6) == (second if age_s < 60 else 60)
    assert bits[141] == "1", "carrier sense"


@pytest.mark.slow
@given(st.text(max_size=64), st.integers(0, 359))
def test_any_name_is_one_sentence_of_plain_letters(name: str, age_s: int) -> None:
    """Also one with the marks that begin, divide and end sentences."""
    bits = bits_of(sentences(target(name, age_s))[1])
    assert (number(bits, 0, 6), number(bits, 38, 2)) == (24, 0)
    suffix = f" {age_s // 60}MIN" if age_s >= 60 else ""
    assert text(bits[:160], 40) == plain_name(name, suffix).rstrip()
    assert len(plain_name(name, suffix)) <= NAME_CHARS_MAX
    assert plain_name(name, suffix).endswith(suffix)
    assert text(bits_of(help_sentence(MMSI, name)), 40) == f"SOS {plain_name(name)}".rstrip()


def test_nothing_is_said_of_type_and_ship() -> None:
    bits = bits_of(sentences(target())[2])
    assert (number(bits, 0, 6), number(bits, 38, 2), number(bits, 40, 128)) == (24, 1, 0)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Vedette Étoile", "VEDETTE ETOILE"),
        ("Sœur d’Éloïse", "SOEUR D'ELOISE"),
        ("a,b*c!d$e\r\n!AIVDM", "A,B*C!D$E !AIVDM"),
        ("end@here", "END?HERE"),
        ("日本", "??"),
        ("", ""),
        ("x" * 30, "X" * 20),
    ],
)
def test_names_as_they_are_shown(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_a_craft_that_is_lost_has_no_place() -> None:
    bits = bits_of(lost_sentence(MMSI))
    assert number(bits, 57, 28, is_signed=True) == 181 * 600_000
    assert number(bits, 85, 27, is_signed=True) == 91 * 600_000
    assert number(bits, 133, 6) == 60


def test_a_target_shows_no_place_and_no_name_in_its_repr() -> None:
    assert repr(target()) == f"Target(mmsi={MMSI}, is_exact=True, age_s=0, second=42)"
