"""The calls about the way to the gateway and what it costs, in plain values."""

from __future__ import annotations

from meshnode.budgets import Account
from meshnode.calls import Calls, Json
from protocol.budgets import MICROEUROS

__all__ = ["UplinkCalls"]


class UplinkCalls(Calls):
    """What people may ask of uplink and budgets."""

    async def budget(self) -> list[Json]:
        """Return what each bearer with a budget has cost in its period, and what is left.

        Works while locked. Raises: StoreError.
        """
        return [_told(each) for each in await self._node.budgets.accounts()]


def _told(account: Account) -> Json:
    tariff = account.tariff
    price = tariff.step_microeuros
    return {
        "bearer": tariff.name,
        "period": tariff.period.value,
        "started_ms": account.start_ms,
        "spent_bytes": account.spent.billed_bytes,
        "bytes_max": tariff.bytes_max,
        "spent_euros": account.spent.microeuros / MICROEUROS,
        "euros_max": tariff.microeuros_max / MICROEUROS if price else None,
        "step_bytes": tariff.step_bytes,
        "left_bytes": account.left_bytes,
        "left_sos_bytes": account.left_sos_bytes,
    }
