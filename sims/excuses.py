"""What a fault excuses, and no more: who need not be believed, whose clock was how wrong, and when.

Each excuse names a device and a fault of it that the scenario or the seed planned; a test beside
each shows that the checkers still fail where the fault does not reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from meshnode.store.records import LedgerEvent
from protocol.bundle import Scope, ScopeKind
from protocol.identity import Role
from protocol.ids import squad_id_of
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    CLOCK_HOLD_MS_MAX,
    HOUSEKEEPING_MS_MAX,
    STORE_RESERVE_PCT,
)
from sims.fault_plan import QUIET_SHARE, Partition
from sims.fleet import DevicePlan
from sims.record import DeviceRecord, Held, Story, WorldRecord
from sims.runtime import START_MS
from sims.scenario import Contact

__all__ = ["LOOK_MS", "SETTLE_MS", "Excuses"]

SETTLE_MS: Final = 120_000
"""A contact that lasts this long, with nothing written meanwhile, makes two stores equal."""
_LOOK_MS_MIN: Final = 2_000
"""What has ended is gone so soon after it where no clock was stepped."""
_ROOM_BYTES: Final = 20 * BUNDLE_BYTES_MAX
"""With less room than this a store may have been full between two looks at it."""
LOOK_MS: Final = 2 * HOUSEKEEPING_MS_MAX
"""A node that ran for this long, with a sane clock and disk, has looked at what has ended."""


@dataclass(frozen=True, slots=True)
class _Clock:
    """How far one wall clock was ahead of the world's."""

    earliest_ms: int
    """At the moment at which it was furthest behind, milliseconds."""
    latest_ms: int
    """At the moment at which it was furthest ahead."""
    stepped_ms: int
    """When it was last stepped, virtual milliseconds; 0 if never."""


class Excuses:
    """Everything that the faults of one world excuse."""

    def __init__(self, world: WorldRecord) -> None:
        self._world = world
        hostile = world.plan.hostile_names
        self.hostile = frozenset(each.node for each in world.devices if each.name in hostile)
        """Devices that may lie about anything of their own."""
        self.lost = frozenset(each.node for each in world.devices if each.ending.is_lost)
        """Devices that went away for good."""
        self._clocks = {each.name: self._clock(each.name) for each in world.devices}

    def _clock(self, name: str) -> _Clock:
        world, ahead_ms, seen, stepped_ms = self._world, 0, [0], 0
        steps = (*world.scenario.clock_steps, *world.plan.clock_jumps)
        for step in sorted(steps, key=lambda each: each.at_s):
            if step.device == name:
                ahead_ms += round(1000 * step.step_s)
                seen.append(ahead_ms)
                stepped_ms = round(1000 * step.at_s)
        rate = next((each.rate_ppm for each in world.plan.drifts if each.device == name), 0.0)
        drift_ms = round(world.end_ms * rate / 1e6)
        return _Clock(
            min(seen) + min(0, drift_ms) - 1, max(seen) + max(0, drift_ms) + 1, stepped_ms
        )

    # --- messages ---------------------------------------------------------------------------

    def is_never_handed(self, author: DeviceRecord, story: Story) -> bool:
        """True for a message of a lost device of which no honest one that is left took a copy.

        The lost device's own ledger tells who acknowledged one.
        """
        if author.node not in self.lost:
            return False
        away = self.hostile | self.lost
        return not any(
            line.event is LedgerEvent.HANDED and line.node is not None and line.node not in away
            for line in story.ledger
        )

    def is_over_somewhere(self, expires_ms: int) -> bool:
        """True if the clock of some honest device has shown the end of this life."""
        return any(
            expires_ms <= self._latest_ms(each)
            for each in self._world.devices
            if each.node not in self.hostile
        )

    def _latest_ms(self, device: DeviceRecord) -> int:
        """The latest time that its clock ever showed, at most; Unix milliseconds."""
        return START_MS + self._world.end_ms + self._clocks[device.name].latest_ms

    def ran_ms(self, device: DeviceRecord) -> int:
        """How long it ran at the end with nothing wrong with its clock and disk, milliseconds."""
        world = self._world
        full = [each.end_s for each in world.plan.full_disks if each.device == device.name]
        since_ms = max(
            device.ending.up_since_ms,
            self._clocks[device.name].stepped_ms,
            *(round(1000 * end_s) for end_s in full),
        )
        return world.end_ms - since_ms if device.ending.is_up else 0

    # --- stores -----------------------------------------------------------------------------

    def is_settled(self, contact: Contact, pair: tuple[DeviceRecord, DeviceRecord]) -> bool:
        """True if a contact must have made the stores of its two devices equal."""
        world, faults = self._world, self._world.scenario.faults
        if any(each.node in self.hostile or not each.ending.is_up for each in pair):
            return False
        if any(map(self.may_be_full, pair)):
            return False
        is_bad = faults.loss or faults.corruption or faults.slow_links or faults.jitter_s
        if is_bad and contact.start_s < world.scenario.duration_s * (1 - QUIET_SHARE):
            # A link that was made before the faults of links ended may be as bad as ever.
            return False
        troubles = [
            *(round(1000 * each.end_s) for each in self._parted(contact)),
            *(world.end_ms - self.ran_ms(each) for each in pair),
        ]
        since_ms = max(round(1000 * contact.start_s), *troubles)
        return contact.end_s >= world.scenario.duration_s and since_ms <= world.end_ms - SETTLE_MS

    def _parted(self, contact: Contact) -> Iterator[Partition]:
        for each in self._world.plan.partitions:
            if {each.source, each.target} == {contact.a, contact.b}:
                yield each

    def may_differ(self, held: Held, pair: tuple[DeviceRecord, DeviceRecord]) -> bool:
        """True for a bundle that one of two equal stores may have dropped, or not taken yet."""
        hostile = self._world.plan.hostile_names
        if (
            held.scope.target in self.hostile
            or held.id.author in self.hostile
            or any(
                each.name in hostile and _is_for(held.scope, each)
                for each in self._world.scenario.devices
            )
        ):
            # Whoever receipts to some and not to others decides who may forget what is for it.
            return True
        # A bundle goes at the next look after its end, which is planned before a clock is stepped.
        is_stepped = any(self._clocks[each.name].stepped_ms for each in pair)
        late_ms = HOUSEKEEPING_MS_MAX if is_stepped else _LOOK_MS_MIN
        first_ms = min(each.ending.now_ms for each in pair) - late_ms
        if first_ms <= held.expires_ms <= max(map(self._latest_ms, pair)) + late_ms:
            return True
        author = self._world.name_of(held.id.author)
        if author in self._clocks and self._clocks[author].latest_ms > CLOCK_HOLD_MS_MAX:
            # Its author may have replaced it by one that nobody takes before its day.
            return True
        slowest_ms = min(self._clocks[each.name].earliest_ms for each in pair)
        return held.stamp_ms > START_MS + slowest_ms + CLOCK_HOLD_MS_MAX

    def may_be_full(self, device: DeviceRecord) -> bool:
        """True if its store may have had no room for a bundle at some time."""
        bytes_max = self._world.scenario.store_bytes
        names = ("store bytes", "store bytes by its index")
        found = [device.sizes[name] for name in names]
        found.append(self._world.peaks.get((device.name, "store bytes"), 0))
        free_bytes = bytes_max * (100 - STORE_RESERVE_PCT) // 100 - max(found)
        return free_bytes < _ROOM_BYTES


def _is_for(scope: Scope, device: DevicePlan) -> bool:
    """True if a device may be among the recipients of a scope."""
    if scope.kind is ScopeKind.DEVICE or scope.zone != device.zone:
        return False
    if scope.kind is ScopeKind.SQUAD:
        return scope.target in {squad_id_of(device.zone, squad) for squad in device.squads}
    return scope.kind is ScopeKind.ZONE or device.role is Role.GATEWAY
