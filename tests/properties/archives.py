"""Readers of what one gateway hands to another, or to whoever asked what it holds."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from meshnode.gateway import certificate, exporting, master
from meshnode.gateway.archive.records import Held
from meshnode.gateway.certificate import Certificate, line_of
from meshnode.retention import DataClass, default_terms
from protocol.envelope import PrekeyRecord
from protocol.ids import NodeId
from sims.sealer import StandInSealer
from tests.properties.orders import of_value
from tests.properties.table import Parser
from tests.protocol.enrolling import BADGE, NOW_MS

__all__ = ["ARCHIVE_PARSERS"]

_NODE, _OTHER = NodeId(b"g" * 16), NodeId(b"d" * 16)
_SEALER = StandInSealer(bytes)
_LINES = tuple(line_of(Held(each, 1, 2, 20_000), default_terms()) for each in DataClass)
_ANSWER = certificate.sign(Certificate(_NODE, _OTHER, NOW_MS, _LINES), BADGE.sign)


def _given() -> bytes:
    _secret, prekey = _SEALER.make_prekey(NOW_MS)
    assert isinstance(prekey, PrekeyRecord)
    return master.give(bytes(32), _NODE, _OTHER, prekey, _SEALER, BADGE.sign)


def _export() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.zip"
        question = {"gateway_id": _NODE.hex(), "reason": "a reason"}
        exporting.write(path, question, [], [], BADGE.sign)
        return path.read_bytes()


def _line_bytes() -> bytes:
    from protocol.canonical import encode

    each = _LINES[0]
    figures = (each.bundles, each.contents, each.oldest_ms, each.next_purge_ms, each.days)
    return encode([str(each.data_class).encode(), *figures, each.reason.encode()])


ARCHIVE_PARSERS = (
    Parser(
        "meshnode.gateway.certificate.certificate_untrusted",
        certificate.certificate_untrusted,
        (_ANSWER,),
    ),
    Parser(
        "meshnode.gateway.certificate._line_untrusted",
        of_value(certificate._line_untrusted),
        (_line_bytes(),),
    ),
    Parser("meshnode.gateway.master.given_untrusted", master.given_untrusted, (_given(),)),
    Parser(
        "meshnode.gateway.exporting.export_untrusted",
        lambda data: exporting.export_untrusted(io.BytesIO(data)),
        (_export(),),
    ),
)
