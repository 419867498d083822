"""Signatures of gateways over what they did, checked by the badges that the rosters name."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature

from meshnode.directory import Directory
from protocol.bundle import load_public_key
from protocol.errors import AuthenticationError, IdentityError
from protocol.ids import NodeId

__all__ = ["by_rosters", "check"]


def check(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Raises: AuthenticationError unless the holder of a badge signed `message`."""
    try:
        load_public_key(public_key).verify(signature, message)
    except (InvalidSignature, IdentityError) as error:
        raise AuthenticationError("this was not signed by that badge") from error


def by_rosters(directory: Directory) -> Callable[[NodeId, bytes, bytes], None]:
    """Return what checks the signature of a device by the key that a roster gives it.

    A device that was revoked since did sign what it signed.
    """

    def check_one(node: NodeId, message: bytes, signature: bytes) -> None:
        member = directory.member(node)
        if member is None:
            raise AuthenticationError("no roster here names this device")
        check(member.public_key, message, signature)

    return check_one
