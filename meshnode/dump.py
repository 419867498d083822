"""Explains any file of this program as far as it can be without a key: the part of `dump` below.

What comes out is made of plain JSON types. Contents of bundles, secrets of invitations, private
keys and signatures never come out; nothing is proven, because that needs the files of a node.
Source: STYLE 46, wire-format.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from meshnode.explain import (
    Facts,
    answer_untrusted,
    bundle_untrusted,
    certificate_or_fault,
    certificate_untrusted,
    document_untrusted,
    documents_untrusted,
    invitation_untrusted,
    moment,
    request_untrusted,
    unit_grant_untrusted,
    unit_report_untrusted,
    unit_request_untrusted,
    word,
    zone_answer_untrusted,
    zone_request_untrusted,
)
from meshnode.store.overview import read_overview
from meshnode.vault.sealed_stream import MAGIC as BACKUP_MAGIC
from meshnode.vault.sealed_stream import read_head
from protocol.armour import TextForm
from protocol.errors import LimitExceededError, MalformedError, MeshError, RemoteProtocolError
from protocol.guards import BACKUP_CHUNK_BYTES
from protocol.limits import (
    DUMP_BYTES_MAX,
    DUMP_EVENTS_MAX,
    DUMP_FRAMES_MAX,
    DUMP_LINE_BYTES_MAX,
    DUMP_LIST_MAX,
    STICK_CHUNK_BYTES,
    TrafficClass,
)
from protocol.session.frames import FrameReader
from protocol.stick import (
    MAGIC,
    PREAMBLE_BYTES,
    StickHeader,
    decode_header_untrusted,
    header_bytes_untrusted,
)

__all__ = ["DumpError", "explain_file", "explain_untrusted"]

_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_TAG_BYTES: Final = 16
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_EVENT = re.compile(r"[a-z][a-z0-9_.]{0,63}")


class DumpError(MeshError):
    """A file cannot be read at all."""


def explain_file(path: Path) -> Facts:
    """Return what the file at `path` is and says.

    Raises: DumpError if it cannot be read, StoreError for a damaged store, BackupError for the
    damaged begin of a backup, MalformedError or
    LimitExceededError for what is not, or not rightly, a file of this program.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DumpError(f"{path} is not a file")
            head = file.read(PREAMBLE_BYTES + 4)
            if head.startswith(_SQLITE_MAGIC):
                return _facts("store", path.name, status.st_size, _store(path))
            if head.startswith(MAGIC):
                length = header_bytes_untrusted(head[:PREAMBLE_BYTES])
                file.seek(PREAMBLE_BYTES)
                header = decode_header_untrusted(file.read(length))
                found = _stick(header, status.st_size)
                return _facts("sealed file", path.name, status.st_size, found)
            if head.startswith(BACKUP_MAGIC):
                file.seek(0)
                return _facts("backup", path.name, status.st_size, _backup(file, status.st_size))
            raw = head + file.read(DUMP_BYTES_MAX + 1 - len(head))
    except OSError as error:
        raise DumpError(f"cannot read {path}: {error.strerror}") from error
    return explain_untrusted(raw, path.name)


def explain_untrusted(raw: bytes, name: str) -> Facts:
    """Return what `raw`, called `name`, is and says: `schema` 1, `what`, and what fits it.

    Raises: MalformedError, with what is wrong or that nothing is known like this;
    LimitExceededError for more than 64 MB.
    """
    if len(raw) > DUMP_BYTES_MAX:
        raise LimitExceededError("bytes of a file", DUMP_BYTES_MAX, len(raw))
    what, found = _recognise_untrusted(raw)
    return _facts(what, name, len(raw), found)


def _facts(what: str, name: str, size_bytes: int, found: Facts) -> Facts:
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return {"schema": 1, "what": what, **found, "file": shown, "file_bytes": size_bytes}


def _recognise_untrusted(raw: bytes) -> tuple[str, Facts]:
    """Ask the kinds that show themselves first, then those that only a full reading shows."""
    start = raw[:64].lstrip()
    for mark, what, explain in _MARKED:
        if start.startswith(mark):
            return what, explain(raw)
    for what, explain in _UNMARKED:
        try:
            return what, explain(raw)
        except RemoteProtocolError:
            continue
    raise MalformedError("nothing of this program is recognised in this file; it may be damaged")


def _stick_untrusted(raw: bytes) -> Facts:
    length = header_bytes_untrusted(raw[:PREAMBLE_BYTES])
    header = decode_header_untrusted(raw[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
    return _stick(header, len(raw))


def _store_untrusted(_raw: bytes) -> Facts:
    raise MalformedError("a store is explained from its file, not from its bytes")


# --- PEM ---------------------------------------------------------------------------------------


def _pem_untrusted(raw: bytes) -> Facts:
    """Explain the one block, or each; of a key only that it is one."""
    parts = [_pem_part(*block) for block in _pem_blocks(raw)]
    if not parts:
        raise MalformedError("this PEM file has no whole block")
    return parts[0] if len(parts) == 1 else {"parts": parts}


def _pem_blocks(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield label and inside of each block, at most `DUMP_LIST_MAX`."""
    start = 0
    for _ in range(DUMP_LIST_MAX):
        match = _LABEL.search(raw, start)
        end = raw.find(b"-----END ", match.end()) if match is not None else -1
        if match is None or end < 0:
            return
        yield match[1].decode("ascii"), raw[match.end() : end]
        start = end


def _pem_part(label: str, inner: bytes) -> Facts:
    if "PRIVATE KEY" in label:
        is_locked = "ENCRYPTED" in label or b"ENCRYPTED" in inner
        return {"what": "private key", "is_encrypted": is_locked, "key": "not shown"}
    if label != "CERTIFICATE":
        return {"what": label.lower()}
    try:
        der = base64.b64decode(b"".join(inner.split()), validate=True)
    except binascii.Error:
        return {"what": "certificate", "fault": "its letters are not base64"}
    return {"what": "certificate", **certificate_or_fault(der)}


# --- files that are opened by their name -------------------------------------------------------


def _backup(file: BinaryIO, size_bytes: int) -> Facts:
    stated = read_head(file)
    sealed_bytes = size_bytes - len(stated.raw)
    chunks = -(-sealed_bytes // (BACKUP_CHUNK_BYTES + _TAG_BYTES))
    return {
        "memory_kib": stated.cost.memory_kib,
        "iterations": stated.cost.iterations,
        "lanes": stated.cost.lanes,
        "chunks": chunks,
        "content_bytes": max(0, sealed_bytes - _TAG_BYTES * chunks),
    }


def _stick(header: StickHeader, size_bytes: int) -> Facts:
    sealed_bytes = size_bytes - PREAMBLE_BYTES - len(header.raw)
    chunks = -(-sealed_bytes // (STICK_CHUNK_BYTES + _TAG_BYTES))
    found: Facts = {
        "recipients_count": len(header.slots),
        "recipients": [slot.prekey_id.hex() for slot in header.slots],
        "header_bytes": len(header.raw),
        "chunks": chunks,
        "content_bytes": max(0, sealed_bytes - _TAG_BYTES * chunks),
    }
    if sealed_bytes < _TAG_BYTES:
        found["fault"] = "this file was cut short: its content is missing"
    return found


def _store(path: Path) -> Facts:
    overview = read_overview(path)
    return {
        "store_schema": overview.schema_version,
        "tables": overview.rows,
        "classes": {
            _class_word(number): {"bundles": count, "bundle_bytes": size_bytes}
            for number, (count, size_bytes) in sorted(overview.classes.items())
        },
    }


def _class_word(number: int) -> str:
    known = {int(each): word(each.name) for each in TrafficClass}
    return known.get(number, f"class {number}")


# --- captures ----------------------------------------------------------------------------------


def _frames_untrusted(raw: bytes) -> Facts:
    """Explain one direction of a session as it was on the wire, above TLS."""
    reader = FrameReader()
    reader.feed(raw)
    listed: list[Facts] = []
    counts: Counter[str] = Counter()
    size_bytes: Counter[str] = Counter()
    for _ in range(DUMP_FRAMES_MAX):
        frame = reader.next_untrusted()
        if frame is None:
            break
        frame_type, payload = frame
        counts[frame_type.name] += 1
        size_bytes[frame_type.name] += len(payload)
        if len(listed) < DUMP_LIST_MAX:
            listed.append({"type": frame_type.name, "payload_bytes": len(payload)})
    if not listed:
        raise MalformedError("there is no whole frame")
    return {
        "types": {
            name: {"frames": count, "payload_bytes": size_bytes[name]}
            for name, count in sorted(counts.items())
        },
        "frames_count": counts.total(),
        "rest_bytes": reader.buffered_bytes,
        "frames": listed,
    }


def _trace_untrusted(raw: bytes) -> Facts:
    """Count the events of a trace; what stands beside them stays in the file."""
    events: Counter[str] = Counter()
    moments: list[int] = []
    odd_lines = 0
    for line in io.BytesIO(raw):
        found = _trace_line(line)
        if found is not None:
            event, at_ms = found
            is_known = event in events or len(events) < DUMP_EVENTS_MAX
            events[event if is_known else "(others)"] += 1
            moments = [min([at_ms, *moments]), max([at_ms, *moments])]
        elif line.strip():
            odd_lines += 1
    if not moments:
        raise MalformedError("no line of this file is an event of a trace")
    return {
        "lines": events.total(),
        "odd_lines": odd_lines,
        **moment("first", moments[0]),
        **moment("last", moments[1]),
        "events": dict(sorted(events.items())),
    }


def _trace_line(line: bytes) -> tuple[str, int] | None:
    """Return event and time of one line, None if it is no event."""
    if len(line) > DUMP_LINE_BYTES_MAX:
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    event, at_ms = value.get("event"), value.get("at_ms")
    # A word that no trace of ours writes might be anything, also something to keep quiet.
    if not isinstance(event, str) or _EVENT.fullmatch(event) is None or type(at_ms) is not int:
        return None
    return event, at_ms


# --- table of kinds ----------------------------------------------------------------------------

_MARKED: Final[tuple[tuple[bytes, str, Callable[[bytes], Facts]], ...]] = (
    (_SQLITE_MAGIC, "store", _store_untrusted),
    (MAGIC, "sealed file", _stick_untrusted),
    (b"-----BEGIN ", "PEM file", _pem_untrusted),
    (TextForm.INVITATION.word.encode() + b":", "invitation", invitation_untrusted),
    (TextForm.REQUEST.word.encode() + b":", "enrolment request", request_untrusted),
    (TextForm.ANSWER.word.encode() + b":", "enrolment answer", answer_untrusted),
    (TextForm.DOCUMENTS.word.encode() + b":", "authority documents", documents_untrusted),
    (TextForm.UNIT_REQUEST.word.encode() + b":", "unit request", unit_request_untrusted),
    (TextForm.UNIT_GRANT.word.encode() + b":", "unit grant", unit_grant_untrusted),
    (TextForm.UNIT_REPORT.word.encode() + b":", "unit report", unit_report_untrusted),
    (TextForm.ZONE_REQUEST.word.encode() + b":", "zone request", zone_request_untrusted),
    (TextForm.ZONE_ANSWER.word.encode() + b":", "zone answer", zone_answer_untrusted),
    (b"{", "trace", _trace_untrusted),
)
_UNMARKED: Final[tuple[tuple[str, Callable[[bytes], Facts]], ...]] = (
    ("bundle", bundle_untrusted),
    ("authority document", document_untrusted),
    ("certificate", certificate_untrusted),
    ("session frames", _frames_untrusted),
)
"""A certificate comes before frames: its first byte is the type of a PING."""
