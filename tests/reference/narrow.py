"""The short form of a bundle, field after field as a string of 0 and 1. Source: wire-format 12."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol.bundle import Bundle, Suite
from protocol.limits import KINDS, Kind
from tests.reference.codec import demand, write_record


def encode_short(bundle: Bundle) -> bytes | None:
    """Return the short form, None for a bundle that has none."""
    header = bundle.header
    wall_ms, counter = header.hlc // 65_536, header.hlc % 65_536
    if (header.kind, header.suite) == (Kind.POSITION, Suite.CHAIN):
        number, times, index = 1, 27, f"{header.index:011b}"
    elif (header.kind, header.suite) == (Kind.SOS, Suite.ZONE):
        number, times, index = 2, 30, ""
    else:
        return None
    if counter > 3 or header.seq >= 2**24 or header.lifetime_s != KINDS[header.kind].lifetime_s:
        return None
    known = header.author + header.incarnation.to_bytes(4, "big") + header.scope.encode()
    told = b"meshnode narrow name 1\0" + bytes([number]) + known + header.keyref
    name = header.author[:2] + hashlib.sha256(told).digest()[:2]
    bits = f"{number:02b}000000" + "".join(f"{byte:08b}" for byte in name)
    bits += f"{header.seq:024b}" + f"{wall_ms % 2**times:0{times}b}" + f"{counter:02b}" + index
    head = bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))
    found = head + bundle.body + bundle.signature
    return found if len(found) <= 240 else None


def restore(form: bytes, known: tuple[bytes, int, bytes, bytes], now_ms: int) -> bytes:
    """Return the container; `known` is author, incarnation, scope and keyref."""
    demand(1 <= len(form) <= 240, "12.4 length")
    bits = "".join(f"{byte:08b}" for byte in form)
    number = int(bits[:2], 2)
    demand(number > 0, "12.4 form")
    if number == 3:
        return form[1:]
    times, indexes, suite, kind = (27, 11, 1, 8) if number == 1 else (30, 0, 5, 1)
    at = 8 + 32
    seq = int(bits[at : at + 24], 2)
    low_ms = int(bits[at + 24 : at + 24 + times], 2)
    at += 24 + times
    counter = int(bits[at : at + 2], 2)
    index = int(bits[at + 2 : at + 2 + indexes] or "0", 2)
    at += 2 + indexes
    rest = form[at // 8 :]
    demand(len(rest) >= 16 + 64 and seq > 0, "12.4 fields")
    author, incarnation, scope, keyref = known
    wall_ms = now_ms + 86_400_000
    while wall_ms % 2**times != low_ms:
        # To the number with these low bits that comes next below.
        wall_ms -= (wall_ms - low_ms) % 2**times
    demand(wall_ms >= 0, "12.6 time")
    stamp = wall_ms * 65_536 + counter
    header = write_record(
        (suite, kind, author, incarnation, seq, stamp, 0, scope, keyref, index),
    )
    return write_record(header) + write_record(rest[:-64]) + rest[-64:]


def name(number: int, known: tuple[bytes, int, bytes, bytes]) -> bytes:
    """Return the four bytes that stand for author, incarnation, scope and keyref."""
    author, incarnation, scope, keyref = known
    told = b"meshnode narrow name 1\0" + bytes([number]) + author
    told += incarnation.to_bytes(4, "big") + scope + keyref
    return author[:2] + hashlib.sha256(told).digest()[:2]


# --- AES-SIV of RFC 5297, by CMAC and counter mode ------------------------------------------------


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = cmac.CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    return (number % 2**128 ^ (0x87 if number >> 128 else 0)).to_bytes(16, "big")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def open_siv(knock_key: bytes, sealed: bytes) -> bytes:
    """Return the form in a frame, its free bits cleared. Source: wire-format 12.7."""
    domain = b"meshnode radio 1\0"
    demand(16 < len(sealed) <= 256, "12.7 length")
    first = hmac.digest(knock_key, domain + b"\x01", "sha256")
    key = first + hmac.digest(knock_key, first + domain + b"\x02", "sha256")
    tag, hidden = sealed[:16], sealed[16:]
    start = bytearray(tag)
    start[8] &= 0x7F
    start[12] &= 0x7F
    stream = Cipher(algorithms.AES(key[32:]), modes.CTR(bytes(start))).decryptor()
    plain = stream.update(hidden)
    chain = _xor(_doubled(_cmac(key[:32], bytes(16))), _cmac(key[:32], domain))
    if len(plain) >= 16:
        last = plain[:-16] + _xor(plain[-16:], chain)
    else:
        last = _xor(_doubled(chain), (plain + b"\x80").ljust(16, b"\0"))
    demand(_cmac(key[:32], last) == tag, "12.7 tag")
    return bytes([plain[0] // 64 * 64]) + plain[1:]
