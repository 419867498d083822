"""The call about sensors, in plain values; `Api` has it beside its own."""

from __future__ import annotations

from meshnode.calls.base import Calls, Json
from meshnode.sensors.hub import SourceReport
from meshnode.sensors.readings import BatteryReading, CoverageReading, PositionReading

__all__ = ["SensorCalls", "told"]


class SensorCalls(Calls):
    """What people may ask of sensors."""

    async def sensors(self, *, show_position: bool = False) -> list[Json]:
        """Return how every configured source stands, by kind, the preferred ones first.

        Where the device is stands in it only where it is asked for. Raises: LockedError if it is,
        and the device is locked.
        """
        if show_position:
            self._node.require_desk()
        return [told(each, show_position=show_position) for each in self._node.sensors.reports()]


def told(report: SourceReport, *, show_position: bool) -> Json:
    """Return a report in plain values; without `show_position` it tells no place and no speed."""
    trouble, reading = report.trouble, report.reading
    age_s = report.age_s
    found: Json = {
        "source": report.source,
        "kind": report.kind.value,
        "is_running": report.is_running,
        "is_chosen": report.is_chosen,
        "age_s": None if age_s is None else round(age_s, 1),
        "accepted": report.accepted,
        "refused": report.refused,
        "reason": "" if trouble is None else trouble.reason,
        "trouble": "" if trouble is None else str(trouble),
        "reading": None,
    }
    match reading:
        case PositionReading():
            found["reading"] = {"taken_ms": reading.taken_ms, "accuracy_m": reading.accuracy_m}
            if show_position:
                found["reading"] |= {
                    "latitude": reading.latitude,
                    "longitude": reading.longitude,
                    "speed_m_s": reading.speed_m_s,
                    "course_deg": reading.course_deg,
                }
        case BatteryReading():
            found["reading"] = {
                "taken_ms": reading.taken_ms,
                "level_pct": reading.level_pct,
                "is_charging": reading.is_charging,
                "power_w": reading.power_w,
            }
        case CoverageReading():
            found["reading"] = {
                "taken_ms": reading.taken_ms,
                "bearer": reading.bearer.value,
                "signal_pct": reading.signal_pct,
                "operator": reading.operator,
                "is_registered": reading.is_registered,
            }
    return found
