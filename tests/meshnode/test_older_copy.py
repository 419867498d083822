"""A folder of the authority, put back from an older copy, would go on under used numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

from meshnode.authority_documents import OLDER_COPY
from protocol.authority import DocumentClass, SignedDocument, decide, decode_untrusted
from tests.meshnode.enrolling import NOW_MS, enrol, make_authority, opened
from tests.meshnode.zones import make_zone


def key_of(document: SignedDocument) -> tuple[int, bytes]:
    return document.cls, document.scope


def test_it_learns_its_age_from_what_it_has_signed_since(tmp_path: Path) -> None:
    """Else nobody in the field ever learns whom it enrols, and the screen says that all is well."""
    make_authority(tmp_path / "hq")
    make_zone(tmp_path / "hq", tmp_path / "zone")
    with opened(tmp_path / "hq") as national:
        enrol(national, tmp_path / "bob", "bob")
    shutil.copytree(tmp_path / "hq", tmp_path / "older")
    with opened(tmp_path / "hq") as national:
        enrol(national, tmp_path / "eva", "eva")
        field = [each.raw for each in national.state.documents]
        assert national.take(field, NOW_MS) == (0, ()), "its own words are no news"
    with opened(tmp_path / "older") as older:
        assert older.take(field, NOW_MS) == (0, (OLDER_COPY,))
        # Nor is it better once the numbers are the same, and the words are not.
        enrol(older, tmp_path / "max", "max")
        assert older.take(field, NOW_MS) == (0, (OLDER_COPY,))
        older.renew_root(older.root_holders([], NOW_MS), NOW_MS)
        assert older.take(field, NOW_MS) == (0, ()), "its numbers began anew"
        held = {key_of(each): each for each in map(decode_untrusted, field)}
        root = older.state.root_body
        for each in older.state.documents:
            if each.cls is DocumentClass.ROSTER:
                assert decide(held.get(key_of(each)), each, root), "everybody takes it"


def test_what_another_zone_signs_says_nothing_of_its_age(tmp_path: Path) -> None:
    make_authority(tmp_path / "hq")
    make_zone(tmp_path / "hq", tmp_path / "zone")
    with opened(tmp_path / "zone") as zone:
        enrol(zone, tmp_path / "yann", "yann", squads=["Modane"])
        foreign = [each.raw for each in zone.state.documents]
    with opened(tmp_path / "hq") as national:
        assert national.take(foreign, NOW_MS)[1] == ()
        enrol(national, tmp_path / "bob", "bob")
        own = [each.raw for each in national.state.documents]
    with opened(tmp_path / "zone") as zone:
        assert zone.take(own, NOW_MS)[1] == ()
