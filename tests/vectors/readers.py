"""How each file of vectors is read, by node and reference: JSON, with bytes as hexadecimal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature

from protocol import (
    attachments,
    audit,
    authority,
    bundle,
    cancels,
    canonical,
    chains,
    enrolment,
    envelope,
    hlc,
    identity,
    ids,
    payloads,
    receipts,
    sheets,
    shifts,
    track_bodies,
    uplinks,
)
from protocol.armour import TextForm, unarmour_untrusted
from protocol.errors import AuthenticationError
from protocol.ids import BundleId
from protocol.network_keys import key_id_of
from protocol.reconcile.sketch import Sketch, encode_symbols
from protocol.reconcile.symbols import set_hash_of
from tests.reference import codec, derivations, documents, ed25519
from tests.reference.catalogues import read_catalogue
from tests.reference.codec import RefusedError, demand
from tests.reference.receipts import read_receipt
from tests.reference.track_bodies import read_track
from tests.reference.uplinks import read_uplink
from tests.vectors import knock_readers, narrow_readers, session_readers

__all__ = ["FILES", "Reader", "to_json"]

Input = Any
"""JSON: hexadecimal text, or an object of such texts and numbers."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How one file of vectors is checked."""

    node: Callable[[Input], object]
    """With the code that runs in the field."""
    reference: Callable[[Input], object] | None
    """With the code written from the page; None where there is no second implementation."""
    reference_refuses: bool = True
    """The reference knows every rule, not only the form."""


def to_json(value: object) -> Any:
    """Return `value` as JSON can hold it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int | str | None):
        return int(value) if isinstance(value, int) else value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    assert isinstance(value, Sequence), type(value)
    return [to_json(item) for item in value]


def _raw(text: str) -> bytes:
    return bytes.fromhex(text)


def _record(raw: bytes) -> canonical.Value:
    return canonical.decode_untrusted(raw, max_bytes=65_535)


# --- names and bundles -------------------------------------------------------------------------


def _names(item: Input) -> object:
    node = ids.node_id_of(_raw(item["public_key"]))
    assert ids.parse_node_id_untrusted(ids.print_node_id(node)) == node
    name = BundleId(node, item["incarnation"], item["seq"])
    return {
        "node_id": node,
        "printed": ids.print_node_id(node),
        "squad_id": ids.squad_id_of(item["zone"], item["squad"]),
        "bundle_id": ids.print_bundle_id(name),
        "hlc": hlc.pack(item["wall_ms"], item["counter"]),
    }


def _reference_names(item: Input) -> object:
    node = derivations.node_id(_raw(item["public_key"]))
    return {
        "node_id": node,
        "printed": derivations.printed_node_id(node),
        "squad_id": derivations.squad_id(item["zone"], item["squad"]),
        "bundle_id": f"{node.hex()}.{item['incarnation']}.{item['seq']}",
        "hlc": item["wall_ms"] * 65_536 + item["counter"],
    }


def _scope(item: Input) -> object:
    scope = bundle.Scope.decode_untrusted(_raw(item))
    assert scope.encode() == _raw(item)
    return {"type": scope.kind, "zone": scope.zone, "target": scope.target}


def _bundle(item: Input) -> object:
    read = bundle.decode_untrusted(_raw(item["container"]))
    bundle.verify(read, bundle.load_public_key(_raw(item["public_key"])))
    header = read.header
    return {
        "suite": header.suite,
        "kind": header.kind,
        "author": header.author,
        "incarnation": header.incarnation,
        "seq": header.seq,
        "hlc": header.hlc,
        "lifetime_s": header.lifetime_s,
        "scope": header.scope.encode(),
        "keyref": header.keyref,
        "index": header.index,
        "body": read.body,
        "signature": read.signature,
        "signed": bundle.signed_bytes(read.header_bytes, read.body),
        "digest": read.digest,
    }


def _reference_bundle(item: Input) -> object:
    fields = codec.read_bundle(_raw(item["container"]))
    key, signed, signature = _raw(item["public_key"]), fields["signed"], fields["signature"]
    assert isinstance(signed, bytes)
    assert isinstance(signature, bytes)
    demand(key not in ed25519.small_order_encodings(), "4.4 small order")
    demand(ed25519.verify(key, signed, signature), "4.4 signature")
    return fields


# --- bodies ------------------------------------------------------------------------------------


def _payload(item: Input) -> object:
    raw = envelope.unpad_untrusted(_raw(item["padded"]))
    read = payloads.decode_untrusted(raw, _raw(item["author"]), _raw(item["scope"]))
    assert envelope.pad(payloads.encode(read)) == _raw(item["padded"])
    return _record(raw)


def _reference_payload(item: Input) -> object:
    return codec.read_payload(*(_raw(item[name]) for name in ("padded", "author", "scope")))


def _both_ways(
    decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
) -> Callable[[Input], object]:
    """Read and write again with the node; the record is the output."""

    def run(item: Input) -> object:
        again = encode(decode(_raw(item)))
        assert again == _raw(item)
        return _record(again)

    return run


def _receipt(item: Input) -> object:
    receipt = receipts.decode_receipt_untrusted(_raw(item))
    assert receipts.encode_receipt(receipt) == _raw(item)
    return receipt.incarnation, receipt.page, receipt.runs, receipt.digest8


def _receipt_digest(item: Input) -> object:
    digests = {int(seq): _raw(digest) for seq, digest in item["digests"].items()}
    receipt = receipts.make_receipt(7, item["page"], digests)
    receipts.check(receipt, digests)
    return {"runs": receipt.runs, "digest8": receipt.digest8}


def _reference_receipt_digest(item: Input) -> object:
    seqs = sorted(int(seq) for seq in item["digests"])
    covered = b"".join(_raw(item["digests"][str(seq)]) for seq in seqs)
    runs: list[list[int]] = []
    for seq in seqs:
        offset = seq - 1_024 * item["page"]
        if seq - 1 in seqs:
            runs[-1][1] += 1
        else:
            runs.append([offset, 1])
    digest8 = hashlib.sha256(b"meshnode receipt 1\0" + covered).digest()[:8]
    return {"runs": runs, "digest8": digest8}


def _hpke(item: Input) -> object:
    secret = envelope.PrekeySecret(bytes(8), 0, _raw(item["private"]))
    info, sealed = _raw(item["info"]), _raw(item["sealed"])
    if item["suite"] == 3:
        return envelope.open_classical(secret, info, sealed)
    return envelope.HpkeSealer().open_hybrid(secret, info, sealed)


# --- keys and symbols --------------------------------------------------------------------------


def _chain(item: Input) -> object:
    seed = _raw(item["seed"])
    sending = chains.new_chain(seed)
    reader = chains.receiving_chain(sending.chain_id, 0, seed)
    keys = {index: chains.key_for(reader, index)[1] for index in item["indices"]}
    return {"chain_id": sending.chain_id, "keys": keys}


def _reference_chain(item: Input) -> object:
    keys = derivations.chain_keys(_raw(item["seed"]), 2_048)
    demand(max(item["indices"]) < len(keys), "4.2 index")
    return {
        "chain_id": derivations.chain_id(_raw(item["seed"])),
        "keys": {index: keys[index] for index in item["indices"]},
    }


def _sos(item: Input) -> object:
    key, name = _raw(item["key"]), (_raw(item["author"]), item["incarnation"], item["seq"])
    return {
        "key_id": key_id_of(item["epoch"], key),
        "message_key": envelope.sos_message_key(key, BundleId(*name)),
    }


def _chunk(item: Input) -> object:
    key, name = _raw(item["key"]), (_raw(item["author"]), item["incarnation"], item["seq"])
    return {
        "file_id": attachments.file_id_of(key),
        "chunk_key": attachments.chunk_key(key, BundleId(*name), item["index"]),
    }


def _reference_chunk(item: Input) -> object:
    key, name = _raw(item["key"]), (_raw(item["author"]), item["incarnation"], item["seq"])
    return {
        "file_id": derivations.file_id(key),
        "chunk_key": derivations.chunk_key(key, *name, item["index"]),
    }


def _reference_sos(item: Input) -> object:
    key, name = _raw(item["key"]), (_raw(item["author"]), item["incarnation"], item["seq"])
    return {
        "key_id": derivations.weekly_key_id(item["epoch"], key),
        "message_key": derivations.sos_key(key, *name),
    }


def _symbols(item: Input) -> object:
    key = _raw(item["network_key"])
    shorts = [ids.short_id(key, _raw(digest)) for digest in item["digests"]]
    snapshot = Sketch.build(shorts).snapshot()
    assert snapshot.set_hash == set_hash_of(shorts)
    return {
        "short_ids": shorts,
        "set_hash": snapshot.set_hash,
        "columns": encode_symbols(snapshot, 0, item["count"]),
    }


def _reference_symbols(item: Input) -> object:
    key = _raw(item["network_key"])
    shorts = [derivations.short_id(key, _raw(digest)) for digest in item["digests"]]
    set_hash = 0
    for short in shorts:
        set_hash ^= derivations.mixed(short)
    columns = derivations.symbol_columns(shorts, item["count"])
    return {"short_ids": shorts, "set_hash": set_hash, "columns": columns}


def _binding(item: Input) -> object:
    key, certificate, signature = (
        _raw(item[name]) for name in ("public_key", "link_certificate", "signature")
    )
    identity.verify_binding(key, certificate, signature)
    return identity.binding_message(certificate)


def _reference_binding(item: Input) -> object:
    key, certificate, signature = (
        _raw(item[name]) for name in ("public_key", "link_certificate", "signature")
    )
    message = b"meshnode link 1\0" + hashlib.sha256(certificate).digest()
    demand(ed25519.verify(key, message, signature), "6.3 signature")
    return message


# --- documents and papers ----------------------------------------------------------------------


def _document(item: Input) -> object:
    document = authority.decode_untrusted(_raw(item["document"]))
    ((_, signature), *_) = document.signatures
    try:
        bundle.load_public_key(_raw(item["public_key"])).verify(
            signature, authority._message(document.signed)
        )
    except InvalidSignature as error:
        raise AuthenticationError("the document's signature is wrong") from error
    return {
        "class": document.cls,
        "scope": document.scope,
        "epoch": document.epoch,
        "version": document.version,
        "issued_ms": document.issued_ms,
        "body": document.body,
        "signatures": document.signatures,
    }


def _reference_document(item: Input) -> object:
    raw = _raw(item["document"])
    fields = documents.read_document(raw)
    outer = codec.read_record(raw)
    assert isinstance(outer, tuple)
    assert isinstance(outer[0], bytes)
    signatures: Any = fields["signatures"]
    signer, signature = signatures[0]
    key = _raw(item["public_key"])
    demand(signer == hashlib.sha256(key).digest()[:8], "7.2 signer")
    message = b"meshnode document 1\0" + outer[0]
    demand(ed25519.verify(key, message, signature), "7.2 signature")
    return fields


def _paper(item: Input) -> object:
    text, form = item["text"], TextForm[item["form"]]
    record = unarmour_untrusted(form, text)
    output: dict[str, object] = {"record": canonical.decode_untrusted(record, max_bytes=65_535)}
    if form is TextForm.INVITATION:
        assert enrolment.decode_invitation_untrusted(text).encode() == record
    elif form is TextForm.REQUEST:
        request = enrolment.decode_request_untrusted(text)
        assert request.encode() == record
        output["code"] = request.code
    elif form is TextForm.ANSWER:
        assert enrolment.decode_answer_untrusted(text).encode() == record
    else:
        documents = enrolment.decode_documents_untrusted(text)
        assert enrolment.encode_documents(documents) == text
    return output


_WORDS = {"INVITATION": "MESHI1", "REQUEST": "MESHR1", "ANSWER": "MESHA1", "DOCUMENTS": "MESHD1"}


def _reference_paper(item: Input) -> object:
    record = codec.read_record(derivations.unarmour(_WORDS[item["form"]], item["text"]))
    output: dict[str, object] = {"record": record}
    if item["form"] == "REQUEST":
        if not isinstance(record, tuple) or not isinstance(record[0], bytes):
            raise RefusedError("8.3 form")
        output["code"] = derivations.code_of_request(record[0])
    return output


def _reference(read: Callable[[bytes], object]) -> Callable[[Input], object]:
    return lambda item: read(_raw(item))


FILES: dict[str, Reader] = {
    "canonical": Reader(lambda item: _record(_raw(item)), _reference(codec.read_record)),
    "names": Reader(_names, _reference_names),
    "scope": Reader(_scope, _reference(codec.read_scope)),
    "bundle": Reader(_bundle, _reference_bundle),
    "payload": Reader(_payload, _reference_payload),
    "receipt": Reader(_receipt, _reference(read_receipt)),
    "receipt_digest": Reader(_receipt_digest, _reference_receipt_digest),
    "cancel": Reader(
        _both_ways(cancels.decode_cancel_untrusted, cancels.encode_cancel),
        _reference(codec.read_cancel),
    ),
    "catalogue": Reader(
        _both_ways(sheets.decode_catalogue_untrusted, sheets.encode_catalogue),
        _reference(read_catalogue),
    ),
    "shift": Reader(
        _both_ways(shifts.decode_shift_untrusted, shifts.encode_shift),
        _reference(codec.read_shift),
    ),
    "track_body": Reader(
        _both_ways(track_bodies.decode_track_body_untrusted, track_bodies.encode_track_body),
        _reference(read_track),
    ),
    "key_request": Reader(
        _both_ways(receipts.decode_key_request_untrusted, receipts.encode_key_request),
        _reference(codec.read_key_request),
    ),
    "uplink": Reader(
        _both_ways(uplinks.decode_claim_untrusted, uplinks.encode_claim),
        _reference(read_uplink),
    ),
    "audit_head": Reader(
        _both_ways(audit.decode_head_untrusted, audit.encode_head),
        _reference(codec.read_audit_head),
    ),
    "prekey": Reader(
        _both_ways(envelope.decode_prekey_untrusted, envelope.encode_prekey),
        _reference(codec.read_prekey),
    ),
    "slots": Reader(
        _both_ways(envelope.decode_slots_untrusted, envelope.encode_slots),
        _reference(codec.read_slots),
    ),
    "slot_secret": Reader(
        _both_ways(envelope.decode_slot_secret_untrusted, envelope.encode_slot_secret),
        _reference(codec.read_slot_secret),
    ),
    "hpke": Reader(_hpke, None),
    "chain": Reader(_chain, _reference_chain),
    "sos": Reader(_sos, _reference_sos),
    "chunk": Reader(_chunk, _reference_chunk),
    "knock": Reader(knock_readers.knock, knock_readers.reference_knock),
    "symbols": Reader(_symbols, _reference_symbols),
    "frames": Reader(session_readers.frames, _reference(codec.read_frames)),
    "frame_payloads": Reader(
        session_readers.frame_payload, session_readers.reference_frame_payload, False
    ),
    "binding": Reader(_binding, _reference_binding),
    "document": Reader(_document, _reference_document),
    "papers": Reader(_paper, _reference_paper, False),
    "narrow": Reader(narrow_readers.form, narrow_readers.reference_form),
    "radio": Reader(narrow_readers.radio, narrow_readers.reference_radio),
    "brief": Reader(narrow_readers.brief, narrow_readers.reference_brief),
}
"""One per file in this folder."""
