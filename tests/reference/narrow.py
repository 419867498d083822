"""The short form of a bundle, field after field as a string of 0 and 1. Source: wire-format 12."""

from __future__ import annotations

import hashlib

from protocol.bundle import Bundle, Suite
from protocol.limits import KINDS, Kind


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
