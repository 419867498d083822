"""What a run of the abstract simulator is given, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Fate", "Options", "Outcome", "PolicyName", "Samples"]


class PolicyName(StrEnum):
    """The routing policies that can be compared."""

    DIRECT = "direct"
    """The source alone hands over, to the destination alone."""
    EPIDEMIC = "epidemic"
    """Everything to everybody, first come first served (Vahdat and Becker 2000)."""
    SPRAY = "spray"
    """Binary spray and wait (Spyropoulos et al. 2005)."""
    PROPHET = "prophet"
    """Delivery predictability (RFC 6693)."""
    GAIN = "gain"
    """Ours: expected gain per byte."""


class Fate(IntEnum):
    """What became of a message."""

    DELIVERED = 0
    """It reached its destination in time."""
    NEVER_LEFT = 1
    """It expired, and no other node ever had a copy."""
    EXPIRED = 2
    """It expired while carriers had copies."""
    EVICTED = 3
    """Its last copy was dropped to make room for others."""
    UNDER_WAY = 4
    """It was still alive when the run ended."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to be done."""

    policy: PolicyName = PolicyName.GAIN
    """Who gets a copy, in which order, and what is dropped."""
    buffer_bytes: int = 5_000_000
    """What each node holds of messages of all kinds; 0 is without bound."""
    rate_bytes_s: float = 250_000.0
    """Of every contact; each node serves one transfer at a time; 0 is without bound."""
    seed: int = 1
    """Names the run beside its region; no policy of today draws lots."""
    copies: int = 10
    """Copies that spray and wait begins with."""
    has_receipts: bool | None = None
    """Whether receipts spread and purge copies; None takes what belongs to the policy."""
    has_resume: bool = True
    """Whether bytes of a transfer that was cut count at the next contact."""
    quantum_s: float = 0.0
    """Transfers take whole multiples of this, as in simulators with a fixed step; 0 for none."""


@dataclass(frozen=True, slots=True)
class Samples:
    """How full stores were, at regular times. Arrays have shape (n_samples,)."""

    times_s: NDArray[np.float64]
    """Seconds."""
    mean_bytes: NDArray[np.float64]
    """Mean over all nodes."""
    largest_bytes: NDArray[np.float64]
    """Of the fullest node."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. Arrays over messages have shape (n_messages,), over nodes (n_nodes,)."""

    options: Options
    """As given."""
    delivered_s: NDArray[np.float64]
    """When each message was at its destination, seconds; NaN where it was not in time."""
    fate: NDArray[np.int8]
    """A `Fate` for each message."""
    died_at: NDArray[np.int32]
    """Node that dropped the last copy of a message; -1 where that did not happen."""
    hops: NDArray[np.int16]
    """Hand-overs of the copy that arrived; 0 where none did."""
    transfers_of: NDArray[np.int32]
    """Completed transfers of each message, the delivering one among them."""
    sent_bytes: NDArray[np.int64]
    """Bytes each node sent, those of transfers that were cut among them."""
    received_bytes: NDArray[np.int64]
    """Bytes each node received."""
    contact_s: NDArray[np.float64]
    """Seconds each node spent in at least one contact."""
    evictions: NDArray[np.int32]
    """Copies each node dropped to make room."""
    cut_transfers: int
    """Transfers that the end of a contact, or a more urgent one, cut."""
    samples: Samples
    """How full stores were."""
    cpu_seconds: float
    """CPU time of the run, compilation not counted."""
    digest: str
    """SHA-256 over everything above but options and CPU time: two runs are equal if this is."""

    @property
    def transfers(self) -> int:
        """Completed transfers of all messages."""
        return int(self.transfers_of.sum())
