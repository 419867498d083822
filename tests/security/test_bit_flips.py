"""Every bit of everything that is signed or sealed is held by something: one flipped, all refused.

No sampling: each bit of each object is turned once, and each object is cut at each length; what
comes out goes through the same checks as a receiver's. A new kind of object is added to `things`
of `tests.fuzz.forgeries`. Bundles on their way over a link are turned in `test_hostile_bundles`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshnode.authority_keys import AuthorityKeys
from protocol import authority, enrolment
from protocol.armour import TextForm, armour
from protocol.canonical import encode
from protocol.errors import MeshError
from tests.fuzz.forgeries import things
from tests.meshnode.enrolling import PASSPHRASE, make_authority
from tests.protocol.enrolling import INVITATION, ROOT_DOCUMENT, ROSTER

pytestmark = pytest.mark.slow

THINGS = things()
OBJECTS = {
    f"{name} {number}": (raw, thing.check)
    for name, thing in THINGS.items()
    for number, raw in enumerate(thing.originals)
}
TEXTS = {
    "invitation": (
        armour(TextForm.INVITATION, INVITATION.encode()),
        enrolment.decode_invitation_untrusted,
    ),
    "documents": (
        armour(TextForm.DOCUMENTS, encode([1, [ROSTER, ROOT_DOCUMENT.raw]])),
        enrolment.decode_documents_untrusted,
    ),
}


def flipped(raw: bytes) -> Iterator[bytes]:
    """Yield `raw` with each of its bits turned."""
    for place in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def accepted(copies: Iterator[bytes], check: Callable[[bytes], object]) -> list[str]:
    """Return the copies that pass, in hexadecimal. Raises: whatever is no MeshError."""
    passed = []
    for copy in copies:
        try:
            check(copy)
        except MeshError:
            continue
        passed.append(copy.hex())
    return passed


@pytest.mark.parametrize("name", OBJECTS)
def test_no_bit_can_be_turned(name: str) -> None:
    raw, check = OBJECTS[name]
    check(raw)
    assert accepted(flipped(raw), check) == []


@pytest.mark.parametrize("name", OBJECTS)
def test_nothing_can_be_cut_or_lengthened(name: str) -> None:
    raw, check = OBJECTS[name]
    assert accepted((raw[:length] for length in range(len(raw))), check) == []
    assert accepted((raw + bytes([byte]) for byte in range(256)), check) == []


@pytest.mark.parametrize("name", TEXTS)
def test_no_letter_of_a_text_can_be_mistyped(name: str) -> None:
    text, read = TEXTS[name]
    read(text)

    def check(raw: bytes) -> object:
        return read(raw.decode("utf-8", "surrogateescape"))

    letters, _, check_letters = text.partition("~")
    passed = [bytes.fromhex(each).decode() for each in accepted(flipped(text.encode()), check)]
    # Who types the check may use capitals; nothing else has two forms.
    assert [each for each in passed if each.lower() != text.lower()] == []
    assert {each.partition("~")[0] for each in passed} == {letters}
    assert len(passed) <= len(check_letters)


def test_no_bit_of_a_first_root_can_be_turned() -> None:
    # The invitation pins its digest, and only of what is signed: the signature is checked too.
    def check(raw: bytes) -> object:
        document = authority.decode_untrusted(raw)
        root = authority.decode_root_untrusted(document.body)
        authority.decide(None, document, root)
        if document.digest != ROOT_DOCUMENT.digest:
            raise MeshError("another root")
        return root

    check(ROOT_DOCUMENT.raw)
    assert accepted(flipped(ROOT_DOCUMENT.raw), check) == []


def test_no_bit_of_an_authoritys_memory_can_be_turned(tmp_path: Path) -> None:
    make_authority(tmp_path)
    folder = tmp_path / "authority"
    keys = AuthorityKeys.unlock(folder, PASSPHRASE)
    sealed = (folder / "state").read_bytes()
    keys.unseal(sealed)
    assert accepted(flipped(sealed), keys.unseal) == []


def test_a_check_that_leaves_a_bit_out_is_found() -> None:
    raw, check = OBJECTS["bundle 0"]

    def careless(copy: bytes) -> object:
        # Puts the last byte right before it looks.
        return check(copy[:-1] + raw[-1:])

    assert len(accepted(flipped(raw), careless)) == 8
