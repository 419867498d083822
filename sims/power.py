"""The battery of a simulated device: how full it is after so much time, reports and charge."""

from __future__ import annotations

import math
from typing import Final

from sims.instruments import BatteryPlan

__all__ = ["Battery"]

_STARTS_PCT: Final = 5.0
"""A phone that was empty starts no earlier than with this much."""


class Battery:
    """How full it is; time is told to it."""

    def __init__(self, plan: BatteryPlan) -> None:
        self.plan = plan
        self.level_pct = plan.level_pct
        self._at_s = 0.0

    @property
    def is_charging(self) -> bool:
        """True while it hangs on a charger."""
        return self.plan.charge_start_s <= self._at_s < self.plan.charge_end_s

    def pass_time(self, now_s: float, told: int, *, is_on: bool) -> None:
        """Let the time until `now_s` pass, in which so many reports were told."""
        plan, hours = self.plan, (now_s - self._at_s) / 3600
        plugged_s = min(now_s, plan.charge_end_s) - max(self._at_s, plan.charge_start_s)
        lost_pct = told * plan.told_pct + (plan.drain_pct_h * hours if is_on else 0.0)
        gained_pct = plan.charge_pct_h * max(0.0, plugged_s) / 3600
        self.level_pct = min(100.0, max(0.0, self.level_pct + gained_pct - lost_pct))
        self._at_s = now_s

    def starts_after_s(self) -> float:
        """Return after how long an empty one has enough to start again; infinity for never."""
        plan = self.plan
        begin_s = max(self._at_s, plan.charge_start_s)
        need_s = math.inf
        if plan.charge_pct_h > 0:
            need_s = _STARTS_PCT / plan.charge_pct_h * 3600
        return begin_s + need_s - self._at_s if begin_s + need_s <= plan.charge_end_s else math.inf
