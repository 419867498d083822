"""How long a device may work without a sign of life from the centre, and what time it is at least.

The lease is counted from the newest beacon, in the later of two times: the local clock, and the
lower bound of time, which is the newest signed time ever accepted plus what passed since by a
clock that nobody sets. Setting the phone's clock back so gains nothing; data renews nothing; a
clock that ran ahead and was set right has done no harm. Source: security 2.9 and 2.12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from meshnode.files import write_private
from protocol.canonical import as_array, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError
from protocol.guards import BEACON_AMBER_MS, LEASE_BOX_MS, LEASE_MS
from protocol.identity import DeviceClass

__all__ = [
    "KEPT_EACH_MS",
    "BeaconView",
    "BoundFile",
    "Lease",
    "LeaseState",
    "LowerBound",
    "judge",
    "lease_ms_of",
]

KEPT_EACH_MS: Final = 1_800_000
"""What passed is written down this often, ahead: a restart costs so much of a lease at most."""

_VERSION: Final = 1
_FILE_BYTES_MAX: Final = 32
_EVER_MS: Final = 2**48
_BOXES: Final = frozenset({DeviceClass.BOX, DeviceClass.SERVER})


class LeaseState(StrEnum):
    """How a device stands with the centre."""

    NONE = "none"
    """The network has no beacons, so there is nothing to count."""
    VALID = "valid"
    """A beacon of the last 24 h is known."""
    AMBER = "amber"
    """The newest beacon is older: what the centre decided since is not known here."""
    ENDED = "ended"
    """The agent's keys stay locked until a newer beacon comes."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease at one moment."""

    state: LeaseState
    """How the device stands."""
    age_ms: int = 0
    """Age of the newest beacon; of the enrolment where there was none yet. 0 in state NONE."""
    left_ms: int = 0
    """How long the keys may stay open; 0 in the states ENDED and NONE."""
    has_beacon: bool = False
    """A beacon has been received at all."""


@dataclass(frozen=True, slots=True)
class BeaconView:
    """What the authority documents in force say; each is asked anew each time."""

    has_beacons: Callable[[], bool]
    """The root document names who signs beacons."""
    beacon_ms: Callable[[], int]
    """Time of the newest beacon that renews leases, Unix milliseconds; 0 if there was none."""
    floor_ms: Callable[[], int]
    """The newest signed time ever accepted, Unix milliseconds."""


def lease_ms_of(device_class: DeviceClass) -> int:
    """Return how long a lease lasts: boxes and servers may be at sea for weeks."""
    return LEASE_BOX_MS if device_class in _BOXES else LEASE_MS


def judge(view: BeaconView, enrolled_ms: int, lease_ms: int, now_ms: int) -> Lease:
    """Return the lease of a device at `now_ms`, the later of local clock and lower bound.

    `enrolled_ms` counts until the first beacon comes.
    """
    if not view.has_beacons():
        return Lease(LeaseState.NONE)
    beacon_ms = view.beacon_ms()
    age_ms = max(0, now_ms - (beacon_ms or enrolled_ms))
    left_ms = max(0, lease_ms - age_ms)
    state = LeaseState.VALID if age_ms <= BEACON_AMBER_MS else LeaseState.AMBER
    if not left_ms:
        state = LeaseState.ENDED
    return Lease(state, age_ms, left_ms, beacon_ms > 0)


class LowerBound:
    """The time that it is at least: signed times, and what passed since without a break.

    While the device is off nothing passes here; that much, and no more, a clock that is set back
    may hide.
    """

    def __init__(
        self, floor_ms: Callable[[], int], kept_ms: int, monotonic_s: Callable[[], float]
    ) -> None:
        self._floor_ms = floor_ms
        self._monotonic_s = monotonic_s
        self.kept_ms = kept_ms
        """What is written down; it is ahead of the bound, so that a restart hides no time."""
        self._known_ms = max(kept_ms, floor_ms())
        self._known_s = monotonic_s()

    def now_ms(self) -> int:
        """Return the bound now, Unix milliseconds; it never falls."""
        now_s = self._monotonic_s()
        passed_ms = max(0, int((now_s - self._known_s) * 1000))
        self._known_s += passed_ms / 1000
        self._known_ms = max(self._known_ms + passed_ms, self._floor_ms())
        return self._known_ms

    def to_keep(self) -> int | None:
        """Return what is to be written down now; None while what is written is still ahead."""
        now_ms = self.now_ms()
        return now_ms + KEPT_EACH_MS if now_ms >= self.kept_ms else None


class BoundFile:
    """Keeps a lower bound over restarts, in one small file of the home; it is no secret."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """Return what was kept, Unix milliseconds; 0 if nothing was, or it is damaged."""
        try:
            raw = self._path.read_bytes()
            record = as_array(decode_untrusted(raw, max_bytes=_FILE_BYTES_MAX), "lease", 2)
            as_uint(record[0], "version of the lease", _VERSION, _VERSION)
            return as_uint(record[1], "lower bound of time", _EVER_MS)
        except (OSError, RemoteProtocolError):
            return 0

    def write(self, bound_ms: int) -> None:
        """Keep a bound. Raises: OSError."""
        write_private(self._path, encode([_VERSION, bound_ms]))
