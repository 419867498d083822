"""The keys of one home: made at enrolment, opened at the start, changed, destroyed.

Every step is a file that is as before or wholly new. A destruction first writes down that it was
begun, so that whatever a power cut leaves is finished at the next start, before anything is read.
Where there is no room to write, the files of keys get names that say the same: `tier0.gone` and
`tier1.gone`. They are emptied, and stay until the record can be written.

A file of the agent's keys that is missing without any such word was lost. Nothing is erased for
it: the device goes on as a locked one, and the file may be put back.
Source: security 2.1, 2.9 and 2.10.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from meshnode.errors import KeystoreError, WipedError
from meshnode.files import (
    do_all,
    empty,
    erase,
    finish_replacing,
    make_private_folder,
    replace_erasing,
    sync_folder,
    write_private,
)
from meshnode.runtime import Runtime, system_runtime
from meshnode.vault.device import DEVICE_VALUE_BYTES, DeviceFile, DeviceSource
from meshnode.vault.kinds import Tier
from meshnode.vault.tries import Tries
from meshnode.vault.vault import MASTER_BYTES, Vault
from meshnode.vault.wrapping import (
    AGENT_COST,
    SALT_BYTES,
    AgentCost,
    AgentFile,
    check_secret,
    unwrap,
    wrap,
)
from protocol.canonical import as_array, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError

__all__ = ["KeyStore"]

_NONCE_BYTES: Final = 12
_VERSION: Final = 1
_BYTES_MAX: Final = 64


class KeyStore:
    """The files of keys in one home; holds no key itself."""

    def __init__(
        self, home: Path, runtime: Runtime | None = None, source: DeviceSource | None = None
    ) -> None:
        folder = home / "keys"
        self._home = home
        self._runtime = runtime or system_runtime()
        self._source = source or DeviceFile(folder / "device")
        self._tier_0 = folder / "tier0"
        self._tier_1 = folder / "tier1"
        self._wiped = folder / "wiped"
        self._gone = {tier: folder / f"tier{tier:d}.gone" for tier in Tier}
        self._tries = Tries(folder / "tries")

    # --- making and opening -----------------------------------------------------------------

    @classmethod
    def create(
        cls,
        home: Path,
        secret: str | None,
        runtime: Runtime | None = None,
        *,
        cost: AgentCost = AGENT_COST,
        source: DeviceSource | None = None,
    ) -> KeyStore:
        """Make the keys of a device; without a secret it is unattended.

        What a power cut left of an earlier `create` is overwritten: nothing was sealed yet.
        Raises: KeystoreError if there are keys already, or for a short secret; WipedError; OSError.
        """
        found = cls(home, runtime, source)
        found._refuse_wiped(Tier.DEVICE)
        if cls.exists(home):
            raise KeystoreError(f"{home} has its keys already")
        if secret is not None:
            check_secret(secret)
        make_private_folder(home)
        make_private_folder(home / "keys")
        fresh = found._runtime.entropy
        found._source.create(fresh(DEVICE_VALUE_BYTES))
        value = found._source.read()
        write_private(found._tier_0, wrap(fresh(MASTER_BYTES), value, fresh(_NONCE_BYTES)))
        agent = AgentFile.make(
            fresh(MASTER_BYTES), value, secret, cost, fresh(_NONCE_BYTES + SALT_BYTES)
        )
        write_private(found._tier_1, agent.encode())
        return found

    @classmethod
    def open(
        cls,
        home: Path,
        runtime: Runtime | None = None,
        source: DeviceSource | None = None,
        *,
        may_lack_agent: bool = False,
    ) -> KeyStore:
        """Return the keys of a home, after finishing what a power cut interrupted.

        An enrolled home `may_lack_agent`: with the file of the agent's keys lost it opens locked.
        Raises: KeystoreError if it has none; OSError.
        """
        found = cls(home, runtime, source)
        for tier in found._destroyed():
            found.destroy(tier)
        if not found._destroyed():
            if not cls.exists(home) and not (may_lack_agent and found.has_lost_agent):
                raise KeystoreError(f"{home} holds no keys: run 'meshnode enrol' first")
            finish_replacing(found._tier_1)
        return found

    @staticmethod
    def exists(home: Path) -> bool:
        """True once `create` was finished here, and as long as nothing was destroyed."""
        return (home / "keys" / "tier1").exists()

    # --- asking -----------------------------------------------------------------------------

    @property
    def is_unattended(self) -> bool:
        """True if the device opens the agent's tier without a secret. Raises: KeystoreError."""
        return self._agent_file().is_unattended

    @property
    def is_hardware_bound(self) -> bool:
        """True if a copy of the files is worth nothing without this very device."""
        return self._source.is_hardware

    @property
    def is_wiped(self) -> bool:
        """True once the agent's key was destroyed, or its destruction was begun."""
        return Tier.AGENT in self._destroyed()

    @property
    def has_lost_agent(self) -> bool:
        """True where the file of the agent's keys alone is missing, and nothing says why."""
        return self._tier_0.exists() and not self._tier_1.exists() and not self.is_wiped

    @staticmethod
    def words_of_destruction(home: Path) -> frozenset[Path]:
        """Return the files that may say that keys were destroyed; they outlive everything else."""
        found = KeyStore(home)
        return frozenset({found._wiped, *found._gone.values()})

    def is_destroyed(self, tier: Tier) -> bool:
        """True once the key of `tier` was destroyed, or its destruction was begun."""
        return tier in self._destroyed()

    @property
    def failed_tries(self) -> int:
        """Wrong secrets since the last right one."""
        return self._tries.failed

    # --- using ------------------------------------------------------------------------------

    def open_vault(self) -> Vault:
        """Return the vault of the device: locked, or open where it is unattended.

        Raises: WipedError if the device's key was destroyed; KeystoreError.
        """
        self._refuse_wiped(Tier.DEVICE)
        value = self._source.read()
        vault = Vault(unwrap(self._read(self._tier_0), value), self._runtime.entropy)
        if not (self.is_wiped or self.has_lost_agent) and self.is_unattended:
            vault.unlock(self._agent_file().open(value, None))
        return vault

    def unlocked_vault(self, secret: str | None) -> Vault:
        """Return the vault of the device with both tiers open; no secret where it is unattended.

        Raises: as `open_vault` and `agent_master`.
        """
        vault = self.open_vault()
        if vault.is_locked:
            vault.unlock(self.agent_master(secret))
        return vault

    def agent_master(self, secret: str | None) -> bytes:
        """Return the key that opens the agent's tier. Blocks for about 0.2 s.

        Raises: WrongSecretError; SecretDelayedError after too many of them; WipedError;
        KeystoreError.
        """
        self._refuse_wiped(Tier.AGENT)
        file, value = self._agent_file(), self._source.read()
        if file.is_unattended:
            return file.open(value, None)
        self._tries.begin(self._runtime.now_ms())
        master = file.open(value, secret)
        self._tries.succeeded()
        return master

    def change_secret(
        self, old: str | None, new: str | None, *, cost: AgentCost = AGENT_COST
    ) -> None:
        """Wrap the agent's key under `new`; the file of the old secret is overwritten.

        After a power cut at any moment the old secret or the new one opens, never none.
        Raises: as `agent_master`, and KeystoreError for a short secret.
        """
        master = self.agent_master(old)
        fresh = self._runtime.entropy(_NONCE_BYTES + SALT_BYTES)
        agent = AgentFile.make(master, self._source.read(), new, cost, fresh)
        replace_erasing(self._tier_1, agent.encode())

    def destroy(self, tier: Tier) -> None:
        """Destroy the key of `tier` for ever; that of the device takes the agent's along.

        Idempotent, and finished by `open` after a power cut. A full disk stops nothing. Where the
        disk takes no change, all that can be erased is, and then it raises: OSError.
        """
        tiers = self._destroyed() | {tier}
        if tier is Tier.DEVICE:
            tiers |= {Tier.AGENT}
        try:
            self._note(tiers)
        except OSError:
            # That of the device first: its name says that both are gone.
            for each in sorted(tiers):
                self._mark(each)
        erasures = [partial(self._erase, each) for each in sorted(tiers, reverse=True)]
        do_all([*erasures, partial(self._settle, tiers)])

    # --- inside -----------------------------------------------------------------------------

    def _note(self, tiers: set[Tier]) -> None:
        """Write down which keys are to be destroyed, or are. Raises: OSError."""
        if tiers != self._recorded():
            write_private(self._wiped, encode([_VERSION, sum(1 << each for each in tiers)]))

    def _mark(self, tier: Tier) -> None:
        """Say by the name of a key's file that it is destroyed: a name takes no room."""
        path = self._tier_1 if tier is Tier.AGENT else self._tier_0
        with suppress(OSError):
            path.replace(self._gone[tier])
            sync_folder(path.parent)

    def _settle(self, tiers: set[Tier]) -> None:
        """Let the record stand for the names: there may be room for it now. Raises: OSError."""
        try:
            self._note(tiers)
        except OSError:
            if not tiers <= self._marked():
                raise
        else:
            do_all(partial(erase, path) for path in self._gone.values())

    def _erase(self, tier: Tier) -> None:
        gone = self._gone[tier]
        works = [partial(empty, gone)] if gone.exists() else []
        if tier is Tier.AGENT:
            works.append(partial(finish_replacing, self._tier_1))
            works += [partial(erase, path) for path in (self._tier_1, self._tries.path)]
        else:
            works += [partial(self._source.destroy), partial(erase, self._tier_0)]
        do_all(works)

    def _destroyed(self) -> set[Tier]:
        """Return the tiers whose destruction was begun. Raises: KeystoreError."""
        return self._recorded() | self._marked()

    def _marked(self) -> set[Tier]:
        """Return the tiers that the names of files call destroyed."""
        if self._gone[Tier.DEVICE].exists():
            return {Tier.DEVICE, Tier.AGENT}
        return {Tier.AGENT} if self._gone[Tier.AGENT].exists() else set()

    def _recorded(self) -> set[Tier]:
        """Return the tiers that the record calls destroyed. Raises: KeystoreError."""
        try:
            raw = self._wiped.read_bytes()
            record = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "wiped", 2)
            as_uint(record[0], "version of the wiped record", _VERSION, _VERSION)
            bits = as_uint(record[1], "tiers", 3)
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except RemoteProtocolError as error:
            raise KeystoreError(
                f"{self._wiped} is damaged: enrol this device again in a new home"
            ) from error
        return {tier for tier in Tier if bits >> tier & 1}

    def _refuse_wiped(self, tier: Tier) -> None:
        if tier in self._destroyed():
            raise WipedError(f"the keys in {self._home} were destroyed: enrol in another --home")

    def _agent_file(self) -> AgentFile:
        return AgentFile.decode(self._read(self._tier_1))

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise KeystoreError(
                f"{path} cannot be read: put it back from a backup, or enrol this device again"
            ) from error
