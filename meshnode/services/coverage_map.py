"""The map of white zones: learns where networks worked in our shift, and joins what squads learned.

While a shift is open, a look at the network in a place that is known well counts into a cell of a
coarse grid. When the shift is over, and never before, its counts go to the squad and to the centre
under a name that says nothing, and nobody keeps who sent them. What is foretold is the business of
`protocol.forecast`. Source: wire-format 4.41-4.43, decision 59.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import QuotaError, StoreFullError
from meshnode.membership import Membership
from meshnode.opening import Opened
from meshnode.positions import OpenShift, Positions
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.services.readings import CoverageSeen, PlaceSeen, Readings
from meshnode.store import bundles, delivery
from meshnode.store import coverage as rows
from meshnode.store.coverage import Untold
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.vault.kinds import day_of
from protocol import hlc, payloads
from protocol.bundle import Bundle, Header, Scope, ScopeKind, Suite
from protocol.cells import Part, cell_of, part_of
from protocol.coverage import (
    NAME_BYTES,
    WINDOW_DAYS,
    Contribution,
    Tally,
    contribution_id,
    published,
    summed,
)
from protocol.envelope import pad, seal_message
from protocol.errors import MalformedError
from protocol.forecast import Outlook, outlooks
from protocol.ids import NodeId
from protocol.limits import KINDS, Kind
from protocol.payloads import CoverageMap
from protocol.states import Bearer

__all__ = ["ACCURACY_M_MAX", "PER_DAY_MAX", "CoverageLearning"]

ACCURACY_M_MAX: Final = 150.0
"""A place that is known worse may be in the next cell but one; one of unknown accuracy, too."""
_FRESH_MS: Final = 60_000
"""A place, or a look at the network, that is older is of elsewhere."""
PER_DAY_MAX: Final = 8
"""Contributions of one author to one group on one day; nobody has so many shifts."""
_AUTHORS_MAX: Final = 4_096
"""Authors, groups and days whose contributions are counted."""
_SEQ_MAX: Final = 2**63 - 1
_UNTOLD_MS: Final = 1_000 * KINDS[Kind.COVERAGE].lifetime_s
"""What could not be told for so long after its shift is erased."""
_BEARERS: Final = {
    "none": Bearer.NONE,
    "2G": Bearer.G2,
    "3G": Bearer.G3,
    "4G": Bearer.G4,
    "5G": Bearer.G5,
    "LAN": Bearer.LAN,
}


class CoverageLearning:
    """Counts our looks, tells them after the shift, and keeps the map that squads make together."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        keeper: ChainKeeper,
        positions: Positions,
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._metrics = membership.metrics
        self._keeper = keeper
        self._positions = positions
        self._readings: Readings | None = None
        self._reached: Callable[[], bool | None] = lambda: None
        self._open: tuple[bytes, bytes, Tally] | None = None
        """Shift, name and counts of the open shift, once something was looked at in it."""
        self._is_owing = True
        """True while a shift that is over may not have been told, as it may be at the start."""
        self._counted_id = b""
        """The shift that was open when something was counted last; empty once it was told."""
        self._given: OrderedDict[tuple[NodeId, bytes, int], int] = OrderedDict()
        self._known: tuple[int, Part | None, Mapping[int, Outlook]] | None = None
        self._changes = 0

    def plug(self, readings: Readings | None, reached: Callable[[], bool | None]) -> None:
        """Learn from `readings` from now on; `reached` tells whether a gateway is, or None."""
        self._readings, self._reached = readings, reached

    # --- our own shift --------------------------------------------------------------------------

    async def look(self) -> Sequence[Checked]:
        """Count what readings say now, or tell of a shift that is over; return what was made.

        The caller announces it. Raises: StoreError, LockedError.
        """
        if self._readings is None and not self._is_owing and not self._counted_id:
            return ()
        shift = await self._positions.current()
        shift_id = b"" if shift is None else shift.shift.shift_id
        is_over = bool(self._counted_id) and self._counted_id != shift_id
        made = await self._tell_over() if self._is_owing or is_over else ()
        if shift is not None and self._readings is not None:
            await self._count(shift, self._readings)
        return made

    async def _count(self, found: OpenShift, readings: Readings) -> None:
        now_ms, shift = self._runtime.now_ms(), found.shift
        place, seen = readings.position, readings.coverage
        if place is None or seen is None or not shift.is_open(place.taken_ms):
            return
        if not _is_good(place, now_ms) or not 0 <= now_ms - seen.taken_ms <= _FRESH_MS:
            return
        numbers = round(place.latitude * 1e7), round(place.longitude * 1e7)
        part = part_of(place.taken_ms, numbers[1])
        bearer = _bearer(seen)
        # A network that took the device in works, unless a gateway was tried over it in vain.
        has_worked = bearer is not Bearer.NONE and self._reached() is not False
        if self._open is None or self._open[0] != shift.shift_id:
            self._open = await self._begin(shift.shift_id)
        name, tally = self._open[1:]
        if not tally.look(cell_of(*numbers), part, bearer, place.taken_ms, has_worked=has_worked):
            return
        counted = Contribution(day_of(shift.opened_ms), tally.squares())
        record = Untold(name, shift.shift_id, shift.ends_ms + _UNTOLD_MS, counted)
        await self._store.write(lambda tx: rows.put_untold(tx, record))
        self._counted_id = shift.shift_id
        self.forget()
        self._metrics.count("coverage_looks")

    async def _begin(self, shift_id: bytes) -> tuple[bytes, bytes, Tally]:
        """Go on where the shift was left by a restart, or begin anew."""
        for each in await self._store.read(rows.untold):
            if each.shift_id == shift_id:
                return shift_id, each.name, Tally(each.contribution.squares)
        return shift_id, self._runtime.entropy(NAME_BYTES), Tally()

    async def _tell_over(self) -> Sequence[Checked]:
        """Tell of every shift that is over; what finds no room is tried again at the next look."""
        if not await self._store.read(rows.untold):
            # As at nearly every start: no need to wait for the disk.
            self._is_owing, self._counted_id = False, b""
            return ()
        try:
            made, self._counted_id = await self._store.write(self._tell)
        except (QuotaError, StoreFullError) as error:
            self._is_owing = True
            self._metrics.count("coverage_held_back")
            self._runtime.trace("coverage_held_back", reason=type(error).__name__)
            return ()
        if made:
            self._metrics.count("coverage_made")
        self._is_owing = False
        self.forget()
        return made

    def _tell(self, tx: Transaction) -> tuple[list[Checked], bytes]:
        """Return the bundles made, and the shift that stays untold because it is open."""
        current, made, open_id = self._positions.open_shift_in(tx.connection), list[Checked](), b""
        for each in rows.untold(tx.connection):
            if current is not None and current.shift.shift_id == each.shift_id:
                open_id = each.shift_id
                continue
            rows.drop(tx, each.name)
            squares = published(each.contribution.squares)
            if squares:
                day = day_of(self._runtime.now_ms())
                made += self._share(tx, each.name, Contribution(day, squares))
        return made, open_id

    def _share(self, tx: Transaction, name: bytes, told: Contribution) -> list[Checked]:
        made, node = list[Checked](), self._author.node
        squads = self._positions.own_squads()
        centre = [Scope.for_codt(scope.zone) for scope in squads[:1]]
        for scope in (*squads, *centre):
            if not self._membership.directory.recipients(scope, node):
                continue
            payload = payloads.encode(CoverageMap(node, scope.encode(), name, told))
            under = self._keeper.key_for(tx, scope)
            draft = Draft(Kind.COVERAGE, Suite.CHAIN, scope, under.chain_id, under.index)
            sealed = _sealed(under.key, payload)
            made += [*under.made, self._author.make(tx, draft, sealed)]
        rows.put_shared(tx, contribution_id(node, name), told)
        return made

    # --- what others learned --------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]) -> Opened:
        """Open a contribution of another device and join it; return what the inbox must keep.

        Raises: what `open_message` raises; MalformedError for one that is dated ahead of itself,
        too old, one too many, or by a stranger.
        """
        header, opened = bundle.header, open_message()
        payload, day = opened.payload, day_of(hlc.wall_ms(bundle.header.hlc))
        if not isinstance(payload, CoverageMap):
            self._refuse(header)
        if not self._may_tell(tx.connection, header, day):
            self._refuse(header)
        told = payload.contribution
        is_short = header.lifetime_s <= KINDS[Kind.COVERAGE].lifetime_s
        if not is_short or not day - WINDOW_DAYS <= told.day <= day:
            self._refuse(header)
        if rows.put_shared(tx, contribution_id(header.author, payload.name), told):
            self._metrics.count("coverage_kept")
        return opened

    def _may_tell(self, conn: Connection, header: Header, day: int) -> bool:
        author, scope = header.author, header.scope
        entry = self._membership.directory.member(author)
        if entry is None or entry.zone != scope.zone:
            return False
        if scope.kind is ScopeKind.SQUAD and scope.target not in entry.squads:
            return False
        if scope.kind not in (ScopeKind.SQUAD, ScopeKind.CODT):
            return False
        key = author, scope.encode(), day
        # What is held counts where this process has forgotten, what is forgotten where it is gone.
        given = max(self._given.pop(key, 0), _told_before(conn, header, day)) + 1
        self._given[key] = given
        while len(self._given) > _AUTHORS_MAX:
            self._given.popitem(last=False)
        return given <= PER_DAY_MAX

    def _refuse(self, header: Header) -> NoReturn:
        self._metrics.count("coverage_refused", node=header.author)
        self._runtime.trace("coverage_refused", bundle=str(header.id))
        raise MalformedError("this coverage is dated wrongly, one too many, or by a stranger")

    def forget(self) -> None:
        """What is known may have changed on the disk: read it anew when it is asked for."""
        self._known = None
        self._changes += 1

    # --- the map --------------------------------------------------------------------------------

    async def known(self, part: Part | None = None) -> Mapping[int, Outlook]:
        """Return what is known of each cell, in a part of the day or in all of it.

        Our own open shift counts, too. Raises: StoreError, LockedError.
        """
        now_ms = self._runtime.now_ms()
        today, last, changes = day_of(now_ms), self._known, self._changes
        if last is not None and last[:2] == (today, part):
            return last[2]

        def read(conn: Connection) -> list[Contribution]:
            return rows.contributions(conn, now_ms)

        found = outlooks(summed(await self._store.read(read), today), part)
        if changes == self._changes:
            # Else something was joined while this was read.
            self._known = today, part, found
        return found


def _told_before(conn: Connection, header: Header, day: int) -> int:
    """Return how many contributions of an author to a group and day are held and were joined."""
    author, scope = header.author, header.scope.encode()
    held = [
        each.short_id
        for each in bundles.of_author(conn, author, header.id.incarnation, 0, _SEQ_MAX)
        if each.kind is Kind.COVERAGE and each.scope == scope and _day(each.hlc) == day
    ]
    return len(held) - delivery.queued_count(conn, held)


def _day(stamp: int) -> int:
    return day_of(hlc.wall_ms(stamp))


def _is_good(place: PlaceSeen, now_ms: int) -> bool:
    return (
        0 < place.accuracy_m <= ACCURACY_M_MAX
        and 0 <= now_ms - place.taken_ms <= _FRESH_MS
        and abs(place.latitude) <= 90
        and abs(place.longitude) <= 180
    )


def _bearer(seen: CoverageSeen) -> Bearer:
    """Return by what data can flow: nothing where no network took the device in."""
    if not getattr(seen, "is_registered", True):
        return Bearer.NONE
    return _BEARERS.get(str(seen.bearer.value), Bearer.NONE)


def _sealed(key: bytes, payload: bytes) -> Callable[[Header], bytes]:
    return lambda header: seal_message(key, header.encode(), pad(payload))
