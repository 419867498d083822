"""Security cases S05 and S09: certificates that nobody may give, and tokens that are misused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from meshnode.authority_home import AuthorityHome
from meshnode.authority_keys import AuthorityKeys
from meshnode.enrol import make_keys
from meshnode.node import Node
from meshnode.runtime import system_runtime
from meshnode.store import peers
from protocol.armour import TextForm, armour
from protocol.enrolment import Request, build_request, decode_request_untrusted
from protocol.errors import CloseCode, EnrolmentError
from protocol.identity import (
    BADGE_USES,
    RIGHTS_OID,
    UNIT_RANK,
    AuthorityRights,
    DeviceClass,
    Rights,
    Role,
    binding_message,
    verify_badge_untrusted,
)
from protocol.ids import node_id_of, squad_id_of
from protocol.limits import INVITATION_LIFE_MS, INVITATION_TRIES_MAX
from protocol.reports import Reception
from protocol.session.frames import FrameType
from tests.meshnode.enrolling import NOW_MS, invite, make_authority, opened, request
from tests.protocol.issuers import Issuer
from tests.security.parts import (
    BOX,
    PASSPHRASE,
    SQUAD,
    ZONE,
    Peer,
    Town,
    Writer,
    rising,
    running,
    serves,
)

SQUADS = (squad_id_of(ZONE, SQUAD),)
HOUR_MS = 3_600_000


# --- S05: certificates beyond one's rights ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intruder:
    """A device that somebody certified who may not."""

    key: ed25519.Ed25519PrivateKey
    """Of its badge."""
    chain: tuple[bytes, ...]
    """DER, badge first."""


def _key_usage() -> tuple[x509.ExtensionType, bool]:
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    return usage, True


def certified(issuer: Issuer, rights: Rights) -> Intruder:
    """Let an issuer certify a fresh key with these rights."""
    key = ed25519.Ed25519PrivateKey.generate()
    node = node_id_of(key.public_key().public_bytes_raw())
    name = x509.UniformResourceIdentifier(f"urn:mesh:{node.hex()}")
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        _key_usage(),
        (x509.SubjectAlternativeName([name]), True),
        (x509.ExtendedKeyUsage(BADGE_USES), False),
        (x509.UnrecognizedExtension(RIGHTS_OID, rights.encode()), False),
    ]
    return Intruder(key, (issuer.issue(key.public_key(), extensions), *issuer.chain))


def unit_of(town: Town, squads: tuple[bytes, ...] = SQUADS) -> Issuer:
    """Return the authority of a unit, made by the real regional authority of the town."""
    now_ms, home = system_runtime().now_ms(), town.home("hq")
    regional = AuthorityKeys.unlock(home / "authority", PASSPHRASE).read_ec("regional")
    with AuthorityHome.open(home, PASSPHRASE, system_runtime().entropy) as authority:
        certificate = authority.state.badge_issuer
    zone = Issuer(regional, certificate, now_ms=now_ms)
    return zone.below(AuthorityRights(UNIT_RANK, ZONE, squads).encode())


AGENT = Rights(Role.AGENT, ZONE, SQUADS, DeviceClass.PHONE)


def _by_a_badge(town: Town) -> Intruder:
    mallory = town.identity("mallory")
    now_ms = system_runtime().now_ms()
    device = Issuer(
        mallory.badge_key, mallory.badge_chain[0], mallory.badge_chain[1:], now_ms=now_ms
    )
    return certified(device, AGENT)


def _of_its_own_rank(town: Town) -> Intruder:
    return certified(unit_of(town), replace(AGENT, role=Role.LEADER))


def _of_a_higher_rank(town: Town) -> Intruder:
    return certified(unit_of(town), replace(AGENT, role=Role.OPERATOR))


def _of_another_zone(town: Town) -> Intruder:
    return certified(unit_of(town), replace(AGENT, zone=ZONE + 1))


def _of_another_squad(town: Town) -> Intruder:
    other = squad_id_of(ZONE, "Ubaye")
    return certified(unit_of(town), replace(AGENT, squads=tuple(sorted((*SQUADS, other)))))


def _by_a_further_authority(town: Town) -> Intruder:
    further = unit_of(town).below(AuthorityRights(UNIT_RANK, ZONE, SQUADS).encode())
    return certified(further, AGENT)


ABUSES: dict[str, Callable[[Town], Intruder]] = {
    "by a badge": _by_a_badge,
    "a role of its own rank": _of_its_own_rank,
    "a role above its own": _of_a_higher_rank,
    "another zone": _of_another_zone,
    "another squad": _of_another_squad,
    "a further authority": _by_a_further_authority,
}


def test_the_unit_authority_of_these_cases_may_certify_what_it_should(town: Town) -> None:
    """Otherwise its certificates would be refused for a reason of their own."""
    honest = certified(unit_of(town), AGENT)
    now_ms = system_runtime().now_ms()
    assert verify_badge_untrusted(honest.chain, town.anchors, now_ms).role is Role.AGENT


async def show(peer: Peer, intruder: Intruder) -> None:
    """Say hello with the intruder's badge, bound to the link by its own key."""
    signature = intruder.key.sign(binding_message(peer.link.local_certificate))
    shown = peer.hello(badge_chain=intruder.chain, binding_signature=signature)
    await peer.send(FrameType.HELLO, shown)


async def refused_at(town: Town, node: Node, intruder: Intruder) -> None:
    """Check that a node refuses the badge, counts it, and notes nobody's presence."""
    async with (
        rising(node, "peers_refused"),
        Peer.dialled(town, "mallory", node) as peer,
    ):
        await show(peer, intruder)
        assert await peer.ended() is CloseCode.NOT_AUTHENTICATED
        assert peer.seen == []
    await node.contact_log.flush()
    known = {each.node for each in await node.store.read(peers.list_peers)}
    assert node_id_of(intruder.key.public_key().public_bytes_raw()) not in known


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("victim", [BOX, "alice", "centre"])
@pytest.mark.parametrize("abuse", ABUSES)
async def test_s05_a_certificate_beyond_its_issuers_rights_is_refused_by_everybody(
    town: Town, abuse: str, victim: str, *, restarted: bool
) -> None:
    intruder = ABUSES[abuse](town)
    traced: list[str] = []

    def trace(event: str, /, **fields: object) -> None:
        traced.append(f"{event} {fields}")

    if restarted:
        async with running(town.home(victim), trace) as node:
            await refused_at(town, node, intruder)
    async with running(town.home(victim), trace) as node:
        await refused_at(town, node, intruder)
        # What it signs is carried by nobody, whoever brings it.
        name = node_id_of(intruder.key.public_key().public_bytes_raw())
        writer = Writer(replace(town.identity("mallory"), badge_key=intruder.key))
        foreign = writer.bundle(author=name)
        outcomes = await node.relay.receive(None, [(0, foreign)])
        assert [fate for _short, fate in outcomes] == [Reception.UNKNOWN_AUTHOR]
        await serves(town, node, "bob")
    secret = intruder.key.private_bytes_raw().hex()
    assert [line for line in traced if secret in line] == []
    # For its rights, or because its issuer is none; not because the copy is a bad one.
    reasons = [line for line in traced if line.startswith("peer_refused")]
    assert reasons
    assert all("RightsError" in line or "NotEnrolledError" in line for line in reasons)


# --- S09: tokens of enrolment ----------------------------------------------------------------


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """The home of an authority."""
    make_authority(tmp_path / "office")
    return tmp_path / "office"


class Desk:
    """An authority that is closed and opened again before every step, or stays open."""

    def __init__(self, home: Path, *, restarted: bool) -> None:
        self._home = home
        self._restarted = restarted
        self._open: AuthorityHome | None = None

    @contextmanager
    def at_work(self) -> Iterator[Desk]:
        """Keep it open for the block, if it is to stay open."""
        if self._restarted:
            yield self
            return
        with opened(self._home) as authority:
            self._open = authority
            yield self

    @contextmanager
    def authority(self) -> Iterator[AuthorityHome]:
        """Give the open authority."""
        if self._open is not None:
            yield self._open
            return
        with opened(self._home) as authority:
            yield authority

    def refuses(self, text: str, reason: str, now_ms: int = NOW_MS) -> str:
        """Check the reason, and that nothing was issued; return what was said."""
        with self.authority() as authority:
            before = authority.state
            with pytest.raises(EnrolmentError) as caught:
                authority.issue(text, now_ms)
            after = authority.state
        assert caught.value.reason == reason
        assert after.enrolees == before.enrolees
        assert after.documents == before.documents
        issued = [(each.badge, each.link) for each in after.invitations]
        assert issued == [(each.badge, each.link) for each in before.invitations]
        return str(caught.value)

    def tries(self, token: bytes) -> int:
        """Return how many wrong requests were counted for a token."""
        with self.authority() as authority:
            (entry,) = (e for e in authority.state.invitations if e.invitation.token == token)
        return entry.tries


def altered(text: str) -> str:
    """Return a request whose keys were exchanged after its MAC was made."""
    read = decode_request_untrusted(text)
    forged = replace(
        read, inner=read.inner.replace(read.link_request, read.badge_request, 1), mac=read.mac
    )
    assert isinstance(forged, Request)
    assert forged.inner != read.inner
    return armour(TextForm.REQUEST, forged.encode())


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
def test_s09_a_token_is_good_once_in_time_for_one_device_that_is_new(
    office: Path, tmp_path: Path, *, restarted: bool
) -> None:
    said: list[str] = []
    secrets: list[bytes] = []
    with Desk(office, restarted=restarted).at_work() as desk:
        with desk.authority() as authority:
            invited = {name: invite(authority, name) for name in ("a", "b", "c", "d", "e")}
        made = {name: request(tmp_path / name, each) for name, each in invited.items()}
        secrets += [each.secret for each in invited.values()]

        # Used twice: by the same device, and by another that saw the code.
        with desk.authority() as authority:
            authority.issue(made["a"].text, NOW_MS)
        other = request(tmp_path / "thief", invited["a"])
        said += [desk.refuses(each.text, "used") for each in (made["a"], other)]

        # One hour after it ended.
        late_ms = NOW_MS + INVITATION_LIFE_MS + HOUR_MS
        said.append(desk.refuses(made["b"].text, "expired", late_ms))

        # Changed after its MAC; the sixth try is refused even if all is right.
        for number in range(INVITATION_TRIES_MAX):
            assert desk.tries(invited["c"].token) == number
            said.append(desk.refuses(altered(made["c"].text), "altered"))
        said.append(desk.refuses(made["c"].text, "tries"))
        assert desk.tries(invited["c"].token) == INVITATION_TRIES_MAX

        # The key of a device that is registered, under a token that is good.
        keys = replace(make_keys(), badge=made["a"].keys.badge)
        built = build_request(invited["d"], keys.badge, keys.link, made["a"].prekey.container)
        known = armour(TextForm.REQUEST, built.encode())
        said.append(desk.refuses(known, "known_key"))
        assert desk.tries(invited["d"].token) == 1

        # The honest are still served, with the tokens that were attacked too.
        with desk.authority() as authority:
            for name in ("d", "e"):
                authority.issue(made[name].text, NOW_MS)
    assert len(set(said)) == 5, "each refusal has a sentence of its own"
    words = [*(secret.hex() for secret in secrets), *(repr(secret) for secret in secrets)]
    assert [line for line in said for word in words if word in line] == []
