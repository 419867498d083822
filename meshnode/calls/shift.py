"""The calls about shifts and positions, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from meshnode.calls.base import Calls, Json
from meshnode.positions import Place

__all__ = ["ShiftCalls"]


class ShiftCalls(Calls):
    """What people may ask of shifts."""

    async def shift_open(self, hours: int = 12) -> Json:
        """Open the shift of this device's agent. Raises: SendError, StoreError."""
        node = self._node
        await node.relay.announce(await node.positions.open_shift(hours), None)
        node.housekeeping.wake.set()
        node.require_desk().reporting.wake.set()
        return await self.shift()

    async def shift_close(self) -> Json:
        """End the open shift; its positions are erased. Raises: SendError, StoreError."""
        await self._node.relay.announce(await self._node.positions.close_shift(), None)
        self._node.require_desk().reporting.wake.set()
        return await self.shift()

    async def shift(self) -> Json:
        """Return the open shift of this device's agent, and who of its squads has one.

        `track_has_reader` is None where no shift is open; False where nobody of the operations
        centre has been given its keys yet, so that its track would be erased with it.
        """
        found = await self._node.positions.current()
        tracks = self._node.require_desk().tracks
        has_reader = (
            None if found is None else await tracks.has_reader(found.scopes[0], found.shift)
        )
        others = await self._node.positions.on_shift()
        return {
            "is_open": found is not None,
            "opened_ms": 0 if found is None else found.shift.opened_ms,
            "ends_ms": 0 if found is None else found.shift.ends_ms,
            "track_has_reader": has_reader,
            "on_shift": [
                {
                    **self._who(node),
                    "to": self._node.membership.directory.describe(scope),
                    "opened_ms": shift.opened_ms,
                    "ends_ms": shift.ends_ms,
                }
                for node, scope, shift in others
            ],
        }

    async def position(self, latitude: float, longitude: float, *, accuracy_m: float = 0.0) -> Json:
        """Tell the squads of the open shift where this device is. Raises: SendError, StoreError."""
        place = Place(latitude, longitude, accuracy_m)
        await self._node.relay.announce(await self._node.positions.report(place), None)
        return {"latitude": latitude, "longitude": longitude, "accuracy_m": accuracy_m}

    async def positions(self) -> list[Json]:
        """Return the newest position of everybody that is kept here, the newest first.

        One that its author told after its last good bundle has `is_author_revoked`: whoever has
        the device now told it. It is judged by the revocations of now, whenever it came.
        """
        is_astray = self._node.membership.directory.is_astray
        return [
            {
                **self._who(record.author),
                "to": self._describe(record.scope),
                "is_author_revoked": is_astray(record.author, record.incarnation, record.seq),
                "taken_ms": record.taken_ms,
                **self._place_age(record.taken_ms),
                "latitude": payload.latitude_e7 / 10_000_000,
                "longitude": payload.longitude_e7 / 10_000_000,
                "accuracy_m": payload.accuracy_dm / 10,
            }
            for record, payload in await self._node.positions.newest()
        ]
