"""The agent's keys of a home: what the agent's secret opens there, for all or for one action."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meshnode.enrol import badge_key
from meshnode.locking import Lent, SecretCase
from meshnode.vault.keystore import KeyStore
from meshnode.vault.vault import Vault

__all__ = ["HomeKeys"]


class HomeKeys:
    """The agent's keys of a home: what the secret opens in its vault."""

    def __init__(self, home: Path, keys: KeyStore, vault: Vault) -> None:
        self._home = home
        self._keys = keys
        self._vault = vault

    @property
    def case(self) -> SecretCase:
        """What protects them."""
        is_shut = self._keys.is_wiped or self._keys.has_lost_agent
        if not is_shut and self._keys.is_unattended:
            return SecretCase.UNATTENDED
        return SecretCase.HARDWARE if self._keys.is_hardware_bound else SecretCase.WORDS

    def unlock(self, secret: str) -> Callable[[bytes], bytes]:
        """See `AgentKeys.unlock`."""
        self._vault.unlock(self._keys.agent_master(secret or None))
        return badge_key(self._home, self._vault).sign

    def lend(self, secret: str) -> Lent:
        """See `AgentKeys.lend`."""
        vault = self._vault.opened(self._keys.agent_master(secret or None))
        return Lent(badge_key(self._home, vault).sign, vault)

    def lock(self) -> None:
        """See `AgentKeys.lock`."""
        self._vault.lock()
