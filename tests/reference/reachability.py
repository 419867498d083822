"""The slow, obvious oracle: goes round all contacts until nothing arrives any earlier."""

from __future__ import annotations

import math

from sims.contacts import ContactPlan, Workload

__all__ = ["best_arrivals"]


def best_arrivals(plan: ContactPlan, workload: Workload, rate_bytes_s: float = 0.0) -> list[float]:
    """Return the earliest possible arrival of each message, NaN where there is none in time."""
    return [_best_arrival(plan, workload, number, rate_bytes_s) for number in range(len(workload))]


def _best_arrival(plan: ContactPlan, workload: Workload, number: int, rate_bytes_s: float) -> float:
    created_s = float(workload.created_s[number])
    hop_s = float(workload.size_bytes[number]) / rate_bytes_s if rate_bytes_s else 0.0
    at_s = {int(workload.source[number]): created_s}
    is_better = True
    while is_better:
        is_better = False
        for contact in range(len(plan)):
            a, b = int(plan.a[contact]), int(plan.b[contact])
            for sender, receiver in ((a, b), (b, a)):
                begin_s = max(at_s.get(sender, math.inf), float(plan.start_s[contact]))
                there_s = begin_s + hop_s
                fits = begin_s < plan.end_s[contact] and there_s <= plan.end_s[contact]
                if fits and there_s < at_s.get(receiver, math.inf):
                    at_s[receiver] = there_s
                    is_better = True
    arrival_s = at_s.get(int(workload.destination[number]), math.inf)
    is_in_time = arrival_s <= created_s + float(workload.lifetime_s[number])
    return arrival_s if is_in_time else math.nan
