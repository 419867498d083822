"""A hostile neighbour: floods multicast DNS with made-up nodes and with broken datagrams.

Bounded: it sends COUNT announcements of each kind and ends. Run inside a namespace only.
"""

from __future__ import annotations

import random
import socket
import sys

from zeroconf._dns import DNSAddress, DNSPointer, DNSService, DNSText
from zeroconf._protocol.outgoing import DNSOutgoing

SERVICE = "_meshnode._tcp.local."
_RESPONSE, _INTERNET, _UNIQUE, _TTL_S = 0x8400, 1, 0x8001, 4_500
_A, _PTR, _TXT, _SRV = 1, 12, 16, 33


def announcement(
    number: int, address: str, *, is_whole: bool, port: int = 40_000, tag: bytes = b""
) -> bytes:
    """Return one announcement of a node of the right form; a part of one lacks the address."""
    properties = bytes([2 + len(tag)]) + b"t=" + tag if tag else b"\0"
    name, server = f"{number:016x}.{SERVICE}", f"{number:016x}.local."
    out = DNSOutgoing(_RESPONSE)
    out.add_answer_at_time(DNSPointer(SERVICE, _PTR, _INTERNET, _TTL_S, name), 0)
    if is_whole:
        service = DNSService(name, _SRV, _UNIQUE, _TTL_S, 0, 0, port, server)
        out.add_answer_at_time(service, 0)
        out.add_answer_at_time(DNSText(name, _TXT, _UNIQUE, _TTL_S, properties), 0)
        packed = socket.inet_aton(address)
        out.add_answer_at_time(DNSAddress(server, _A, _UNIQUE, _TTL_S, packed), 0)
    return out.packets()[0]


def broken(whole: bytes, dice: random.Random) -> bytes:
    """Return `whole` with a few bytes changed, or cut, or replaced by noise."""
    data = bytearray(whole)
    for _ in range(dice.randrange(1, 8)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data[: dice.randrange(1, len(data) + 1)])


def main() -> None:
    own, count = sys.argv[1], int(sys.argv[2])
    dice = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sender.bind((own, 5353))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        for number in range(count):
            whole = announcement(number, own, is_whole=bool(number % 2))
            for datagram in (whole, broken(whole, dice)):
                sender.sendto(datagram, ("224.0.0.251", 5353))
    print("done", flush=True)


if __name__ == "__main__":
    main()
