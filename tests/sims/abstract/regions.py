"""Small regions for tests of the abstract simulator, and what is compared of two runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from sims.abstract.records import Options, Outcome, PolicyName
from sims.contacts import make_plan, make_workload
from sims.region import Region, plain_region
from tests.reference.simulator import Simulator

__all__ = [
    "BOOKS",
    "REGIONS",
    "Row",
    "options_of",
    "region_of",
    "some_region",
    "told_by",
    "told_by_reference",
]

Row = tuple[float, ...]
BOOKS = [each for each in PolicyName if each is not PolicyName.GAIN]
"""The policies that others wrote."""
NODES = 6

# Halves, so that many things fall together and every sum and product is exact.
_TIMES = st.integers(0, 60).map(lambda halves: halves / 2)
_PAIRS = st.lists(st.integers(0, NODES - 1), min_size=2, max_size=2, unique=True)


def region_of(contacts: Sequence[Row], messages: Sequence[Row], nodes: int = NODES) -> Region:
    """Return the region with contacts (start_s, end_s, a, b) and messages (created_s, source,
    destination, size_bytes, lifetime_s, priority).
    """
    plan = make_plan(nodes, np.array(contacts, dtype=float).reshape(-1, 4))
    names = tuple(f"m{number}" for number in range(len(messages)))
    rows = np.array(messages, dtype=float).reshape(-1, 6)
    return plain_region("small", plan, make_workload(names, rows, nodes, "messages"))


@st.composite
def _contacts(draw: st.DrawFn) -> Row:
    start = draw(_TIMES)
    return (start, start + draw(st.sampled_from([0.5, 1.0, 3.0, 10.0])), *draw(_PAIRS))


@st.composite
def _messages(draw: st.DrawFn) -> Row:
    # Small ones, and such as are large for the policy that counts their copies.
    size = draw(st.integers(1, 40).map(lambda steps: 256 * steps) | st.just(16_384))
    lifetime = draw(st.sampled_from([1.0, 5.0, 20.0, 64.0]))
    return (draw(_TIMES), *draw(_PAIRS), size, lifetime, draw(st.integers(0, 2)))


REGIONS = st.builds(
    region_of,
    st.lists(_contacts(), min_size=3, max_size=40),
    st.lists(_messages(), min_size=1, max_size=14),
)


def some_region(seed: int, nodes: int = 12, contacts: int = 300, messages: int = 80) -> Region:
    """Return a region in which stores of 100 kB are full and contacts too short."""
    draw = np.random.default_rng(seed)
    start = np.round(draw.uniform(0, 3_000, contacts))
    ends = start + draw.choice([2.0, 10.0, 60.0, 300.0], contacts)
    pairs = np.array([draw.choice(nodes, 2, replace=False) for _ in range(contacts)])
    ways = np.array([draw.choice(nodes, 2, replace=False) for _ in range(messages)])
    # Most go to one node, as to a gateway.
    ways[ways[:, 0] != 0, 1] = np.where(
        draw.random((ways[:, 0] != 0).sum()) < 0.7, 0, ways[ways[:, 0] != 0, 1]
    )
    size = draw.choice([512, 2_048, 16_384, 40_960], messages, p=[0.3, 0.3, 0.3, 0.1])
    rows = np.column_stack(
        (
            np.round(draw.uniform(0, 2_000, messages)),
            ways,
            size,
            draw.choice([200.0, 1_500.0], messages),
            np.where(size < 1_000, draw.integers(0, 3, messages), draw.integers(1, 3, messages)),
        )
    )
    table = np.column_stack((start, ends, pairs))
    return region_of([tuple(row) for row in table], [tuple(row) for row in rows], nodes)


Told = dict[str, list[float]]


def told_by(outcome: Outcome) -> Told:
    """Return everything about a run that a reference tells too."""
    return {
        "delivered_s": [-1.0 if np.isnan(each) else float(each) for each in outcome.delivered_s],
        "fate": outcome.fate.tolist(),
        "died_at": outcome.died_at.tolist(),
        "hops": outcome.hops.tolist(),
        "transfers": outcome.transfers_of.tolist(),
        "sent_bytes": outcome.sent_bytes.tolist(),
        "received_bytes": outcome.received_bytes.tolist(),
        "contact_s": outcome.contact_s.tolist(),
        "evictions": outcome.evictions.tolist(),
        "cut": [outcome.cut_transfers],
    }


def told_by_reference(simulator: Simulator) -> Told:
    """Return the same of the slow, obvious simulator, which has run."""
    nodes = simulator.nodes
    return {
        "delivered_s": [-1.0 if np.isnan(each) else each for each in simulator.delivered_s],
        "fate": [int(fate) for fate in simulator.fate],
        "died_at": [float(each) for each in simulator.died_at],
        "hops": [float(each) for each in simulator.hops],
        "transfers": [float(each) for each in simulator.transfers],
        "sent_bytes": [round(node.sent_bytes) for node in nodes],
        "received_bytes": [round(node.received_bytes) for node in nodes],
        "contact_s": [node.contact_s for node in nodes],
        "evictions": [float(node.evictions) for node in nodes],
        "cut": [float(simulator.cut_transfers)],
    }


def options_of(policy: PolicyName) -> st.SearchStrategy[Options]:
    """Return stores and rates from far too small to without bound."""
    return st.builds(
        Options,
        policy=st.just(policy),
        buffer_bytes=st.sampled_from([0, 4_096, 16_384, 40_000, 200_000]),
        rate_bytes_s=st.sampled_from([0.0, 1_024.0, 4_096.0, 65_536.0]),
        copies=st.sampled_from([1, 2, 5, 10]),
        has_receipts=st.sampled_from([None, False, True]),
        has_resume=st.booleans(),
        quantum_s=st.sampled_from([0.0, 0.0, 0.5, 2.0]),
    )
