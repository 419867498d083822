"""An authority's folder, open: who may open it, how a step is saved, and where its keys are read.

HOME/authority holds the signing keys as passphrase-encrypted PKCS#8, and the state sealed under
the same passphrase; every file has mode 0600. A step is computed, saved, and only then answered.
What the steps are is said in `meshnode.authority_home`. Source: security 2.1.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from meshnode.authority_inviting import Entropy
from meshnode.authority_keys import AuthorityError, AuthorityKeys
from meshnode.authority_records import decode_state, encode_state
from meshnode.authority_state import AuthorityState
from meshnode.files import write_private
from protocol.authority import Signer
from protocol.errors import (
    EnrolmentError,
    IdentityError,
    MeshError,
    RemoteProtocolError,
    RightsError,
)
from protocol.issuing import RegionalAuthority, UnitAuthority

__all__ = ["AuthorityFolder", "reason_of"]


class AuthorityFolder:
    """An open folder, alone on its files until it is closed."""

    def __init__(
        self,
        folder: Path,
        keys: AuthorityKeys,
        state: AuthorityState,
        entropy: Entropy,
        passphrase: str,
    ) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._keys = keys
        self._entropy = entropy
        self.state = state

    @classmethod
    @contextmanager
    def open(cls, home: Path, passphrase: str, entropy: Entropy) -> Iterator[Self]:
        """Open the authority in HOME/authority; nobody else can until the block is left.

        Raises: AuthorityError if there is none, it is in use, or the passphrase is wrong.
        """
        folder = home / "authority"
        if not folder.is_dir():
            raise AuthorityError(f"there is no authority in {home}: make one by 'authority init'")
        with _locked(folder / "lock"):
            keys = AuthorityKeys.unlock(folder, passphrase)
            try:
                sealed = (folder / "state").read_bytes()
            except OSError as error:
                raise AuthorityError(f"{folder} is damaged: restore it from its copy") from error
            state = decode_state(keys.unseal(sealed))
            yield cls(folder, keys, state, entropy, passphrase)

    def note_refusal(self, reason: str, now_ms: int) -> None:
        """Write into the journal that a person refused, such as for other digits (`code`)."""
        self._save(self.state.with_note(now_ms, "refused", reason))

    @contextmanager
    def _noting_refusals(self, now_ms: int) -> Iterator[None]:
        try:
            yield
        except (EnrolmentError, IdentityError, RemoteProtocolError) as error:
            self.note_refusal(reason_of(error), now_ms)
            raise

    # --- keys and disk ---------------------------------------------------------------------

    def _roster_signers(self) -> tuple[Signer, ...]:
        return self._keys.read_hybrid("documents").signers

    def _issuer(self) -> RegionalAuthority:
        state = self.state
        if state.is_unit:
            key, above = self._keys.read_ec("unit"), (state.above[0], state.above[1])
            return UnitAuthority(key, state.badge_issuer, state.link_issuer, above)
        return RegionalAuthority(
            self._keys.read_ec("regional"), state.badge_issuer, state.link_issuer
        )

    def _refuse_unit(self) -> None:
        if self.state.is_unit:
            raise RightsError("a unit authority invites and issues: ask the region for this")

    def _refuse_below(self) -> None:
        """Refuse what changes the root, in a folder whose root others sign."""
        self._refuse_unit()
        if self.state.is_zone:
            raise RightsError("this zone signs no root: ask the holders of the national folder")

    def _save(self, state: AuthorityState) -> None:
        sealed = self._keys.seal(encode_state(state), self._entropy(12))
        write_private(self._folder / "state", sealed)
        self.state = state


def reason_of(error: MeshError) -> str:
    """Return one stable word for a refusal."""
    if isinstance(error, EnrolmentError):
        return error.reason
    return type(error).__name__.removesuffix("Error").lower()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` locked. Raises: AuthorityError if another program does."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AuthorityError("another command uses this authority: wait for its end") from error
        yield
