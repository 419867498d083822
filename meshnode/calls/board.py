"""The calls about the squad board and tracks, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from meshnode.calls.base import Calls, Json
from meshnode.errors import SendError
from meshnode.services.board import STALE_MS, Mate, Value
from meshnode.services.readings import BatteryRead, CoverageRead, Network
from protocol.bundle import ScopeKind
from protocol.identity import Role
from protocol.states import STRENGTH_MAX, Battery, Bearer, Coverage, Unit, is_plain

__all__ = ["BoardCalls"]

_NETWORKS: dict[Bearer, Network] = {
    Bearer.NONE: Network.NONE,
    Bearer.G2: Network.TWO_G,
    Bearer.G3: Network.THREE_G,
    Bearer.G4: Network.FOUR_G,
    Bearer.G5: Network.FIVE_G,
    Bearer.LAN: Network.LAN,
}
_E5: float = 100_000.0


class BoardCalls(Calls):
    """What people may ask of the board of their squad."""

    async def state(
        self,
        *,
        battery_pct: float | None = None,
        is_charging: bool = False,
        network: str | None = None,
        signal_pct: float | None = None,
        signal_dbm: int | None = None,
        operator: str = "",
    ) -> Json:
        """Tell the squads of the open shift how this device is, as somebody read it just now.

        What is None stays as it was told. Raises: SendError (`no_shift`, `state`), QuotaError,
        StoreError.
        """
        now_ms, node = self._node.runtime.now_ms(), self._node
        battery = coverage = None
        if battery_pct is not None:
            if not 0 <= battery_pct <= 100:
                raise SendError("state", "a battery is from 0 to 100 percent full")
            battery = BatteryRead(battery_pct, is_charging, now_ms)
        if network is not None:
            bearer = _network(network)
            _check_signal(signal_pct, signal_dbm, operator)
            coverage = CoverageRead(bearer, signal_pct, operator, now_ms, signal_dbm)
        if battery is None and coverage is None:
            raise SendError("state", "nothing to tell: give the battery, the network, or both")
        board = node.require_desk().board
        await node.relay.announce(await board.report(battery, coverage), None)
        return {"battery_pct": battery_pct, "network": network}

    async def board(self) -> Json:
        """Return what the squads of this device see of themselves, and how old each value is.

        Raises: StoreError, LockedError.
        """
        node = self._node
        mates = await node.require_desk().board.mates()
        return {
            "now_ms": node.runtime.now_ms(),
            "stale_s": {name: age_ms // 1000 for name, age_ms in STALE_MS.items()},
            "is_relay": self._is_relay(),
            "mates": [self._line(each) for each in mates],
        }

    def _is_relay(self) -> bool:
        """True where this device carries what its squads tell, and reads none of it."""
        own = self._node.membership.directory.member(self._node.identity.node)
        return own is not None and own.role is Role.RELAY

    def _line(self, mate: Mate) -> Json:
        shift = mate.shift
        entry = self._node.membership.directory.member(mate.node)
        return {
            **self._who(mate.node),
            "role": "" if entry is None else entry.role.name.lower(),
            "device": "" if entry is None else entry.device_class.name.lower(),
            "is_self": mate.node == self._node.identity.node,
            "squad": self._node.membership.directory.describe(mate.scope),
            "is_revoked": mate.is_revoked,
            "is_author_revoked": self._is_astray(mate),
            "is_on_shift": mate.is_on_shift,
            "shift_opened_ms": 0 if shift is None else shift.opened_ms,
            "shift_over_ms": 0 if shift is None else shift.over_ms,
            "heard": None if mate.heard is None else _age(mate.heard),
            "position": _place(mate),
            "battery": None if mate.battery is None else _battery(*mate.battery),
            "coverage": None if mate.coverage is None else _coverage(*mate.coverage),
            "gateway_ms": mate.gateway_ms,
            "is_in_contact": mate.is_up,
            "met_ms": mate.met_ms,
        }

    def _is_astray(self, mate: Mate) -> bool:
        """True where the place was told after the last bundle of its author that can be trusted."""
        if mate.place is None:
            return False
        record = mate.place[0]
        directory = self._node.membership.directory
        return directory.is_astray(record.author, record.incarnation, record.seq)

    async def track(self, who: str, since_ms: int = 0) -> Json:
        """Return the track of a device, which the operations centre alone has.

        Raises: UnknownNameError, SendError (`who`), StoreError, LockedError.
        """
        node = self._node
        scope = node.membership.directory.find(who, node.identity.zone)
        if scope.kind is not ScopeKind.DEVICE:
            raise SendError("who", "a track is of one device: give its name or id")
        found = await node.require_desk().tracks.of(scope.target, since_ms)
        return {
            **self._who(scope.target),
            "segments": [
                {
                    "squad": self._describe(each.record.scope),
                    "points": [
                        [
                            1000 * point.taken_s,
                            point.latitude_e5 / _E5,
                            point.longitude_e5 / _E5,
                        ]
                        for point in each.points
                    ],
                }
                for each in found
            ],
        }


def _network(name: str) -> Network:
    found = next((each for each in Network if each.value.casefold() == name.casefold()), None)
    if found is None:
        raise SendError("state", "a network is none, 2G, 3G, 4G, 5G or LAN")
    return found


def _check_signal(signal_pct: float | None, signal_dbm: int | None, operator: str) -> None:
    if signal_pct is not None and not 0 <= signal_pct <= 100:
        raise SendError("state", "a signal is from 0 to 100 percent")
    if signal_dbm is not None and not -STRENGTH_MAX[Unit.MINUS_DBM] <= signal_dbm <= 0:
        raise SendError("state", "a signal is from -150 to 0 dBm")
    if not is_plain(operator):
        raise SendError("state", "the name of an operator is one line of printable text")


def _age(value: Value) -> Json:
    return {"at_ms": value.at_ms, "age_s": value.age_ms // 1000, "is_stale": value.is_stale}


def _place(mate: Mate) -> Json | None:
    if mate.place is None:
        return None
    _record, place, value = mate.place
    return {
        **_age(value),
        "latitude": place.latitude_e7 / 10_000_000,
        "longitude": place.longitude_e7 / 10_000_000,
        "accuracy_m": place.accuracy_dm / 10,
    }


def _battery(battery: Battery, value: Value) -> Json:
    return {
        **_age(value),
        "level_pct": battery.level_pct,
        "is_charging": battery.is_charging,
        "drain_pct_per_h": battery.drain_dpct_h / 10,
        "empty_ms": battery.empty_ms,
    }


def _coverage(coverage: Coverage, value: Value) -> Json:
    return {
        **_age(value),
        "network": _NETWORKS[coverage.bearer].value,
        "signal_pct": coverage.strength if coverage.unit is Unit.PERCENT else None,
        "signal_dbm": -coverage.strength if coverage.unit is Unit.MINUS_DBM else None,
        "operator": coverage.operator,
    }
