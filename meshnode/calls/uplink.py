"""The calls about the way to the gateway and what it costs, in plain values."""

from __future__ import annotations

from meshnode.budgets import Account
from meshnode.calls.base import Calls, Json
from protocol.budgets import MICROEUROS

__all__ = ["UplinkCalls"]


class UplinkCalls(Calls):
    """What people may ask of uplink and budgets."""

    async def uplink(self) -> Json:
        """Return through whom this device sends to gateways now, why, and what mates told.

        Works while locked. `role` is `own` (it speaks for the squad), `alone`, `mate`, or `vacant`.
        """
        room, own = self._node.uplink, self._node.identity.node
        choice, fitness = room.choice, room.fitness
        near = room.near()
        if choice.is_alone:
            role = "alone"
        elif choice.uplink:
            role = "own" if choice.uplink == own else "mate"
        else:
            role = "vacant"
        return {
            "role": role,
            "uplink": self._who(choice.uplink) if choice.uplink else None,
            "hops": choice.hops,
            "since_ms": choice.since_ms,
            "is_sos_pressing": room.is_sos_pressing,
            "has_gateway": fitness.is_connected,
            "score": room.points,
            "battery_pct": fitness.charge_pct,
            "is_charging": fitness.is_charging,
            "generation": fitness.generation,
            "cost": fitness.cost.name.lower(),
            "has_failed": fitness.has_failed,
            "mates": [
                {
                    **self._who(node),
                    "score": claim.score,
                    "uplink": self._who(claim.uplink) if claim.uplink else None,
                    "hops": claim.hops,
                    "is_near": node in near,
                }
                for node, claim in sorted(
                    room.claims.items(), key=lambda each: (-each[1].score, each[0])
                )
            ],
        }

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
