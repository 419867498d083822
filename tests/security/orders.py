"""The centre of a town: cards that revoke and wipe, and a root that names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshnode.authority_home import AuthorityHome
from meshnode.authority_roots import present_cards
from meshnode.config import Settings
from meshnode.enrol import read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from protocol.armour import TextForm, armour
from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    Signer,
    SignerRule,
    build,
    decode_root_untrusted,
    document_signer,
)
from protocol.identity import DeviceClass, Role
from protocol.ids import NodeId
from protocol.orders import Revocation, RevocationBody, WipeBody, WipeLevel
from tests.meshnode.enrolling import CHEAP, SECRET
from tests.security.parts import PASSPHRASE, SETTINGS, SQUAD, Town

__all__ = ["Centre", "centre_of", "dialling", "enrol_phone"]

_REVOKERS, _WIPERS = 2, 3


@dataclass(frozen=True, slots=True)
class Centre:
    """Signs what the centre of a town orders."""

    root: SignedDocument
    """Names the cards."""
    revokers: tuple[Signer, ...]
    """Each revokes alone."""
    wipers: tuple[Signer, ...]
    """Any two order a wipe."""

    def revocations(
        self, nodes: Sequence[NodeId], version: int, *, signer: Signer | None = None, card: int = 0
    ) -> SignedDocument:
        """Return the list of a card that revokes these devices, with nothing good of theirs."""
        now_ms = self.root.issued_ms
        entries = tuple(Revocation(each, now_ms, 0, 0) for each in sorted(nodes))
        return self.signed_list(entries, version, signer=signer, card=card)

    def signed_list(
        self,
        entries: Sequence[Revocation],
        version: int,
        *,
        signer: Signer | None = None,
        card: int = 0,
    ) -> SignedDocument:
        """Return a list with these entries; `signer` signs in the place of the card."""
        own, body = self.revokers[card], RevocationBody(tuple(entries)).encode()
        by = signer or own
        at = (self.root.epoch, version)
        scope = by.signer_id
        return build(DocumentClass.REVOCATION, scope, at, self.root.issued_ms, body, [by])

    def wipe(
        self,
        nodes: Sequence[NodeId],
        order_id: bytes = b"order-01",
        *,
        level: WipeLevel = WipeLevel.ALL,
        cards: Sequence[int] = (0, 1),
    ) -> SignedDocument:
        """Return an order signed with these of the three cards."""
        body = WipeBody(level, tuple(sorted(nodes))).encode()
        signers = [self.wipers[card] for card in cards]
        at = (self.root.epoch, 1)
        return build(DocumentClass.WIPE, order_id, at, self.root.issued_ms, body, signers)


def centre_of(town: Town) -> Centre:
    """Return a centre with new cards, and the root that names them."""
    keys = [Ed25519PrivateKey.generate() for _ in range(_REVOKERS + _WIPERS)]
    revokers, wipers = keys[:_REVOKERS], keys[_REVOKERS:]
    with AuthorityHome.open(town.home("hq"), PASSPHRASE, system_runtime().entropy) as authority:
        held = authority.state.root
        cards = present_cards(town.home("hq") / "cards", authority.state, PASSPHRASE)[:2]
        signers = [half for each in cards for half in each.card.keys[0].signers]
    body = decode_root_untrusted(held.body)
    rules = {rule.cls: rule for rule in body.rules}
    rules[DocumentClass.REVOCATION] = SignerRule(DocumentClass.REVOCATION, 1, _raws(revokers))
    rules[DocumentClass.WIPE] = SignerRule(DocumentClass.WIPE, 2, _raws(wipers))
    return Centre(
        _root(replace(body, rules=tuple(rules[cls] for cls in sorted(rules))), held, signers),
        tuple(map(document_signer, revokers)),
        tuple(map(document_signer, wipers)),
    )


def _root(body: RootBody, held: SignedDocument, signers: Sequence[Signer]) -> SignedDocument:
    at, now_ms = (held.epoch, held.version + 1), system_runtime().now_ms()
    return build(DocumentClass.ROOT, b"", at, now_ms, body.encode(), signers)


def _raws(keys: Sequence[Ed25519PrivateKey]) -> tuple[bytes, ...]:
    return tuple(sorted(key.public_key().public_bytes_raw() for key in keys))


async def enrol_phone(town: Town, name: str, documents: Sequence[bytes] = ()) -> Path:
    """Enrol a device with a secret, `SECRET`; return its home."""
    runtime, home = system_runtime(), town.home(name)
    with AuthorityHome.open(town.home("hq"), PASSPHRASE, runtime.entropy) as authority:
        asked = authority.invite(name, Role.AGENT, DeviceClass.PHONE, [SQUAD], runtime.now_ms())
        invitation = read_invitation(armour(TextForm.INVITATION, asked.encode()), runtime.now_ms())
        pending = await request_for(home, invitation, runtime, SECRET, cost=CHEAP)
        answer = authority.issue(pending.text, runtime.now_ms())
    await complete(home, armour(TextForm.ANSWER, answer.encode()), runtime, SECRET)
    async with open_home(home, SETTINGS, runtime) as node:
        await node.membership.accept(documents)
    return home


def dialling(*places: str) -> Settings:
    """Return the settings of a node that dials these places again and again."""
    return replace(SETTINGS, links=replace(SETTINGS.links, static=places))
