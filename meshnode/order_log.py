"""What the wipe orders held here say, device by device, for screens. Source: security 2.9."""

from __future__ import annotations

from typing import Any

from meshnode.trust import Trust
from protocol.ids import print_node_id

__all__ = ["order_log"]


def order_log(trust: Trust) -> list[dict[str, Any]]:
    """Return every wipe order in force, the oldest first, with the state of each device.

    A device is `ordered` until its proof is here, then `proven`; times are those that the signed
    documents state, Unix milliseconds.
    """
    proofs, directory = trust.erasure_times(), trust.directory
    return [
        {
            "order": order.order_id.hex(),
            "level": order.body.level.name.lower(),
            "issued_ms": order.issued_ms,
            "devices": [
                {
                    "name": directory.name_of(node),
                    "node": print_node_id(node),
                    "state": "proven" if (order.order_id, node) in proofs else "ordered",
                    "proven_ms": proofs.get((order.order_id, node)),
                }
                for node in order.body.devices
            ],
        }
        for order in trust.wipe_orders()
    ]
