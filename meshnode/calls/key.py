"""The calls about locks, keys and what is held, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from meshnode.calls.base import Calls, Json
from meshnode.errors import ControlError
from meshnode.holdings import HoldingsError, report_of, sign, verified
from meshnode.locking import Guard, SecretCase
from meshnode.stick import StickError
from meshnode.store import keyring, purging
from meshnode.store.keyring import KeyPurpose
from protocol.ids import NodeId
from protocol.network_keys import OLD_EPOCHS_MAX, epoch_of
from protocol.orders import WipeLevel

__all__ = ["KeyCalls"]

_LEVELS: Final = {"agent": WipeLevel.AGENT, "all": WipeLevel.ALL}


class KeyCalls(Calls):
    """What people may ask of keys and of what is kept under them."""

    async def lock(self) -> bool:
        """Lock the agent's keys; False if they were locked. Raises: ControlError."""
        return await self._guarded().lock()

    async def unlock(self, secret: str) -> bool:
        """Open the agent's keys; False if they were open.

        Raises: WrongSecretError, LeaseEndedError, WipedError, KeystoreError, ControlError.
        """
        was_shut = await self._guarded().unlock(secret)
        if was_shut:
            self._node.audit.note("unlocked")
        return was_shut

    async def wipe(self, level: str) -> None:
        """Destroy the keys of the agent (`agent`) or of the device (`all`), locked or not.

        On return they are gone. Raises: ControlError, StoreError, OSError.
        """
        wipe = self._guarded().wipe
        if wipe is None:
            raise ControlError("not_guarded", "this node has no keys of its own")
        if level not in _LEVELS:
            raise ControlError("params", "a wipe is of the agent or of all")
        await wipe(_LEVELS[level])

    async def keys(self) -> Json:
        """Return which keys there are, how old they are and what opens them; never a key."""
        node = self._node
        now_ms = node.runtime.now_ms()
        found: Json = {"lock": self._lock_state(), "prekey": None, "chains": None}
        if node.desk is not None:
            prekey, chains = await node.store.read(
                lambda conn: (
                    keyring.newest_own_prekey(conn),
                    len(keyring.open_chains(conn, now_ms)),
                )
            )
            found["chains"] = chains
            if prekey is not None:
                found["prekey"] = {"issued_ms": prekey.issued_ms, "ends_ms": prekey.ends_ms}
        ids = await node.store.read(
            lambda conn: {each: keyring.network_key_ids(conn, each) for each in KeyPurpose}
        )
        found["network"] = [
            {"purpose": purpose.name.lower(), "id": each.hex(), "epoch": _epoch(purpose, each)}
            for purpose, listed in ids.items()
            for each in listed
        ]
        return found

    @property
    def is_locked(self) -> bool:
        """True while the agent's keys are locked, or destroyed."""
        return self._node.desk is None

    @property
    def has_secret(self) -> bool:
        """True where a secret alone opens the agent's keys."""
        return self._guard is not None and self._guard.case is not SecretCase.UNATTENDED

    def touch(self) -> None:
        """Somebody is there who gives commands: idleness is counted anew."""
        if self._guard is not None:
            self._guard.touch()

    def _guarded(self) -> Guard:
        if self._guard is None:
            raise ControlError("not_guarded", "this node has no lock of its own")
        return self._guard

    async def holdings(self, *, signed: bool = False) -> Json:
        """Return what is held here, by which rule and until when; counts and dates alone.

        With `signed`, the record with the badge's signature is there too, in hexadecimal.
        Raises: LockedError if it is to be signed by a locked device; StoreError.
        """
        node, now_ms = self._node, self._node.runtime.now_ms()
        found = await node.store.read(lambda conn: purging.holdings(conn, now_ms))
        report = report_of(node.identity.node, now_ms, found)
        proof = {"signed": sign(report, node.require_desk().sign).hex()} if signed else {}
        return report.as_json() | proof

    async def verify_holdings(self, path: str) -> Json:
        """Return what a device signed about what it held, with its name as the rosters here say it.

        Raises: HoldingsError if nobody known signed it, or not this; StickError.
        """
        directory = self._node.membership.directory

        def key_of(node: NodeId) -> bytes | None:
            member = directory.member(node)
            return None if member is None else member.public_key

        try:
            report = await self._node.runtime.run_blocking(verified, Path(path), key_of)
        except HoldingsError as error:
            self._node.metrics.count("answers_refused")
            self._node.runtime.trace("answer_refused", reason=error.reason)
            await self._node.audit.flush()
            raise
        except OSError as error:
            raise StickError(f"{path} cannot be read: {error.strerror}") from error
        is_revoked = report.node in directory.revoked
        return {**report.as_json(), **self._who(report.node), "is_revoked": is_revoked}

    def _lock_state(self) -> Json:
        if self._guard is not None:
            return {**self._guard.describe(), "is_wiped": self._node.is_wiped}
        # A node without a guard is opened and shut by whoever made it.
        return {"is_locked": self._node.desk is None, "protection": SecretCase.UNATTENDED.value}


def _epoch(purpose: KeyPurpose, key_id: bytes) -> int | None:
    """Return the week of a key that is renewed weekly, None for one that is not."""
    return epoch_of(key_id) if purpose in OLD_EPOCHS_MAX else None
