"""What is asked of the machine that a node runs on, for those who look for a fault.

Each question is a field, so that a test can answer it with a fault. Knows no node.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

from meshnode.discovery.addresses import look_around
from meshnode.links.base import Address

__all__ = ["Machine"]

_MULTICAST: Final = ("224.0.0.251", 5353)
"""Group and port of multicast DNS (RFC 6762)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is asked of the machine itself, and how."""

    python: tuple[int, ...] = sys.version_info[:3]
    """Version of the interpreter."""
    package_version: Callable[[str], str] = metadata.version
    """Version of an installed package; raises PackageNotFoundError."""
    may_use: Callable[[Path], bool] = field(
        default=lambda path: os.access(path, os.R_OK | os.W_OK | os.X_OK)
    )
    """Whether this user may read and write a folder."""
    free_bytes: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)
    """Room on the disk under a folder, bytes."""
    hosts: Callable[[], tuple[str, ...]] = field(default=lambda: _own_hosts())
    """Addresses of this machine that others may reach."""
    listen: Callable[[Address], None] = field(default=lambda address: _try_listening(address))
    """Takes an address and frees it; raises OSError where it cannot be had."""
    join_multicast: Callable[[], None] = field(default=lambda: _try_multicast())
    """Joins the group of multicast DNS and leaves it; raises OSError where it is refused."""


def _own_hosts() -> tuple[str, ...]:
    return tuple(each.ip for each in look_around().addresses if not each.is_loopback)


def _try_listening(address: Address) -> None:
    for family, kind, _, _, place in socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(place)
            listener.listen(1)


def _try_multicast() -> None:
    group, port = _MULTICAST
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
        joined = socket.inet_aton(group) + socket.INADDR_ANY.to_bytes(4, "big")
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        member.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        # Some hosts let a socket join and refuse to send: an empty datagram tells.
        member.sendto(b"", (group, port))
