"""A node in its home with a radio at a real serial port: an alarm is on the line at once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from meshnode.outbox import Priority, Writing
from meshnode.running import run_home
from protocol.bundle import Scope
from protocol.errors import RemoteProtocolError
from protocol.narrow.form import Form, Short, decode_form_untrusted
from protocol.narrow.kiss import KissDecoder
from protocol.narrow.radio import keys_to_hear, unwrap_untrusted
from tests.meshnode.homes import ALONE, enrolled_home, runtime

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def heard(line: trio.lowlevel.FdStream, keys: list[bytes]) -> bytes:
    """Return the first form on the line."""
    decoder = KissDecoder()
    with trio.fail_after(30):
        while True:
            for raw in decoder.feed_untrusted(bytes(await line.receive_some())):
                try:
                    return unwrap_untrusted(raw, keys)
                except RemoteProtocolError:
                    # A beacon.
                    continue


async def test_a_running_node_sends_an_alarm_over_its_port(tmp_path: Path) -> None:
    await enrolled_home(tmp_path, "bruno")
    home, _ = await enrolled_home(tmp_path, "anna")
    ours, port = os.openpty()
    links = replace(ALONE.links, serial=(f"{os.ttyname(port)}@9600",))
    os.set_blocking(ours, False)
    async with trio.lowlevel.FdStream(ours) as line, trio.open_nursery() as nursery:
        node = await nursery.start(run_home, home, replace(ALONE, links=links), runtime())
        with trio.fail_after(30):
            # A beacon: the port is open, and the rooms of the node work.
            await line.receive_some()
        scope = Scope.for_zone(node.identity.zone)
        await node.outbox.send(Writing(scope, "à moi", Priority.SOS))
        keys = list(keys_to_hear(node.knock_keys(), node.runtime.now_ms()))
        short = decode_form_untrusted(await heard(line, keys))
        assert isinstance(short, Short)
        assert short.form is Form.SOS
        assert short.name[:2] == node.identity.node[:2]
        assert node.metrics.value("forms_sent") >= 1
        nursery.cancel_scope.cancel()
    os.close(port)
