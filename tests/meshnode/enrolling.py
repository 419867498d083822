"""An authority and devices for tests: the whole way of enrolment in two lines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from meshnode.authority_home import AuthorityHome, Network
from meshnode.enrol import (
    Accepted,
    Pending,
    accept_answer,
    finish,
    first_prekey,
    make_keys,
    make_request,
    read_invitation,
)
from meshnode.vault.keystore import KeyStore
from meshnode.vault.vault import Vault
from meshnode.vault.wrapping import AgentCost
from protocol.armour import TextForm, armour
from protocol.enrolment import Invitation
from protocol.envelope import HpkeSealer
from protocol.identity import DeviceClass, Role

NOW_MS = 1_800_000_000_000
PASSPHRASE = "correct horse battery staple"
SEALER = HpkeSealer()
NETWORK = Network("Alpes", 7, "Briançon")
SECRET = "five quite ordinary words here"
CHEAP = AgentCost(memory_kib=64, iterations=1, lanes=1)
"""A guess at the secret costs nothing in tests."""


def vault_of(home: Path) -> Vault:
    """Return the unlocked vault of a home, whose keys are made if need be."""
    keys = KeyStore.open(home) if KeyStore.exists(home) else None
    keys = keys or KeyStore.create(home, SECRET, cost=CHEAP)
    return keys.unlocked_vault(SECRET)


class CountedEntropy:
    """Entropy that never repeats and is the same in every run."""

    def __init__(self) -> None:
        self._count = count()

    def __call__(self, length: int) -> bytes:
        return hashlib.shake_128(b"%d" % next(self._count)).digest(length)


def make_authority(home: Path) -> None:
    """Make an authority with a passphrase that is cheap to check."""
    AuthorityHome.create(home, PASSPHRASE, NETWORK, NOW_MS, CountedEntropy(), scrypt_cost=2)


@contextmanager
def opened(home: Path) -> Iterator[AuthorityHome]:
    """Open the authority in `home`."""
    seed = CountedEntropy()
    for _ in range((home / "authority" / "state").stat().st_size % 97):
        seed(1)
    with AuthorityHome.open(home, PASSPHRASE, seed) as authority:
        yield authority


def invite(
    authority: AuthorityHome,
    name: str,
    role: Role = Role.AGENT,
    squads: Sequence[str] = ("Queyras",),
    now_ms: int = NOW_MS,
    kind: DeviceClass = DeviceClass.PHONE,
) -> Invitation:
    """Return an invitation, for a phone where nothing else is said."""
    return authority.invite(name, role, kind, squads, now_ms)


def text_of(invitation: Invitation) -> str:
    """Return the text of an invitation."""
    return armour(TextForm.INVITATION, invitation.encode())


def request(device: Path, invitation: Invitation, now_ms: int = NOW_MS) -> Pending:
    """Make keys and a request in the home `device`."""
    read = read_invitation(text_of(invitation), now_ms)
    keys = make_keys()
    prekey = first_prekey(keys, read.zone, incarnation=5, seq=1, now_ms=now_ms, sealer=SEALER)
    return make_request(device, read, keys, prekey, vault_of(device))


def enrol(
    authority: AuthorityHome,
    device: Path,
    name: str,
    role: Role = Role.AGENT,
    squads: Sequence[str] = ("Queyras",),
    now_ms: int = NOW_MS,
) -> Accepted:
    """Enrol a device in the home `device` from invitation to identity."""
    pending = request(device, invite(authority, name, role, squads, now_ms), now_ms)
    answer = authority.issue(pending.text, now_ms)
    text = armour(TextForm.ANSWER, answer.encode())
    vault = vault_of(device)
    accepted = accept_answer(device, text, now_ms, SEALER, vault)
    finish(device, accepted, vault)
    return accepted
