"""The root is signed by two of its three holders, and by a folder's own key only where it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.authority_cards import CardKind, make_card, open_card, write_card
from meshnode.authority_home import AuthorityHome
from meshnode.authority_keys import AuthorityError, AuthorityKeys, RootKey
from meshnode.authority_records import decode_state, encode_state
from meshnode.authority_roots import HeldCard
from protocol.authority import (
    DocumentClass,
    SignedDocument,
    SignerRule,
    build,
    count_signers,
    decide,
    decode_root_untrusted,
)
from protocol.errors import ThresholdError
from tests.meshnode.enrolling import (
    PASSPHRASE,
    CountedEntropy,
    enrol,
    make_authority,
    opened,
)

OWN = "a passphrase of one's own"
NOW_MS = 1_800_000_000_000


def hand_over(home: Path, *numbers: int) -> None:
    """Give root cards to their holders: each lies in HOME/stick-N, and no longer in HOME/cards."""
    with opened(home) as authority:
        for number in numbers:
            path, both = home / f"stick-{number}", (PASSPHRASE, OWN)
            authority.hand_over(f"root-{number}", f"holder {number}", path, both, NOW_MS)


def brought(home: Path, *numbers: int) -> list[HeldCard]:
    """Return the cards that these holders brought."""
    paths = [home / f"stick-{number}" for number in numbers]
    return [HeldCard(path, open_card(path, OWN), OWN) for path in paths]


def add(authority: AuthorityHome, home: Path, cards: Sequence[HeldCard]) -> SignedDocument:
    """Name one more operator in the root; return the new root."""
    holders = authority.root_holders(cards, NOW_MS)
    authority.add_operator("Ugo", home / "ugo.card", OWN, holders, NOW_MS)
    return authority.state.root


def test_no_root_is_signed_by_one_holder_or_by_the_folder(tmp_path: Path) -> None:
    make_authority(tmp_path)
    hand_over(tmp_path, 1, 2, 3)
    with opened(tmp_path) as authority:
        before = authority.state
        for cards in ([], brought(tmp_path, 2), brought(tmp_path, 2, 2)):
            with pytest.raises(AuthorityError, match="of 2 root cards are here"):
                add(authority, tmp_path, cards)
            with pytest.raises(AuthorityError, match="of 2 root cards are here"):
                authority.renew_root(authority.root_holders(cards, NOW_MS), NOW_MS)
        assert authority.state == before
        assert not (tmp_path / "ugo.card").exists()
        after = add(authority, tmp_path, brought(tmp_path, 3, 1))
    assert (after.epoch, after.version) == (1, 2)
    assert count_signers(after, decode_root_untrusted(after.body)) == 2
    decide(before.root, after, before.root_body)
    one_less = build(
        DocumentClass.ROOT,
        b"",
        (after.epoch, after.version),
        NOW_MS,
        after.body,
        brought(tmp_path, 1)[0].card.keys[0].signers,
    )
    with pytest.raises(ThresholdError, match="1 of 2"):
        decide(before.root, one_less, before.root_body)


def test_a_card_that_stayed_here_counts_and_one_of_others_does_not(tmp_path: Path) -> None:
    make_authority(tmp_path)
    hand_over(tmp_path, 1, 2)
    stranger = tmp_path / "stranger"
    write_card(stranger, make_card(CardKind.ROOT, 1, "Eve", 7), OWN, CountedEntropy(), 2)
    with opened(tmp_path) as authority:
        with pytest.raises(AuthorityError, match="does not name the card 'root-1'"):
            authority.root_holders([HeldCard(stranger, open_card(stranger, OWN), OWN)], NOW_MS)
        operator = tmp_path / "cards" / "operator-1.card"
        wrong = HeldCard(operator, open_card(operator, PASSPHRASE), PASSPHRASE)
        with pytest.raises(AuthorityError, match="one of kind 'root'"):
            authority.root_holders([wrong], NOW_MS)
        # A card that a renewal wrote before the power failed stands in no root.
        write_card(
            tmp_path / "cards" / "root-9.card",
            make_card(CardKind.ROOT, 9, "nobody", 7),
            PASSPHRASE,
            CountedEntropy(),
            2,
        )
        assert add(authority, tmp_path, brought(tmp_path, 2)).version == 2


def test_a_root_card_signs_no_version_twice_in_two_copies_of_the_folder(tmp_path: Path) -> None:
    make_authority(tmp_path)
    hand_over(tmp_path, 1, 2)
    shutil.copytree(tmp_path / "authority", tmp_path / "copy")
    with opened(tmp_path) as authority:
        first = add(authority, tmp_path, brought(tmp_path, 1, 2))
    shutil.rmtree(tmp_path / "authority")
    (tmp_path / "copy").rename(tmp_path / "authority")
    with opened(tmp_path) as authority:
        second = add(authority, tmp_path, brought(tmp_path, 1, 2))
    assert (first.version, second.version) == (2, 3)


def test_a_root_has_room_for_some_operators_and_says_so(tmp_path: Path) -> None:
    make_authority(tmp_path)
    with opened(tmp_path) as authority:
        body = authority.state.root_body
        keys = tuple(bytes([number]) * 32 for number in range(1, 17))
        pq_keys = tuple(bytes([number]) * 1_952 for number in range(1, 17))
        full = [replace(rule, keys=keys, pq_keys=pq_keys) for rule in body.rules[2::2]]
        many = replace(body, rules=(*body.rules[:2], full[0], body.rules[3], full[1]))
        with pytest.raises(AuthorityError, match="no room for so many cards and zones"):
            authority.root_holders([], NOW_MS).sign(many)


def test_a_renewed_root_believes_the_new_cards_alone(tmp_path: Path) -> None:
    make_authority(tmp_path)
    hand_over(tmp_path, 1, 2)
    with opened(tmp_path) as authority:
        enrol(authority, tmp_path / "alice", "alice")
        old = authority.state
        holders = authority.root_holders(brought(tmp_path, 1, 2), NOW_MS)
        places = authority.renew_root(holders, NOW_MS)
        new = authority.state
    assert [place.name for place in places] == ["root-4.card", "root-5.card", "root-6.card"]
    assert sorted((tmp_path / "cards").glob("root-*")) == [*places]
    assert (new.root.epoch, new.root.version) == (2, 1)
    # Whoever holds the old root takes the new one, and the rosters that were signed under it.
    assert decide(old.root, new.root, old.root_body)
    rosters = [each for each in new.documents if each.cls is DocumentClass.ROSTER]
    assert {(each.epoch, each.version) for each in rosters} == {(2, 1)}
    assert {each.body for each in rosters} == {
        each.body for each in old.documents if each.cls is DocumentClass.ROSTER
    }
    assert decode_state(encode_state(new)) == new
    with opened(tmp_path) as authority:
        with pytest.raises(AuthorityError, match="does not name the card 'root-1'"):
            authority.root_holders(brought(tmp_path, 1, 2), NOW_MS)
        assert add(authority, tmp_path, []).epoch == 2
        enrol(authority, tmp_path / "bob", "bob")
        newest = authority.state
    # Also whoever was away when the keys changed follows, and takes what came since.
    assert newest.root.version == 2
    assert decide(old.root, newest.root, old.root_body)
    assert decide(new.root, newest.root, new.root_body)
    last = build(
        DocumentClass.ROOT,
        b"",
        (2, 3),
        NOW_MS,
        new.root.body,
        [half for each in brought(tmp_path, 1, 2) for half in each.card.keys[0].signers],
    )
    with pytest.raises(ThresholdError):
        decide(new.root, last, new.root_body)


def test_a_folder_that_holds_a_root_key_itself_changes_to_cards(tmp_path: Path) -> None:
    make_authority(tmp_path)
    for path in (tmp_path / "cards").glob("root-*"):
        path.unlink()
    folder, own = tmp_path / "authority", RootKey.generate()
    keys = AuthorityKeys.unlock(folder, PASSPHRASE)
    keys.write("root", own.classical)
    keys.write("root-pq", own.pq)
    with opened(tmp_path) as authority:
        state = authority.state
        rule = SignerRule(DocumentClass.ROOT, 1, (), (own.public[1],))
        body = replace(
            state.root_body, root_keys=(own.public[0],), rules=(rule, *state.root_body.rules[1:])
        )
        alone = build(DocumentClass.ROOT, b"", (1, 1), NOW_MS, body.encode(), own.signers)
        cards = tuple(card for card in state.cards if card.kind != CardKind.ROOT)
        authority._save(replace(state.with_document(alone), cards=cards))
        second = add(authority, tmp_path, [])
        assert (second.version, count_signers(second, body)) == (2, 1)
        authority.renew_root(authority.root_holders([], NOW_MS), NOW_MS)
        after = authority.state
    assert decide(second, after.root, decode_root_untrusted(second.body))
    assert (len(after.root_body.root_keys), after.root_body.rules[0].threshold) == (3, 2)
    assert not list(folder.glob("root*"))


def renewed_with(home: Path, changes: int) -> bool:
    """Renew the root with power for so many changes of files; True if they were enough."""
    left = [changes]

    def cut(does: Callable[..., None]) -> Callable[..., None]:
        def counted(*paths: Path, **words: int) -> None:
            if left[0] == 0:
                raise OSError("the power is gone")
            left[0] -= 1
            does(*paths, **words)

        return counted

    with opened(home) as authority, pytest.MonkeyPatch.context() as patch:
        patch.setattr("meshnode.files.os.replace", cut(os.replace))
        patch.setattr("os.unlink", cut(os.unlink))
        try:
            authority.renew_root(authority.root_holders([], NOW_MS), NOW_MS)
        except (OSError, AuthorityError):
            return False
    return True


def test_a_power_cut_at_any_write_of_a_renewal_leaves_a_root_that_can_be_changed(
    tmp_path: Path,
) -> None:
    make_authority(tmp_path)
    changes = 0
    while not renewed_with(tmp_path, changes):
        with opened(tmp_path) as authority:
            body = authority.state.root_body
            after = authority.root_holders([], NOW_MS).sign(body)
            assert decide(authority.state.root, after, body)
        changes += 1
    assert changes > 6
    assert len(list((tmp_path / "cards").glob("root-*"))) == 3
