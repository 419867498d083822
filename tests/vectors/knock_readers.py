"""How vectors of knocks and announcements are read, by node and reference."""

from __future__ import annotations

from typing import Any

from protocol import knock as knocking
from tests.reference import knocks

__all__ = ["knock", "reference_knock"]

Input = Any
"""JSON: hexadecimal text, or an object of such texts and numbers."""


def knock(item: Input) -> object:
    """Return what is sent for a name under a key."""
    key, name = bytes.fromhex(item["key"]), bytes.fromhex(item["name"])
    if "port" in item:
        return knocking.announcement_tag(key, name, item["port"])
    return knocking.make_knock(key, name, bytes.fromhex(item["random"]))


def reference_knock(item: Input) -> object:
    """Do as `knock` does, by the page."""
    key, name = bytes.fromhex(item["key"]), bytes.fromhex(item["name"])
    if "port" in item:
        message = b"meshnode mdns 1\0" + name + item["port"].to_bytes(2, "big")
        return knocks.hmac_sha256(key, message)[:8]
    return knocks.knock(key, name, bytes.fromhex(item["random"]))
