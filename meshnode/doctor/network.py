"""Checks of how this device reaches others."""

from __future__ import annotations

import errno
import ipaddress

from meshnode.discovery.base import DEFAULT_PORT
from meshnode.doctor.findings import Facts, Finding, Level
from meshnode.errors import ConfigError, LinkError
from meshnode.links.base import parse_address

__all__ = [
    "check_addresses",
    "check_multicast",
    "check_neighbours",
    "check_plotter",
    "check_port",
]


def check_port(facts: Facts) -> Finding:
    """The node listens, or its addresses are free for it."""
    if isinstance(facts.settings, ConfigError):
        return Finding("port", Level.WARN, "The settings name no address", "Mend them first")
    if isinstance(facts.status, dict) and facts.is_running:
        listening = ", ".join(facts.status["listening"])
        if listening or not facts.settings.links.listen:
            return Finding("port", Level.OK, f"The node listens on {listening or 'no address'}")
        return Finding(
            "port", Level.FAIL, "The node listens nowhere", "Free its port and start it again"
        )
    for text in facts.settings.links.listen:
        if text.endswith(":0"):  # any free one
            continue
        try:
            address = parse_address(text, DEFAULT_PORT)
            facts.machine.listen(address)
        except LinkError as error:
            return Finding("port", Level.FAIL, str(error), "Mend it in meshnode.toml")
        except OSError as error:
            # A machine without IPv6, for example, listens on what it has.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return Finding(
                    "port",
                    Level.FAIL,
                    f"{address} cannot be had: {error.strerror}",
                    "End the program that uses it, or set another in meshnode.toml",
                )
    return Finding("port", Level.OK, "The node's port is free")


def check_addresses(facts: Facts) -> Finding:
    """The machine has an address that others reach."""
    hosts = facts.machine.hosts()
    if not hosts:
        return Finding(
            "addresses",
            Level.WARN,
            "This machine has no network at the moment",
            "Join a Wi-Fi or open a hotspot; messages are kept until then",
        )
    return Finding("addresses", Level.OK, f"This machine is {', '.join(hosts)}")


def check_multicast(facts: Facts) -> Finding:
    """Neighbours can be found by multicast."""
    if not isinstance(facts.settings, ConfigError) and not facts.settings.discovery.mdns:
        return Finding("multicast", Level.OK, "Multicast is switched off in the settings")
    try:
        facts.machine.join_multicast()
    except OSError as error:
        return Finding(
            "multicast",
            Level.WARN,
            f"Multicast is not possible here: {error.strerror}",
            "Give the addresses of peers in meshnode.toml",
        )
    return Finding("multicast", Level.OK, "Multicast is possible")


def check_neighbours(facts: Facts) -> Finding:
    """Somebody was met."""
    in_reach = [peer["name"] for peer in facts.peers if peer["is_up"]]
    if in_reach:
        return Finding("neighbours", Level.OK, f"In reach: {', '.join(in_reach)}")
    fix = "Come near another device of the network, or give its address in meshnode.toml"
    if not facts.peers:
        return Finding("neighbours", Level.WARN, "No other device was met yet", fix)
    return Finding("neighbours", Level.WARN, "No other device is in reach now", fix)


def check_plotter(facts: Facts) -> Finding:
    """Whoever hears where mates are, unencrypted, is known and few."""
    if isinstance(facts.settings, ConfigError) or not facts.settings.plotter.send_to:
        return Finding("plotter", Level.OK, "No position goes to a plotter")
    addresses = facts.settings.plotter.addresses
    listed = ", ".join(str(each) for each in addresses)
    if facts.is_relay:
        return Finding(
            "plotter",
            Level.WARN,
            "This device is a relay: it reads no position, so the plotter shows nothing",
            "Enrol the box as an agent of the crew's squad",
        )
    words = f"Positions of mates on duty go unencrypted to {listed}"
    if any(_is_for_all(each.host) for each in addresses):
        return Finding(
            "plotter",
            Level.WARN,
            words,
            "Write the address of the plotter alone: everybody in that network hears them now",
        )
    return Finding("plotter", Level.OK, words)


def _is_for_all(host: str) -> bool:
    """True for multicast, and for what looks like the broadcast of a small network."""
    address = ipaddress.ip_address(host)
    is_broadcast = address.version == 4 and address.packed[-1] == 255
    return address.is_multicast or is_broadcast
