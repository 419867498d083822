"""The authority's folder: three signing keys and a sealed memory, changed one whole step at a time.

HOME/authority holds root, regional and document key as passphrase-encrypted PKCS#8, and the
state sealed under the same passphrase; every file has mode 0600. A step is checked, saved, and
only then answered, so no roster version is ever given out twice. Source: security 2.2, 2.9.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from meshnode.authority_keys import AuthorityError, AuthorityKeys
from meshnode.authority_state import (
    AuthorityState,
    Enrolee,
    OpenInvitation,
    decode_state,
    held_rosters,
    roster_bodies,
)
from meshnode.files import make_private_folder, sync_folder, write_private
from protocol import bundle as bundles
from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignedDocument,
    SignerRule,
    build,
    document_signer,
    root_signer,
)
from protocol.documents import decode_name
from protocol.enrolment import (
    Answer,
    Invitation,
    Request,
    build_answer,
    check_request,
    decode_request_untrusted,
    read_prekey_untrusted,
    seal_secrets,
)
from protocol.envelope import HpkeSealer, PrekeyRecord
from protocol.errors import (
    EnrolmentError,
    IdentityError,
    LimitExceededError,
    RemoteProtocolError,
)
from protocol.identity import DeviceClass, Rights, Role
from protocol.issuing import (
    RegionalAuthority,
    RootAuthority,
    issue_badge,
    issue_link,
    make_regional,
    make_root,
    public_key_der,
    read_request_untrusted,
)
from protocol.limits import (
    ANSWER_DOCUMENTS_MAX,
    ANSWER_PREKEYS_MAX,
    AUTHORITY_MEMBERS_MAX,
    INVITATION_LIFE_MS,
    INVITATION_TRIES_MAX,
    INVITATIONS_MAX,
    MEMBERS_MAX,
    SQUADS_PER_BADGE_MAX,
)
from protocol.network_keys import KEY_BYTES, Secrets, WeeklyKey, epoch_at

__all__ = ["AuthorityError", "AuthorityHome", "Examined", "Network"]

Entropy = Callable[[int], bytes]
_REMEMBERED_MS = 7 * 86_400_000
"""An invitation is remembered this long after its end, so that its reuse is called by name."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a new authority is for."""

    name: str
    """Name of the network, 1-64 bytes of UTF-8."""
    zone: int
    """1-65535."""
    centre_name: str
    """What the operations centre of the zone is called."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A request that may be granted, once people have compared its code."""

    request: Request
    """As it came."""
    invitation: Invitation
    """What it answers."""
    badge_key: bytes
    """32 raw bytes, proven."""
    link_key: bytes
    """32 raw bytes, proven."""
    prekey: PrekeyRecord
    """The device's first prekey, proven."""


class AuthorityHome:
    """An open authority; made by `create` and `open`, and alone on its folder."""

    def __init__(
        self, folder: Path, keys: AuthorityKeys, state: AuthorityState, entropy: Entropy
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._entropy = entropy
        self.state = state

    # --- opening ---------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        home: Path,
        passphrase: str,
        network: Network,
        now_ms: int,
        entropy: Entropy,
        *,
        scrypt_cost: int | None = None,
    ) -> None:
        """Make the authority of `network` in HOME/authority, whole or not at all.

        Raises: AuthorityError if there is one already or the passphrase is empty; MalformedError
        or LimitExceededError for a name that does not fit.
        """
        network = Network(
            decode_name(_tidy(network.name).encode(), "name of the network"),
            network.zone,
            decode_name(_tidy(network.centre_name).encode(), "name of the zone"),
        )
        if not 1 <= network.zone <= 65_535:
            raise AuthorityError("a zone has a number from 1 to 65535")
        folder, fresh = home / "authority", home / "authority.new"
        if folder.exists():
            raise AuthorityError(f"{folder} exists already: an authority is never overwritten")
        shutil.rmtree(fresh, ignore_errors=True)
        make_private_folder(fresh)
        keys = AuthorityKeys.prepare(fresh, passphrase, entropy(16), scrypt_cost)
        authority = cls(fresh, keys, _first_state(network, keys, now_ms, entropy), entropy)
        authority._save(authority._with_rosters(authority.state, now_ms))
        os.rename(fresh, folder)
        sync_folder(home)

    @classmethod
    @contextmanager
    def open(cls, home: Path, passphrase: str, entropy: Entropy) -> Iterator[AuthorityHome]:
        """Open the authority in HOME/authority; nobody else can until the block is left.

        Raises: AuthorityError if there is none, it is in use, or the passphrase is wrong.
        """
        folder = home / "authority"
        if not folder.is_dir():
            raise AuthorityError(f"there is no authority in {home}: make one by 'authority init'")
        with _locked(folder / "lock"):
            keys = AuthorityKeys.unlock(folder, passphrase)
            try:
                sealed = (folder / "state").read_bytes()
            except OSError as error:
                raise AuthorityError(f"{folder} is damaged: restore it from its copy") from error
            yield cls(folder, keys, decode_state(keys.unseal(sealed)), entropy)

    # --- inviting --------------------------------------------------------------------------

    def invite(
        self,
        name: str,
        role: Role,
        device_class: DeviceClass,
        squads: Sequence[str],
        now_ms: int,
    ) -> Invitation:
        """Return a saved invitation, good for one device and one day.

        Raises: EnrolmentError (`name`, `squads`, `full`), MalformedError, LimitExceededError.
        """
        invitation = Invitation(
            token=self._entropy(8),
            secret=self._entropy(20),
            expires_s=(now_ms + INVITATION_LIFE_MS) // 1000,
            root_hash=self.state.root.digest,
            zone=self.state.zone,
            role=role,
            device_class=device_class,
            name=self._free_name(name, now_ms),
            squads=self._known_squads(squads, role),
        )
        kept = tuple(each for each in self.state.invitations if _is_remembered(each, now_ms))
        if len(kept) >= INVITATIONS_MAX:
            raise EnrolmentError("full", "too many invitations are open: wait until some expire")
        self._save(replace(self.state, invitations=(*kept, OpenInvitation(invitation))))
        return invitation

    def _free_name(self, name: str, now_ms: int) -> str:
        tidy = decode_name(_tidy(name).encode(), "name")
        wanted = tidy.casefold()
        if wanted in ("codt", "zone") or wanted.startswith("squad:"):
            raise EnrolmentError("name", f"'{tidy}' means something else to 'send': take another")
        taken = {enrolee.member.name.casefold() for enrolee in self.state.present}
        taken |= {
            each.invitation.name.casefold()
            for each in self.state.invitations
            if not each.is_used and now_ms <= each.invitation.expires_s * 1000
        }
        if wanted in taken:
            raise EnrolmentError("name", f"'{tidy}' is taken or invited already: take another name")
        return tidy

    def _known_squads(self, squads: Sequence[str], role: Role) -> tuple[str, ...]:
        """Return tidy names; a known squad keeps the spelling that its id comes from."""
        if role in (Role.AGENT, Role.LEADER) and not squads:
            raise EnrolmentError("squads", "an agent or a leader needs a squad: add --squad NAME")
        if len(squads) > SQUADS_PER_BADGE_MAX:
            raise LimitExceededError("squads of a device", SQUADS_PER_BADGE_MAX, len(squads))
        spelling = {
            name.casefold(): name
            for name in [
                *(name for each in self.state.invitations for name in each.invitation.squads),
                *(roster.name for roster in self.rosters() if roster.unit_id),
            ]
        }
        tidy = [decode_name(_tidy(name).encode(), "squad") for name in squads]
        known = [spelling.get(name.casefold(), name) for name in tidy]
        if len({name.casefold() for name in known}) != len(known):
            raise EnrolmentError("squads", "a squad is named twice")
        return tuple(known)

    # --- issuing ---------------------------------------------------------------------------

    def examine(self, text: str, now_ms: int) -> Examined:
        """Return what a request asks for, if it may be granted; a refusal counts as a try.

        Raises: EnrolmentError (`unknown`, `used`, `expired`, `tries`, `altered`, `known_key`,
        `full`); MalformedError, LimitExceededError, AuthenticationError, WeakKeyError.
        """
        request = decode_request_untrusted(text)
        entry = self._entry(request)
        if entry.is_used:
            raise EnrolmentError("used", "this invitation was used already: make a new one")
        if now_ms > entry.invitation.expires_s * 1000:
            raise EnrolmentError("expired", "this invitation is older than a day: make a new one")
        if entry.tries >= INVITATION_TRIES_MAX:
            raise EnrolmentError("tries", "too many wrong requests for this: make a new invitation")
        try:
            return self._check(request, entry.invitation)
        except (EnrolmentError, IdentityError, RemoteProtocolError):
            self._save(self.state.with_invitation(replace(entry, tries=entry.tries + 1)))
            raise

    def _entry(self, request: Request) -> OpenInvitation:
        for entry in self.state.invitations:
            if entry.invitation.token == request.token:
                return entry
        raise EnrolmentError("unknown", "this authority has made no such invitation")

    def _check(self, request: Request, invitation: Invitation) -> Examined:
        check_request(request, invitation.secret)
        badge_key = read_request_untrusted(request.badge_request, request.token)
        link_key = read_request_untrusted(request.link_request, request.token)
        known = {
            key for each in self.state.enrolees for key in (each.member.public_key, each.link_key)
        }
        if badge_key in known or link_key in known or badge_key == link_key:
            raise EnrolmentError("known_key", "this key is a known device's: make fresh keys")
        prekey = read_prekey_untrusted(request.prekey, badge_key, self.state.zone)
        if len(self.state.enrolees) >= AUTHORITY_MEMBERS_MAX:
            raise EnrolmentError("full", "this authority has as many devices as it can have")
        return Examined(request, invitation, badge_key, link_key, prekey)

    def issue(self, text: str, now_ms: int) -> Answer:
        """Return the answer to a request; the member and its rosters are saved before.

        Raises: as `examine`.
        """
        examined = self.examine(text, now_ms)
        invitation, request = examined.invitation, examined.request
        member = Member(
            examined.badge_key, invitation.role, invitation.device_class, invitation.name
        )
        enrolee = Enrolee(
            member, examined.link_key, invitation.squads, request.prekey, enrolled_ms=now_ms
        )
        rights = Rights(
            invitation.role, invitation.zone, invitation.squad_ids, invitation.device_class
        )
        regional = self._regional()
        entry = replace(
            self._entry(request),
            request_hash=hashlib.sha256(request.inner).digest(),
            badge=issue_badge(regional, examined.badge_key, rights, now_ms)[0],
            link=issue_link(regional, examined.link_key, now_ms)[0],
        )
        grown = replace(self.state, enrolees=(*self.state.enrolees, enrolee))
        after = self._with_rosters(grown.with_invitation(entry), now_ms)
        answer = self._answer(after, entry, enrolee, examined.prekey, now_ms)
        self._save(after)
        return answer

    def answer_again(self, text: str, now_ms: int) -> Answer | None:
        """Return a fresh copy of the answer to the very request that used its invitation.

        None for any other request. No certificate is issued. Raises: as `examine`.
        """
        request = decode_request_untrusted(text)
        entry = self._entry(request)
        if entry.request_hash != hashlib.sha256(request.inner).digest():
            return None
        check_request(request, entry.invitation.secret)
        key = read_request_untrusted(request.badge_request, request.token)
        enrolee = next(each for each in self.state.enrolees if each.member.public_key == key)
        if enrolee.is_removed:
            raise EnrolmentError("used", "the device of this request was removed since")
        prekey = read_prekey_untrusted(request.prekey, key, self.state.zone)
        return self._answer(self.state, entry, enrolee, prekey, now_ms)

    def _answer(
        self,
        state: AuthorityState,
        entry: OpenInvitation,
        enrolee: Enrolee,
        prekey: PrekeyRecord,
        now_ms: int,
    ) -> Answer:
        invitation, sealer = entry.invitation, HpkeSealer()
        is_relay = invitation.role is Role.RELAY
        secrets = state.secrets.for_relay() if is_relay else state.secrets
        return build_answer(
            invitation,
            ((entry.badge, state.badge_issuer), (entry.link, state.link_issuer)),
            [document.raw for document in state.documents],
            _prekeys_for(state, enrolee, now_ms),
            seal_secrets(prekey, invitation.token, secrets, sealer),
        )

    def take_keys(self, found: Sequence[WeeklyKey], now_ms: int) -> bool:
        """Hand out this week's keys from now on, if they are among `found`; False if they were."""
        after = self.state.with_weekly(found, now_ms)
        is_news = after.secrets != self.state.secrets
        if is_news:
            self._save(after)
        return is_news

    # --- members ---------------------------------------------------------------------------

    def remove(self, name: str, now_ms: int) -> None:
        """Take the device called `name` out of every roster; others then refuse what it writes.

        Raises: EnrolmentError (`name`).
        """
        wanted = _tidy(name).casefold()
        gone = [each for each in self.state.present if each.member.name.casefold() == wanted]
        if not gone:
            raise EnrolmentError("name", f"no device is called '{name}': see 'authority roster'")
        enrolees = tuple(
            replace(each, is_removed=True) if each in gone else each for each in self.state.enrolees
        )
        self._save(self._with_rosters(replace(self.state, enrolees=enrolees), now_ms))

    def rosters(self) -> tuple[RosterBody, ...]:
        """Return the rosters in force."""
        return held_rosters(self.state.documents)

    # --- documents and disk ----------------------------------------------------------------

    def _with_rosters(self, state: AuthorityState, now_ms: int) -> AuthorityState:
        """Return `state` with a new version of each roster that its members change."""
        held = {document.scope: document for document in state.documents[1:]}
        documents = [state.root]
        signer = None
        for body in roster_bodies(state):
            if len(body.members) > MEMBERS_MAX:
                raise EnrolmentError("full", f"'{body.name}' has {MEMBERS_MAX} members already")
            before, encoded = held.get(body.scope), body.encode()
            if before is not None and before.body == encoded:
                documents.append(before)
                continue
            signer = signer or document_signer(self._keys.read_ed25519("documents"))
            version = (state.root.epoch, before.version + 1 if before is not None else 1)
            documents.append(
                build(DocumentClass.ROSTER, body.scope, version, now_ms, encoded, [signer])
            )
        if len(documents) > ANSWER_DOCUMENTS_MAX:
            raise EnrolmentError("full", "this authority has as many squads as it can have")
        return replace(state, documents=tuple(documents))

    def _regional(self) -> RegionalAuthority:
        key = self._keys.read_ec("regional")
        return RegionalAuthority(key, self.state.badge_issuer, self.state.link_issuer)

    def _save(self, state: AuthorityState) -> None:
        sealed = self._keys.seal(state.encode(), self._entropy(12))
        write_private(self._folder / "state", sealed)
        self.state = state


def _first_state(
    network: Network, keys: AuthorityKeys, now_ms: int, entropy: Entropy
) -> AuthorityState:
    """Make and save the three keys; return the state with the first root document."""
    root, documents_key = make_root(now_ms), ed25519.Ed25519PrivateKey.generate()
    regional = make_regional(root, network.zone, now_ms)
    keys.write("root", root.key)
    keys.write("regional", regional.key)
    keys.write("documents", documents_key)
    week = epoch_at(now_ms)
    return AuthorityState(
        zone=network.zone,
        centre_name=network.centre_name,
        secrets=Secrets(entropy(16), entropy(KEY_BYTES), week, entropy(KEY_BYTES), week),
        anchor=root.certificate,
        badge_issuer=regional.badge_issuer,
        link_issuer=regional.link_issuer,
        documents=(_first_root(network.name, root, documents_key, now_ms),),
    )


def _first_root(
    name: str, root: RootAuthority, documents_key: ed25519.Ed25519PrivateKey, now_ms: int
) -> SignedDocument:
    roster_keys = (documents_key.public_key().public_bytes_raw(),)
    body = RootBody(
        network_name=name,
        epoch=1,
        root_keys=(public_key_der(root.key.public_key()),),
        anchors=(root.certificate,),
        rules=(
            SignerRule(DocumentClass.ROOT, 1, ()),
            SignerRule(DocumentClass.ROSTER, 1, roster_keys),
        ),
    )
    signers = [root_signer(root.key)]
    return build(DocumentClass.ROOT, b"", (1, 1), now_ms, body.encode(), signers)


def _tidy(name: str) -> str:
    """Return `name` in the one form in which equal names have equal bytes."""
    return unicodedata.normalize("NFC", name).strip()


def _is_remembered(each: OpenInvitation, now_ms: int) -> bool:
    return now_ms <= each.invitation.expires_s * 1000 + _REMEMBERED_MS


def _prekeys_for(state: AuthorityState, enrolee: Enrolee, now_ms: int) -> list[bytes]:
    """Return prekeys of the centre's readers and of squad mates that are still good."""
    scopes = {(unit, unit_id) for unit, unit_id, _ in enrolee.units(state.zone)}
    found = []
    for other in reversed(state.present):
        is_centre = other.member.role in (Role.GATEWAY, Role.OPERATOR)
        is_mate = any((unit, unit_id) in scopes for unit, unit_id, _ in other.units(state.zone))
        if other == enrolee or not (is_centre or is_mate):
            continue
        if bundles.decode_untrusted(other.prekey).header.expires_ms > now_ms:
            found.append((not is_centre, other.prekey))
    # The centre first: where there are too many, mates are met before it is.
    found.sort(key=lambda each: each[0])
    return [prekey for _, prekey in found[:ANSWER_PREKEYS_MAX]]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` locked. Raises: AuthorityError if another program does."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AuthorityError("another command uses this authority: wait for its end") from error
        yield
