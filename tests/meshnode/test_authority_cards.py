"""Cards: sealed, whole, and of one kind; the folder keeps nothing of what left it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.authority_cards import (
    Card,
    CardKind,
    make_card,
    open_card,
    read_card_label,
    write_card,
)
from meshnode.authority_keys import AuthorityError, AuthorityKeys
from protocol.authority import DocumentClass
from protocol.documents import SignerRule
from tests.meshnode.enrolling import PASSPHRASE, CountedEntropy, make_authority, opened

OWN = "a passphrase of one's own"
NOW_MS = 1_800_000_000_000


def test_a_card_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    card = make_card(CardKind.OPERATOR, 3, "Ugo", 7)
    path = tmp_path / "card"
    write_card(path, card, OWN, CountedEntropy(), 2)
    again = open_card(path, OWN)
    assert again.public == card.public
    assert replace(again, keys=()) == replace(card, keys=())
    assert read_card_label(path) == card.label == "operator-3"
    with pytest.raises(AuthorityError, match="passphrase of this card"):
        open_card(path, "another passphrase")
    assert b"".join(card.keys[0].seeds) not in path.read_bytes()
    assert "PrivateKey" not in repr(card)
    with pytest.raises(AuthorityError, match="at least"):
        write_card(path, card, "short", CountedEntropy(), 2)
    with pytest.raises(AuthorityError, match="one of kind 'wipe'"):
        card.key(DocumentClass.WIPE)


@pytest.mark.slow
def test_no_byte_of_a_card_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "card"
    write_card(path, make_card(CardKind.WIPE, 1, "Léa", 7), OWN, CountedEntropy(), 2)
    raw = path.read_bytes()
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(AuthorityError):
            open_card(path, OWN)
    for part in (raw[:-1], raw + b"\0", b"", b"hello"):
        path.write_bytes(part)
        with pytest.raises(AuthorityError):
            open_card(path, OWN)
    with pytest.raises(AuthorityError, match="bring the card"):
        open_card(tmp_path / "nowhere", OWN)


def test_a_new_region_has_cards_of_an_operator_and_three_each_of_wipe_and_root(
    tmp_path: Path,
) -> None:
    make_authority(tmp_path)
    cards = [open_card(path, PASSPHRASE) for path in sorted((tmp_path / "cards").iterdir())]
    shared = [f"{kind}-{number}" for kind in ("root", "wipe") for number in (1, 2, 3)]
    assert [card.label for card in cards] == ["operator-1", *shared]
    with opened(tmp_path) as authority:
        root = authority.state.root_body
    assert [rule.cls for rule in root.rules] == [
        DocumentClass.ROOT,
        DocumentClass.ROSTER,
        DocumentClass.REVOCATION,
        DocumentClass.WIPE,
        DocumentClass.BEACON,
    ]
    for rule in root.rules:
        assert len(rule.pq_keys) == len(rule.keys) or rule.cls is DocumentClass.ROOT
    assert (root.rules[0].threshold, len(root.root_keys)) == (2, 3)
    wipe = root.rule(DocumentClass.WIPE)
    assert wipe is not None
    assert (wipe.threshold, len(wipe.keys)) == (2, 3)
    assert set(zip(wipe.keys, wipe.pq_keys, strict=True)) == {
        card.public[0] for card in cards if card.kind is CardKind.WIPE
    }
    _no_card_key_is_in_the_folder(tmp_path / "authority", cards)


def _no_card_key_is_in_the_folder(folder: Path, cards: list[Card]) -> None:
    keys = AuthorityKeys.unlock(folder, PASSPHRASE)
    state = keys.unseal((folder / "state").read_bytes())
    seeds = [seed for card in cards for key in card.keys for seed in key.seeds]
    assert all(seed not in state for seed in seeds)
    assert {path.stem for path in folder.glob("*.pem")} == {
        "regional",
        "documents",
        "documents-pq",
    }


def test_a_card_is_handed_over_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_authority(tmp_path)
    here, there = tmp_path / "cards" / "wipe-2.card", tmp_path / "stick" / "card"
    both = (PASSPHRASE, OWN)
    with opened(tmp_path) as authority:
        with pytest.raises(AuthorityError, match="cannot be written"):
            authority.hand_over("wipe-2", "Léa", there, both, NOW_MS)
        there.parent.mkdir()
        with pytest.raises(AuthorityError, match="nobody else"):
            authority.hand_over("wipe-2", "Léa", there, (PASSPHRASE, PASSPHRASE), NOW_MS)

        def fail(*_: object) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr("meshnode.authority_folder.write_private", fail)
            with pytest.raises(OSError, match="the disk is gone"):
                authority.hand_over("wipe-2", "Léa", there, both, NOW_MS)
        assert open_card(here, PASSPHRASE).public == open_card(there, OWN).public
        handed = authority.hand_over("wipe-2", "Léa", there, both, NOW_MS)
        assert not here.exists()
        assert handed.holder == "Léa"
        assert handed in authority.state.cards
        with pytest.raises(AuthorityError, match="handed over"):
            authority.hand_over("wipe-2", "Léa", there, both, NOW_MS)
    assert open_card(there, OWN).holder == "Léa"


def test_cards_of_another_folder_are_not_written_over(tmp_path: Path) -> None:
    make_authority(tmp_path)
    (tmp_path / "authority").rename(tmp_path / "elsewhere")
    with pytest.raises(AuthorityError, match="holds the cards"):
        make_authority(tmp_path)


def test_a_root_names_at_least_as_many_signers_as_must_sign(tmp_path: Path) -> None:
    make_authority(tmp_path)
    with opened(tmp_path) as authority:
        with pytest.raises(AuthorityError, match="would remain"):
            authority.drop_operator(1, authority.root_holders([], NOW_MS), NOW_MS)
        with pytest.raises(AuthorityError, match="no card"):
            authority.drop_operator(9, authority.root_holders([], NOW_MS), NOW_MS)
        before = authority.state.root_body
        authority.add_operator(
            "Ugo", tmp_path / "ugo", OWN, authority.root_holders([], NOW_MS), NOW_MS
        )
        after = authority.state.root_body
        assert authority.state.root.version == 2
        assert after.root_keys == before.root_keys
        rule = after.rule(DocumentClass.BEACON)
        assert isinstance(rule, SignerRule)
        assert len(rule.keys) == 2
        authority.drop_operator(1, authority.root_holders([], NOW_MS), NOW_MS)
        assert [card.number for card in authority.state.cards if card.kind == 1] == [2]
