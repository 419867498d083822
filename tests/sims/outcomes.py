"""Small regions and outcomes for tests of what is made from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sims.abstract.records import Options, Outcome, Samples
from sims.contacts import make_plan, make_workload
from sims.region import Region

Message = tuple[float, int, int, int, float, int]
"""Created, source, destination, size, lifetime, priority."""


def region_of(
    roles: tuple[str, ...], duration_s: float, messages: Sequence[Message] = ()
) -> Region:
    """Return a region without contacts."""
    names = tuple(f"M{number}" for number in range(len(messages)))
    table = np.array(messages, dtype=np.float64).reshape(-1, 6)
    return Region(
        "small",
        make_plan(len(roles), np.empty((0, 4))),
        make_workload(names, table, len(roles), "messages"),
        roles,
        roles,
        ("",) * len(roles),
        duration_s,
    )


def outcome_of(
    region: Region,
    delivered_s: Sequence[float] | None = None,
    contact_s: Sequence[float] | None = None,
    sent_bytes: Sequence[int] | None = None,
    received_bytes: Sequence[int] | None = None,
) -> Outcome:
    """Return an outcome in which nothing happened beside what is given."""
    messages, nodes = len(region.workload), len(region.roles)
    none = np.zeros(messages, np.int32)
    nothing = [0] * nodes
    return Outcome(
        options=Options(),
        delivered_s=np.array(delivered_s or [np.nan] * messages, dtype=np.float64),
        fate=none.astype(np.int8),
        died_at=none - 1,
        hops=none.astype(np.int16),
        transfers_of=none,
        sent_bytes=np.array(sent_bytes or nothing, dtype=np.int64),
        received_bytes=np.array(received_bytes or nothing, dtype=np.int64),
        contact_s=np.array(contact_s or nothing, dtype=np.float64),
        evictions=np.zeros(nodes, np.int32),
        cut_transfers=0,
        samples=Samples(np.empty(0), np.empty(0), np.empty(0)),
        cpu_seconds=0.0,
        digest="",
    )
