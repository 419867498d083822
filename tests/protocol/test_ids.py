"""Names: what is printed is read again, and what is read is the one way to print it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.ids import (
    BundleId,
    node_id_of,
    parse_bundle_id_untrusted,
    parse_node_id_untrusted,
    print_bundle_id,
    print_node_id,
    short_id,
    short_ids,
    squad_id_of,
)
from tests.reference import derivations
from tests.strategies import NODES, uints

NODE = bytes(range(16))
AUTHOR = NODE.hex()
BUNDLES = st.builds(BundleId, NODES, uints(32), uints().filter(bool))


@given(NODES)
def test_a_printed_node_id_is_read_again(node: bytes) -> None:
    text = print_node_id(node)
    assert text == derivations.printed_node_id(node)
    assert parse_node_id_untrusted(text) == node
    assert parse_node_id_untrusted(f" {text.upper().replace('-', ' ')} ") == node
    assert parse_node_id_untrusted(text.replace("-", "")) == node


def test_a_node_id_is_in_groups_that_people_can_read_aloud() -> None:
    groups = print_node_id(NODE).split("-")
    assert [len(group) for group in groups] == [4] * 6 + [2]
    assert "".join(groups) == base64.b32encode(NODE).decode().lower().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 25,
        "a" * 27,
        "a" * 25 + "b",
        "a" * 25 + "c",
        "a" * 25 + "d",
        "1" * 26,
        "0" + "a" * 25,
        "é" * 26,
        "a" * 25 + "\0",
        "a" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_other_texts_are_no_node_id(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_node_id_untrusted(text)


@given(BUNDLES)
def test_a_printed_bundle_id_is_read_again(bundle: BundleId) -> None:
    text = print_bundle_id(bundle)
    assert str(bundle) == text
    assert parse_bundle_id_untrusted(f" {text}\n") == bundle


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        AUTHOR,
        f"{AUTHOR}.1",
        f"{AUTHOR}.1.2.3",
        f"{AUTHOR}..2",
        f"{AUTHOR}.1.",
        f"{AUTHOR}.01.2",
        f"{AUTHOR}.1.02",
        f"{AUTHOR}.+1.2",
        f"{AUTHOR}.1.-2",
        f"{AUTHOR}.1_0.2",
        f"{AUTHOR}.1.²",
        f"{AUTHOR}.1.٣",
        f"{AUTHOR}.1.0",
        f"{AUTHOR}.{2**32}.1",
        f"{AUTHOR}.1.{2**64}",
        f"{AUTHOR}.1.{'9' * 5_000}",
        f"{AUTHOR.upper()}.1.2",
        f"{AUTHOR[:-1]}g.1.2",
        f"{AUTHOR[:-2]}.1.2",
        f"{AUTHOR}00.1.2",
        f"{AUTHOR[:-2]} 0.1.2",
        f"{AUTHOR[:-1]}é.1.2",
    ],
    ids=lambda text: text[-24:],
)
def test_other_texts_are_no_bundle_id(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_bundle_id_untrusted(text)


@given(st.text(max_size=60))
def test_whatever_is_read_prints_the_same(text: str) -> None:
    for candidate in (text, f"{AUTHOR}.1.{text}", f"{AUTHOR}.{text}.1"):
        try:
            bundle = parse_bundle_id_untrusted(candidate)
        except MalformedError:
            continue
        assert print_bundle_id(bundle) == candidate.strip()


@given(st.lists(BUNDLES, max_size=8))
def test_bundle_ids_are_ordered_by_author_then_incarnation_then_number(
    bundles: list[BundleId],
) -> None:
    expected = sorted((bundle.author, bundle.incarnation, bundle.seq) for bundle in bundles)
    assert [(b.author, b.incarnation, b.seq) for b in sorted(bundles)] == expected


@given(st.binary(min_size=32, max_size=32), st.integers(1, 65_535), st.text(min_size=1))
def test_names_follow_from_keys_zones_and_words(key: bytes, zone: int, name: str) -> None:
    assert node_id_of(key) == derivations.node_id(key)
    assert squad_id_of(zone, name) == derivations.squad_id(zone, name)
    assert squad_id_of(zone, name) != squad_id_of(zone % 65_535 + 1, name)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_short_ids_depend_on_the_network_key(key: bytes, digest: bytes) -> None:
    short = short_id(key, digest)
    assert short == derivations.short_id(key, digest)
    of = short_ids(key)
    assert [of(digest), of(digest)] == [short, short]
    assert 0 <= short < 2**64
    other = bytes([key[0] ^ 1]) + key[1:]
    assert short_id(other, digest) != short
