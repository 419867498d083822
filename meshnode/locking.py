"""Opens and shuts the desk of a node: by the agent's secret, by idleness, and by the lease.

A device with a secret opens when a person gives it and locks by command or after some minutes
without one. An unattended device opens by itself. For both the lease has the last word: at its
end the desk shuts, and only a newer beacon lets it open again. Source: security 2.1, 2.9, 2.10.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import trio

from meshnode.desk import Desk
from meshnode.errors import KeystoreError, LeaseEndedError, LockedError, StoreError
from meshnode.lease import (
    BeaconView,
    BoundFile,
    Lease,
    LeaseState,
    LowerBound,
    judge,
    lease_ms_of,
)
from meshnode.links.level import Level
from meshnode.node import DeskParts, Node
from meshnode.store.lent import LentStore
from meshnode.vault.vault import Vault
from protocol.envelope import Sealer
from protocol.identity import DeviceClass
from protocol.orders import WipeLevel

if TYPE_CHECKING:
    from meshnode.gateway.gateway import Gateway

__all__ = ["AgentKeys", "Guard", "GuardParts", "Lent", "LockReason", "SecretCase"]

T = TypeVar("T")

FORGET_S: Final = 600.0
"""So long after keys were lent the process may begin anew, to have nothing of them in its memory.

An SOS is what they are lent for: it goes first, and a start takes a while.
"""


class SecretCase(StrEnum):
    """What stands between a thief and the agent's keys."""

    HARDWARE = "hardware"
    """A secret, bound to this machine: it cannot be tried elsewhere."""
    WORDS = "words"
    """A secret alone: its length is the only wall."""
    UNATTENDED = "unattended"
    """Nothing: the device opens by itself when it starts."""


@dataclass(frozen=True, slots=True)
class Lent:
    """The agent's keys for one action, on a device that stays shut."""

    sign: Callable[[bytes], bytes] = field(repr=False)
    """Signs with the badge's private key."""
    vault: Vault | None = field(repr=False)
    """Opens the agent's tier for its holder alone; None where rows lie open (tests)."""


class AgentKeys(Protocol):
    """The keys that need the agent's secret; their calls may block for a second."""

    @property
    def case(self) -> SecretCase:
        """What protects them."""
        ...

    def unlock(self, secret: str) -> Callable[[bytes], bytes]:
        """Open them and return what signs with the badge; an unattended device takes any secret.

        Raises: WrongSecretError, WipedError, KeystoreError, EnrolmentError.
        """
        ...

    def lend(self, secret: str) -> Lent:
        """Open them for whoever gets the answer, and for nobody else. Raises: as `unlock`."""
        ...

    def lock(self) -> None:
        """Forget them."""
        ...


class LockReason(StrEnum):
    """Why a desk shuts."""

    PERSON = "person"
    """Somebody said so."""
    IDLE = "idle"
    """Nobody gave a command for some time."""
    LEASE = "lease"
    """No beacon came in time."""


@dataclass(frozen=True, slots=True)
class GuardParts:
    """What a guard is built from."""

    node: Node
    """Whose desk it opens and shuts."""
    sealer: Sealer
    """For the desk."""
    keys: AgentKeys = field(repr=False)
    """What the secret opens."""
    view: BeaconView
    """What the documents say of beacons."""
    device_class: DeviceClass
    """Boxes have longer leases."""
    enrolled_ms: int
    """When this device was enrolled, Unix milliseconds."""
    auto_lock_s: int
    """Seconds without a command after which a device with a secret locks; 0 for never.

    One that keeps an archive has that of its plan instead (decision 64).
    """
    bound_file: BoundFile | None = None
    """Where the lower bound of time is kept; None keeps it in memory."""


class Guard:
    """Decides whether the desk of a node is open."""

    def __init__(self, parts: GuardParts) -> None:
        self.node = parts.node
        self._parts = parts
        kept_ms = 0 if parts.bound_file is None else parts.bound_file.read()
        self._bound = LowerBound(parts.view.floor_ms, kept_ms, trio.current_time)
        self._lease_ms = lease_ms_of(parts.device_class)
        self._turn = trio.Lock()
        self._touched_s = trio.current_time()
        self._is_held = parts.keys.case is not SecretCase.UNATTENDED
        self.on_lock: list[Callable[[bool], None]] = []
        """Told after every locking whether the device stays locked until somebody opens it."""
        self.wipe: Callable[[WipeLevel], Awaitable[None]] | None = None
        """Destroys the keys that it opens, for ever; None where no home holds them."""
        self.gateway: Gateway | None = None
        """The archive of this node; None where its badge is not of the centre."""
        self._forget_s = float("inf")
        """When lent keys are to leave the memory of this process, trio seconds."""
        self.wake = Level()
        """Set when the lease may have changed."""
        self.node.why_locked = self._why_locked
        self.node.housekeeping.on_look.append(self.wake.set)
        self.node.membership.on_change.append(lambda _raws, _source: self.wake.set())

    # --- state ------------------------------------------------------------------------------

    @property
    def case(self) -> SecretCase:
        """What protects the agent's keys here."""
        return self._parts.keys.case

    def lease(self) -> Lease:
        """Return how the device stands with the centre now."""
        now_ms = max(self.node.runtime.now_ms(), self._bound.now_ms())
        return judge(self._parts.view, self._parts.enrolled_ms, self._lease_ms, now_ms)

    def describe(self) -> dict[str, Any]:
        """Return the state in plain values, for screens."""
        lease = self.lease()
        return {
            "is_locked": self.node.desk is None,
            "protection": self.case.value,
            "auto_lock_s": self._auto_lock_s,
            "lease": lease.state.value,
            "has_beacon": lease.has_beacon,
            "beacon_age_ms": lease.age_ms,
            "lease_left_ms": lease.left_ms,
        }

    def _why_locked(self) -> LockedError:
        """Return why there is no desk, and what opens one: after the lease no secret does."""
        if self.lease().state is LeaseState.ENDED:
            return LockedError(
                "the lease of this device has ended: until it comes near a device that has met"
                " the centre lately, its secret raises an SOS and opens nothing else"
            )
        return LockedError()

    @property
    def _auto_lock_s(self) -> int:
        if self.case is SecretCase.UNATTENDED:
            return 0
        if self.gateway is not None and self.gateway.keeps_archive:
            return self.gateway.plan.auto_lock_s
        return self._parts.auto_lock_s

    # --- opening and shutting ---------------------------------------------------------------

    async def start(self, secret: str | None, *, is_held: bool = False) -> None:
        """Open the desk at the start of a process, where that is possible.

        An unattended device needs no secret; `is_held` keeps it shut as well. A lease that has
        ended shuts every device, which is no error here. Raises: WrongSecretError, WipedError.
        """
        is_unattended = self.case is SecretCase.UNATTENDED
        self._is_held = is_held or not is_unattended
        may_open = not is_held and (is_unattended or secret is not None)
        if may_open and self.lease().state is not LeaseState.ENDED:
            await self.unlock(secret or "")

    async def unlock(self, secret: str) -> bool:
        """Open the desk; False if it was open.

        Raises: LeaseEndedError, WrongSecretError, WipedError, KeystoreError.
        """
        async with self._turn:
            self.touch()
            if self.node.desk is not None:
                return False
            try:
                if self.lease().state is LeaseState.ENDED:
                    raise LeaseEndedError(
                        "no beacon of the centre came in time: the device opens again once it has"
                        " met one with news; until then its secret raises an SOS"
                    )
                sign = await self.node.runtime.run_blocking(self._parts.keys.unlock, secret)
            except KeystoreError as error:
                self._note_refusal(error)
                raise
            self._is_held = False
            # What was lent is in the memory of an open device anyway.
            self._forget_s = float("inf")
            self.node.open_desk(DeskParts(self._parts.sealer, sign))
        self.wake.set()
        return True

    async def lend(self, secret: str, action: Callable[[Desk], Awaitable[T]]) -> T:
        """Do `action` at a desk that nobody else finds; the device stays as shut as it was.

        The lease is not asked: the caller knows what may be done after its end, which is to call
        for help. What was begun is finished, whoever goes away. Raises: WrongSecretError,
        WipedError, KeystoreError, and what `action` raises.
        """
        async with self._turn:
            self.touch()
            try:
                lent = await self.node.runtime.run_blocking(self._parts.keys.lend, secret)
            except KeystoreError as error:
                self._note_refusal(error)
                raise
            store = LentStore(self.node.store, lent.vault)
            carrier = replace(self.node.carrier, store=store)
            desk = Desk(carrier, DeskParts(self._parts.sealer, lent.sign))
            del lent
            with trio.CancelScope(shield=True):
                try:
                    done = await action(desk)
                finally:
                    desk.put_away()
                    await store.close()
                    self._forget_s = min(self._forget_s, trio.current_time() + FORGET_S)
                    self.wake.set()
        return done

    def _note_refusal(self, error: KeystoreError) -> None:
        self.node.metrics.count("unlocks_refused")
        self.node.runtime.trace("unlock_refused", reason=type(error).__name__)

    async def lock(self, reason: LockReason = LockReason.PERSON) -> bool:
        """Shut the desk and forget the agent's keys; False if it was shut."""
        async with self._turn:
            is_lease = reason is LockReason.LEASE
            # Only an unattended device whose lease has ended opens by itself again.
            self._is_held = self._is_held or not is_lease or self.case is not SecretCase.UNATTENDED
            was_open = await self.node.lock()
            self._parts.keys.lock()
            if not was_open:
                return False
            self.node.metrics.count("leases_ended" if is_lease else "locks")
            self.node.runtime.trace("shut", reason=reason.value)
        self._tell_locked()
        return True

    def _tell_locked(self) -> None:
        self._forget_s = float("inf")
        for tell in self.on_lock:
            tell(self._is_held)

    def touch(self) -> None:
        """Somebody is there: the time without a command starts anew."""
        self._touched_s = trio.current_time()

    # --- what time brings -------------------------------------------------------------------

    async def run(self) -> None:
        """Watch lease and idleness until cancelled. Raises: StoreError, KeystoreError."""
        try:
            while True:
                await self._look()
                with trio.move_on_after(self._wait_s()):
                    await self.wake.wait()
        finally:
            # What was written down ahead and has not passed is not owed.
            if self._bound.kept_ms:
                with trio.CancelScope(shield=True):
                    await self._keep(self._bound.now_ms())

    async def _look(self) -> None:
        """Open or shut as lease and idleness have it now."""
        if self.lease().state is LeaseState.ENDED:
            await self.lock(LockReason.LEASE)
        elif self.node.desk is not None and self._idle_left_s() <= 0:
            await self.lock(LockReason.IDLE)
        elif self.node.desk is None and not self._is_held:
            await self.unlock("")
        if trio.current_time() >= self._forget_s:
            self._tell_locked()
        ahead_ms = self._bound.to_keep()
        if self._parts.view.has_beacons() and ahead_ms is not None:
            await self._keep(ahead_ms)

    async def _keep(self, bound_ms: int) -> None:
        if self._parts.bound_file is not None:
            try:
                await self.node.runtime.run_blocking(self._parts.bound_file.write, bound_ms)
            except OSError as error:
                raise StoreError(f"the lease cannot be written down: {error.strerror}") from error
        self._bound.kept_ms = bound_ms

    def _idle_left_s(self) -> float:
        if not self._auto_lock_s:
            return float("inf")
        return self._touched_s + self._auto_lock_s - trio.current_time()

    def _wait_s(self) -> float:
        """Return how long nothing can change by itself."""
        lease, waits = self.lease(), [self._forget_s - trio.current_time()]
        if self.node.desk is not None:
            waits.append(self._idle_left_s())
        if lease.state in (LeaseState.VALID, LeaseState.AMBER):
            waits += [lease.left_ms / 1000, (self._bound.kept_ms - self._bound.now_ms()) / 1000]
        return max(0.0, min(waits, default=float("inf")))
