"""An authority's folder: its keys and a sealed memory, changed one whole step at a time.

HOME/authority holds the signing keys as passphrase-encrypted PKCS#8, and the state sealed under
the same passphrase; every file has mode 0600. A step is computed, saved, and only then answered,
so no version of a document is ever given out twice. What a step means is said in the rooms
`authority_inviting`, `authority_issuing`, `authority_documents` and `authority_units`.
Source: security 2.1, 2.2, 2.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meshnode.authority_cards import open_card, write_card
from meshnode.authority_documents import (
    handed,
    held_rosters,
    in_order,
    new_operator_card,
    with_cards,
    with_rosters,
    with_taken,
    without_gone,
    without_strangers,
)
from meshnode.authority_folder import AuthorityFolder, reason_of
from meshnode.authority_founding import Network, found_region
from meshnode.authority_inviting import Asked, Entropy, find_device, invited, tidy
from meshnode.authority_issuing import (
    Examined,
    answer_to,
    check_open,
    check_request_of,
    entry_of,
    issued,
    pass_for,
    without_ended_passes,
)
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import Known
from meshnode.authority_roots import (
    HeldCard,
    RootHolders,
    new_root_cards,
    present_cards,
    renewed,
    without_operator,
)
from meshnode.authority_state import AuthorityState, CertifiedZone, HandedCard
from meshnode.authority_units import Adopted, adopted, granted, report_of
from meshnode.authority_waiting import Waiting, save_waiting
from meshnode.authority_zone_founding import load_zone_request
from meshnode.authority_zone_renewal import (
    SAME_CARDS,
    CardWish,
    ask_anew,
    renewed_state,
    with_placed_card,
)
from meshnode.authority_zones import (
    answered_before,
    certified,
    check_asked,
    dropped_zone,
    is_named,
)
from meshnode.files import erase, make_private_folder, sync_folder
from protocol.authority import RosterBody, SignedDocument
from protocol.delegation import UnitGrant, UnitReport, UnitRequest
from protocol.documents import decode_name
from protocol.enrolment import (
    Answer,
    Invitation,
    check_request,
    decode_request_untrusted,
    read_prekey_untrusted,
)
from protocol.envelope import HpkeSealer
from protocol.errors import (
    EnrolmentError,
    IdentityError,
    RemoteProtocolError,
    RightsError,
)
from protocol.identity import DeviceClass, Role
from protocol.issuing import UnitAuthority, read_request_untrusted
from protocol.network_keys import WeeklyKey
from protocol.orders import Revocation
from protocol.zones import ZoneAnswer, ZoneRequest

__all__ = ["AuthorityError", "AuthorityHome", "Examined", "Network"]


class AuthorityHome(AuthorityFolder):
    """An open authority; made by `create` and `open`, and alone on its folder."""

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
    ) -> tuple[Path, ...]:
        """Make the authority of `network` in HOME/authority, whole or not at all.

        Returns the cards that it made in HOME/cards: one for an operator, three for wipe orders
        and three of the root, all under the same passphrase until `hand_over` gives each to its
        holder.
        Raises: AuthorityError if there is one already or the passphrase is too short;
        MalformedError or LimitExceededError for a name that does not fit.
        """
        return found_region(home, passphrase, network, now_ms, entropy, scrypt_cost)

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

        Raises: EnrolmentError (`name`, `squads`, `full`), RightsError beyond the scope of a unit
        authority, MalformedError, LimitExceededError.
        """
        asked = Asked(name, role, device_class, squads)
        with self._noting_refusals(now_ms):
            after, invitation = invited(self.state, asked, now_ms, self._entropy)
        self._save(after)
        return invitation

    def invite_instead(
        self, name: str, now_ms: int, device_class: DeviceClass | None = None
    ) -> Invitation:
        """Return a saved invitation for the device that takes the place of the one called `name`.

        It gets the same name, role and squads; at issue the old one leaves the rosters and stands
        on the draft of revocations. Raises: as `invite`.
        """
        with self._noting_refusals(now_ms):
            old = find_device(self.state, name)
            kind = device_class or old.member.device_class
            asked = Asked(old.member.name, old.member.role, kind, old.squads)
            after, invitation = invited(self.state, asked, now_ms, self._entropy, old)
        self._save(after)
        return invitation

    # --- issuing ---------------------------------------------------------------------------

    def examine(self, text: str, now_ms: int) -> Examined:
        """Return what a request asks for, if it may be granted; a refusal counts as a try.

        Raises: EnrolmentError (`unknown`, `used`, `expired`, `tries`, `altered`, `known_key`,
        `full`, `ended`, `revoked`); RightsError, MalformedError, LimitExceededError,
        AuthenticationError, WeakKeyError.
        """
        request = decode_request_untrusted(text)
        try:
            entry = entry_of(self.state, request)
            check_open(entry, now_ms)
        except EnrolmentError as error:
            self._save(self.state.with_note(now_ms, "refused", error.reason))
            raise
        try:
            return check_request_of(self.state, request, entry, now_ms)
        except (EnrolmentError, IdentityError, RemoteProtocolError) as error:
            counted = self.state.with_invitation(replace(entry, tries=entry.tries + 1))
            self._save(counted.with_note(now_ms, "refused", reason_of(error)))
            raise

    def issue(self, text: str, now_ms: int) -> Answer:
        """Return the answer to a request; the member and its rosters are saved before.

        A unit authority gives a pass, because the region alone writes rosters. Raises: as
        `examine`.
        """
        examined = self.examine(text, now_ms)
        issuer = self._issuer()
        after, entry, enrolee = issued(self.state, examined, issuer, now_ms)
        if isinstance(issuer, UnitAuthority):
            after = without_ended_passes(after, now_ms)
            after = after.with_document(pass_for(issuer, entry, enrolee, now_ms))
        else:
            after = with_rosters(after, self._roster_signers, now_ms)
        answer = answer_to(after, entry, enrolee, examined.prekey, now_ms)
        self._save(after)
        return answer

    def answer_again(self, text: str, now_ms: int) -> Answer | None:
        """Return a fresh copy of the answer to the very request that used its invitation.

        None for any other request. No certificate is issued. Raises: as `examine`.
        """
        request = decode_request_untrusted(text)
        entry = entry_of(self.state, request)
        if entry.request_hash != hashlib.sha256(request.inner).digest():
            return None
        check_request(request, entry.invitation.secret)
        key = read_request_untrusted(request.badge_request, request.token)
        enrolee = next(each for each in self.state.enrolees if each.member.public_key == key)
        if enrolee not in self.state.present:
            raise EnrolmentError("used", "the device of this request was removed since")
        prekey = read_prekey_untrusted(request.prekey, key, self.state.zone)
        return answer_to(self.state, entry, enrolee, prekey, now_ms)

    def take_keys(self, found: Sequence[WeeklyKey], now_ms: int) -> bool:
        """Hand out this week's keys from now on, if they are among `found`; False if they were."""
        after = self.state.with_weekly(found, now_ms)
        is_news = after.secrets != self.state.secrets
        if is_news:
            self._save(after.with_note(now_ms, "keys", str(after.secrets.knock_epoch)))
        return is_news

    # --- members ---------------------------------------------------------------------------

    def remove(self, name: str, now_ms: int) -> None:
        """Take the device called `name` out of every roster; others then refuse what it writes.

        Raises: EnrolmentError (`name`), RightsError in a unit authority.
        """
        self._refuse_unit()
        gone = find_device(self.state, name)
        enrolees = tuple(
            replace(each, is_removed=True) if each is gone else each for each in self.state.enrolees
        )
        after = replace(self.state, enrolees=enrolees)
        after = after.with_note(now_ms, "removed", gone.member.name)
        self._save(with_rosters(after, self._roster_signers, now_ms))

    def rosters(self) -> tuple[RosterBody, ...]:
        """Return the rosters in force."""
        return held_rosters(self.state.documents)

    # --- units -----------------------------------------------------------------------------

    def grant(
        self, request: UnitRequest, name: str, squads: Sequence[str], now_ms: int
    ) -> UnitGrant:
        """Return a saved grant: the leader called `name` may enrol in `squads` for thirty days.

        Raises: RightsError beyond the leader's own rights, EnrolmentError (`name`, `squads`,
        `known_key`).
        """
        regional = self._issuer()
        with self._noting_refusals(now_ms):
            after, grant = granted(self.state, request, name, squads, regional, now_ms)
        self._save(after)
        return grant

    def report(self) -> UnitReport:
        """Return what this unit authority has issued, for the region to adopt.

        Raises: RightsError for a region.
        """
        if not self.state.is_unit:
            raise RightsError("a region reports to nobody: its rosters say whom it enrolled")
        return report_of(self.state, self._keys.read_ec("unit"))

    def adopt(self, report: UnitReport, now_ms: int) -> Adopted:
        """Take the devices that a unit authority enrolled into the rosters, all or none.

        Raises: EnrolmentError (`unknown`, `revoked`, `known_key`, `full`, `altered`), RightsError,
        and the errors of what does not hold.
        """
        self._refuse_unit()
        with self._noting_refusals(now_ms):
            after, found = adopted(self.state, report, now_ms)
        self._save(with_rosters(after, self._roster_signers, now_ms))
        return found

    # --- documents -------------------------------------------------------------------------

    @property
    def known(self) -> Known:
        """The documents in force here, for a card to work on."""
        return Known(self.state.documents)

    def take(self, raws: Sequence[bytes], now_ms: int) -> tuple[int, tuple[str, ...]]:
        """Take in documents that others signed; return how many took effect, and refusals.

        Raises: MalformedError, LimitExceededError for bytes that are no documents.
        """
        after, taken, refusals = with_taken(self.state, raws)
        if taken:
            self._save(self._settled(after, now_ms).with_note(now_ms, "taken", str(taken)))
        return taken, refusals

    def note_signed(
        self, document: SignedDocument, subject: str, now_ms: int
    ) -> tuple[SignedDocument, ...]:
        """Save what a card has signed here; what it revokes leaves the draft.

        Returns the documents that changed, `document` first. Raises: AuthorityError if it would
        not be accepted.
        """
        before = set(self.state.documents)
        after, taken, refusals = with_taken(self.state, [document.raw])
        if refusals:
            raise AuthorityError(refusals[0])
        if taken:
            after = self._settled(after, now_ms)
            self._save(after.with_note(now_ms, document.cls.name.lower(), subject))
        changed = [each for each in self.state.documents if each not in before]
        return (document, *(each for each in changed if each != document))

    def _settled(self, state: AuthorityState, now_ms: int) -> AuthorityState:
        """Return the state in which what is revoked stands on no draft, and where it must not.

        A revoked device stays in the rosters for a while, see `without_gone`.
        """
        if state.root != self.state.root:
            state = without_strangers(state, state.root_body)
        revoked = state.revoked
        drafts = tuple(each for each in state.drafts if each.subject not in revoked)
        after = without_gone(replace(state, drafts=drafts), now_ms)
        is_same = after.enrolees == state.enrolees and after.root.epoch == self.state.root.epoch
        if after.is_unit or is_same or not is_named(after):
            return after
        return with_rosters(after, self._roster_signers, now_ms)

    def draft(self, entries: Sequence[Revocation]) -> None:
        """Put devices on the draft of revocations, for the next card that comes by."""
        subjects = {each.subject for each in entries}
        others = tuple(each for each in self.state.drafts if each.subject not in subjects)
        self._save(replace(self.state, drafts=(*others, *entries)))

    # --- cards -----------------------------------------------------------------------------

    def hand_over(
        self, label: str, holder: str, path: Path, passphrases: tuple[str, str], now_ms: int
    ) -> HandedCard:
        """Give a card of HOME/cards to its holder: write it to `path`, and keep nothing of it.

        `passphrases` are the one of this folder and the holder's own. Raises: AuthorityError if
        the card was handed over before, or a passphrase is wrong, too short, or the same.
        """
        old, new = passphrases
        if old == new:
            raise AuthorityError("the holder takes a passphrase that nobody else knows")
        place = self._folder.parent / "cards" / f"{label}.card"
        if not place.exists():
            raise AuthorityError(f"{place} is not here: the card was handed over, or never made")
        name = decode_name(tidy(holder).encode(), "name of the holder")
        card = replace(open_card(place, old), holder=name)
        write_card(path, card, new, self._entropy, self._keys.scrypt_cost)
        if open_card(path, new).public != card.public:
            raise AuthorityError(f"{path} was not written well: take another place")
        mine = handed(card)
        others = [each for each in self.state.cards if each.signers != mine.signers]
        after = replace(self.state, cards=in_order([*others, mine]))
        self._save(after.with_note(now_ms, "handed", label))
        place.unlink()
        sync_folder(place.parent)
        return mine

    def root_holders(self, brought: Sequence[HeldCard], now_ms: int) -> RootHolders:
        """Return who signs the next root: the cards `brought`, and those that are still here.

        Raises: AuthorityError for a card that the root does not name; RightsError in a unit
        authority or a further zone.
        """
        self._refuse_below()
        here = present_cards(self._folder.parent / "cards", self.state, self._passphrase)
        return RootHolders(self.state, self._keys, brought, here, now_ms, self._entropy)

    def renew_root(self, holders: RootHolders, now_ms: int) -> tuple[Path, ...]:
        """Make three new root cards in HOME/cards, which alone sign roots from now on.

        For a card that was lost or stolen, once a holder left, and for a folder that holds a root
        key itself. The files are written first: a root without its cards could not be changed.
        Raises: AuthorityError, RightsError as `root_holders`.
        """
        self._refuse_below()
        cards, folder = new_root_cards(self.state), self._folder.parent / "cards"
        places = tuple(folder / f"{card.label}.card" for card in cards)
        after = renewed(self.state, holders, cards)
        after = with_rosters(after, self._roster_signers, now_ms)
        make_private_folder(folder)
        for card, place in zip(cards, places, strict=True):
            write_card(place, card, self._passphrase, self._entropy, self._keys.scrypt_cost)
        self._save(after.with_note(now_ms, "rooted", str(after.root.epoch)))
        for old in set(folder.glob("root-*.card")) - {*places}:
            erase(old)
        self._keys.forget_root()
        return places

    def add_operator(
        self, holder: str, path: Path, passphrase: str, holders: RootHolders, now_ms: int
    ) -> HandedCard:
        """Write a new operator's card to `path` and name it in a new root document.

        The file is written first: a root that names a card which nobody has could not be used.
        Raises: AuthorityError, RightsError as `root_holders`; MalformedError for an odd name.
        """
        self._refuse_below()
        card = new_operator_card(self.state, tidy(holder))
        after = with_cards(self.state, [card], [], holders.sign)
        write_card(path, card, passphrase, self._entropy, self._keys.scrypt_cost)
        self._save(after.with_note(now_ms, "carded", card.label))
        return handed(card)

    def drop_operator(
        self, number: int, holders: RootHolders, now_ms: int, *, is_list_void: bool = False
    ) -> HandedCard:
        """Name an operator's card in the root no longer, such as one that was lost.

        What it alone revoked is put on the draft, and leaves the rosters at once: until it is
        revoked again nothing else says that it is not trusted. With `is_list_void`, for a card
        that somebody else used, all that is trusted again. Raises: AuthorityError, RightsError.
        """
        self._refuse_below()
        after, dropped = without_operator(self.state, number, holders, is_list_void=is_list_void)
        after = with_rosters(after, self._roster_signers, now_ms)
        self._save(after.with_note(now_ms, "uncarded", f"operator-{number}"))
        return dropped

    # --- further zones ---------------------------------------------------------------------

    def check_zone(self, request: ZoneRequest, now_ms: int) -> None:
        """Check that a request may be certified, before people bring cards.

        Raises: RightsError, EnrolmentError (`zone`, `used`, `known_key`, `full`).
        """
        with self._noting_refusals(now_ms):
            check_asked(self.state, request)

    def zone_again(self, request: ZoneRequest) -> ZoneAnswer | None:
        """Return a fresh copy of the answer that this request had; None if it had none.

        Nothing is certified, and no root is signed.
        """
        return answered_before(self.state, request)

    def certify_zone(self, request: ZoneRequest, holders: RootHolders, now_ms: int) -> ZoneAnswer:
        """Let a further zone in; the root that names it is saved before the answer is given.

        Raises: as `check_zone`; AuthorityError for too few root cards, or no room in the root.
        """
        with self._noting_refusals(now_ms):
            after, answer = certified(self.state, request, holders.sign, now_ms)
        self._save(with_rosters(after, self._roster_signers, now_ms))
        return answer

    def ask_anew(self, now_ms: int, wish: CardWish = SAME_CARDS) -> ZoneRequest:
        """Return this zone's request for fresh certificates, or for the cards that it wishes.

        It waits here for its answer. Raises: as `zone_renewal.ask_anew`.
        """
        secret, record = HpkeSealer().make_prekey(now_ms)
        with self._noting_refusals(now_ms):
            request = ask_anew(
                self._folder, self.state, self._keys, record, wish, self._passphrase, self._entropy
            )
        waiting = Waiting(self._keys, secret, request.text)
        save_waiting(self._folder / "zone-request", waiting, self._entropy)
        return request

    def take_renewal(self, answer: ZoneAnswer, now_ms: int) -> Path | None:
        """Go on under an answer whose digits people compared; return where a new card is, if any.

        Raises: EnrolmentError, and the errors of what does not hold; then nothing is changed.
        """
        with self._noting_refusals(now_ms):
            home = self._folder.parent
            pending = load_zone_request(home, self._passphrase, self._folder.name)
            after = renewed_state(self.state, pending, answer, now_ms, self._entropy)
        after, place = with_placed_card(
            self._folder, after, pending.request, self._passphrase, now_ms
        )
        self._save(with_rosters(self._settled(after, now_ms), self._roster_signers, now_ms))
        (self._folder / "zone-request").unlink()
        return place

    def drop_zone(self, zone: int, holders: RootHolders, now_ms: int) -> CertifiedZone:
        """Trust nothing of a further zone any more: its badges, rosters, revocations, beacons.

        Raises: RightsError, EnrolmentError (`zone`), AuthorityError.
        """
        self._refuse_below()
        with self._noting_refusals(now_ms):
            after, dropped = dropped_zone(self.state, zone, holders.sign, now_ms)
        self._save(with_rosters(after, self._roster_signers, now_ms))
        return dropped
