"""The calls that write and read files of an archive; `Api` has them beside its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshnode.calls.archive import ArchiveCalls
from meshnode.calls.base import Json
from meshnode.errors import ArchiveError, ArchiveKeyError
from meshnode.files import write_private
from meshnode.outside_files import open_picked
from meshnode.stick import StickError
from meshnode.store import keyring
from protocol.envelope import PrekeySecret
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import NodeId, print_node_id

if TYPE_CHECKING:
    from meshnode.gateway.gateway import Gateway

__all__ = ["ArchiveFileCalls"]

_FILE_BYTES_MAX: Final = 16_384
_REASON_CHARACTERS_MAX: Final = 200


class ArchiveFileCalls(ArchiveCalls):
    """What people may have written of the archive, and have checked."""

    # --- for a judge ------------------------------------------------------------------------

    async def archive_export(
        self, path: str, reason: str, author: str = "", from_ms: int = 0, to_ms: int = 0
    ) -> Json:
        """Write what is held of a device (or of all) and a period, with its reason, signed.

        The entry of the purge log comes first: nothing leaves without it.
        Raises: ArchiveError, UnknownNameError, LockedError, StickError, ControlError.
        """
        from meshnode.gateway import exporting
        from meshnode.gateway.archive.purge_log import Action
        from meshnode.gateway.archive.records import Query

        gateway = self._gateway()
        words = " ".join(reason.split())
        if not words or len(words) > _REASON_CHARACTERS_MAX:
            raise ArchiveError(f"a reason has 1 to {_REASON_CHARACTERS_MAX} characters")
        archive, limit = await gateway.archive(), exporting.EXPORT_ROWS_MAX
        who = self._archived_by(author) if author else None
        query = Query(author=who, from_ms=from_ms, to_ms=to_ms or Query().to_ms, limit=limit + 1)
        contents, bundles = await archive.contents(query), await archive.bundles(query)
        if len(contents) + len(bundles) > limit:
            raise ArchiveError(f"this is more than {limit} bundles and contents: ask for less time")
        # Looked at before: the purge log must not say that something was handed out which was not.
        await self._node.runtime.run_blocking(_check_place, Path(path))
        question = self._question(words, who, query.from_ms, to_ms)
        told = [(each, self._archived(each)) for each in contents]
        details = (
            ("reason", words),
            ("author", "" if who is None else print_node_id(who)),
            ("from_ms", str(from_ms)),
            ("to_ms", str(to_ms)),
            ("contents", str(len(contents))),
            ("bundles", str(len(bundles))),
        )
        head = await gateway.note(Action.EXPORT, details)
        self._node.audit.note("archive_exported")
        await self._node.audit.flush()
        question |= {"log_number": head.number, "log_hash": head.hash.hex()}
        sign = self._node.require_desk().sign
        try:
            digest = await self._node.runtime.run_blocking(
                exporting.write, Path(path), question, told, bundles, sign
            )
        except OSError as error:
            raise StickError(f"cannot write {path}: {error.strerror}") from error
        return {
            "path": path,
            "contents": len(contents),
            "bundles": len(bundles),
            "manifest": digest,
            "log_number": head.number,
        }

    def _question(self, reason: str, author: NodeId | None, from_ms: int, to_ms: int) -> Json:
        own = self._node.identity.node
        member = self._node.membership.directory.member(own)
        return {
            "gateway_id": own.hex(),
            "gateway": self._who(own),
            "gateway_key": "" if member is None else member.public_key.hex(),
            "reason": reason,
            "author": None if author is None else self._who(author),
            "from_ms": from_ms,
            "to_ms": to_ms,
            "written_ms": self._node.runtime.now_ms(),
        }

    async def archive_verify(self, path: str) -> Json:
        """Check an export or a signed answer of any gateway that the rosters here name.

        Raises: ArchiveError where it was changed or nobody known signed it; StickError.
        """
        from meshnode.gateway.signatures import by_rosters

        check = by_rosters(self._node.membership.directory)
        try:
            found = await self._node.runtime.run_blocking(_claims, Path(path), check)
        except OSError as error:
            raise StickError(f"cannot read {path}: {error.strerror}") from error
        except (ArchiveError, AuthenticationError, RemoteProtocolError) as error:
            await self._archive_refused("archive_files_refused", type(error).__name__)
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError(
                "this is no whole export or answer of a gateway that the rosters here name"
            ) from error
        gateway = NodeId(bytes.fromhex(found.pop("signer")))
        is_revoked = gateway in self._node.membership.directory.revoked
        return {**found, "gateway": self._who(gateway), "is_revoked": is_revoked}

    async def _archive_refused(self, counter: str, reason: str) -> None:
        self._node.metrics.count(counter)
        self._node.runtime.trace("archive_file_refused", reason=reason)
        await self._node.audit.flush()

    # --- what is held -----------------------------------------------------------------------

    async def archive_held(self, device: str, path: str = "") -> Json:
        """Return what the archive holds about a device; with `path`, write it signed, too.

        Raises: ArchiveError, UnknownNameError, LockedError, StickError, ControlError.
        """
        from meshnode.gateway.archive.purge_log import Action
        from meshnode.gateway.certificate import Certificate, line_of, sign

        gateway = self._gateway()
        node = self._archived_by(device)
        held = await (await gateway.archive()).held(node)
        lines = tuple(line_of(each, gateway.plan.terms) for each in held)
        now_ms = self._node.runtime.now_ms()
        found = Certificate(self._node.identity.node, node, now_ms, lines)
        if path:
            raw = sign(found, self._node.require_desk().sign)
            digest = hashlib.sha256(raw).hexdigest()
            details = (("device", print_node_id(node)), ("sha256", digest))
            await gateway.note(Action.ANSWER, details)
            self._node.audit.note("archive_answered")
            await self._write_file(path, raw)
        return {**found.as_json(), "device": self._who(node), "path": path}

    async def _write_file(self, path: str, raw: bytes) -> None:
        try:
            await self._node.runtime.run_blocking(write_private, Path(path), raw)
        except OSError as error:
            raise StickError(f"cannot write {path}: {error.strerror}") from error

    # --- the key ----------------------------------------------------------------------------

    async def archive_key_export(self, path: str, to: str) -> Json:
        """Write the key of the archive for another gateway, which alone can open the file.

        Raises: ArchiveError, UnknownNameError, LockedError, StickError, ControlError.
        """
        from meshnode.gateway.master import give

        gateway, taker = self._gateway(), self._archived_by(to)
        member = self._node.membership.directory.trusted(taker)
        if member is None or member.role not in (Role.GATEWAY, Role.OPERATOR):
            raise ArchiveError("the key of an archive goes to gateways and operators alone")
        desk, now_ms = self._node.require_desk(), self._node.runtime.now_ms()
        prekeys = await self._node.store.read(lambda c: keyring.peer_prekeys(c, [taker], now_ms))
        if taker not in prekeys:
            raise StickError(f"no key of {to} is known here yet: meet it once first")
        own, master = self._node.identity.node, gateway.master_key()
        raw = give(master, own, taker, prekeys[taker], desk.sealer, desk.sign)
        self._node.audit.note("archive_key_given")
        await self._node.audit.flush()
        await self._write_file(path, raw)
        return {"path": path, **self._who(taker)}

    async def archive_key_import(self, path: str) -> Json:
        """Take the key of another gateway's archive; from now on this one archives there, too.

        Raises: ArchiveKeyError, LockedError, StickError, ControlError.
        """
        from meshnode.gateway.master import given_untrusted
        from meshnode.gateway.signatures import check

        gateway, directory = self._gateway(), self._node.membership.directory
        gateway.require_centre()
        try:
            raw = await self._node.runtime.run_blocking(_read_bounded, Path(path))
            given = given_untrusted(raw)
            giver = directory.trusted(given.giver)
            if giver is None or giver.role not in (Role.GATEWAY, Role.OPERATOR):
                raise AuthenticationError("no gateway that is trusted here gave this key")
            check(giver.public_key, given.message, given.signature)
            await self._take_key(gateway, given.prekey_id, raw)
        except OSError as error:
            raise StickError(f"cannot read {path}: {error.strerror}") from error
        except (ArchiveKeyError, AuthenticationError, RemoteProtocolError) as error:
            await self._archive_refused("archive_keys_refused", type(error).__name__)
            if isinstance(error, ArchiveKeyError):
                raise
            raise ArchiveKeyError(
                "this file holds no key that a gateway known here gave to this device"
            ) from error
        self._node.audit.note("archive_key_taken")
        await self._node.audit.flush()
        return {"path": path, **self._who(given.giver)}

    async def _take_key(self, gateway: Gateway, prekey_id: bytes, raw: bytes) -> None:
        from meshnode.gateway.master import given_untrusted, taken

        given, desk = given_untrusted(raw), self._node.require_desk()
        secret: PrekeySecret | None = await self._node.store.read(
            lambda conn: keyring.own_prekey(conn, prekey_id)
        )
        if given.taker != self._node.identity.node or secret is None:
            raise ArchiveKeyError("this file was sealed for another device, or its key was erased")
        master = taken(given, secret, desk.sealer)
        await gateway.keep_master(master)


def _check_place(path: Path) -> None:
    """Raises: StickError where no new file can be made; what one judge got replaces no other."""
    if path.exists():
        raise StickError(f"{path} is there already: take another name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StickError(f"cannot write {path}: the folder is missing or closed to this program")


def _read_bounded(path: Path) -> bytes:
    with open_picked(path) as file:
        raw = file.read(_FILE_BYTES_MAX + 1)
    if len(raw) > _FILE_BYTES_MAX:
        raise ArchiveError("this file is too long for what it should be")
    return raw


def _claims(path: Path, check: Callable[[NodeId, bytes, bytes], None]) -> Json:
    """Return what a file says once its signature and its hashes hold; `signer` in hexadecimal.

    Raises: ArchiveError, AuthenticationError, MalformedError, LimitExceededError, OSError.
    """
    from meshnode.gateway import exporting
    from meshnode.gateway.certificate import certificate_untrusted

    with open_picked(path) as file:
        is_zip = file.read(2) == b"PK"
    if not is_zip:
        answer = certificate_untrusted(_read_bounded(path))
        found = answer.certificate
        check(found.gateway, answer.message, answer.signature)
        return {"kind": "answer", **found.as_json(), "signer": found.gateway.hex()}
    with open_picked(path) as file:
        export = exporting.export_untrusted(file)
        check(export.gateway, export.message, export.signature)
        exporting.hashes_hold(file, export)
    told = {name: value for name, value in export.manifest.items() if name != "files"}
    return {"kind": "export", **told, "signer": export.gateway.hex()}
