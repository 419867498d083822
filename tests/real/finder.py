"""A process that does nothing but find: prints each hint as a line of JSON.

Run inside a namespace by the discovery tests; ends on SIGTERM, with a goodbye on multicast.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence

import trio

from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import Discovery
from meshnode.discovery.mdns import MulticastDiscovery
from meshnode.discovery.probe import UnicastProbe
from meshnode.links.base import Address, parse_address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from meshnode.runtime import system_runtime
from protocol.limits import HINTS_WAITING_MAX


def say(event: str, /, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}, default=str), flush=True)


async def find(options: argparse.Namespace) -> None:
    runtime, metrics = system_runtime(say), Metrics()
    watch = AddressWatch(runtime)
    known = [parse_address(each, 7625) for each in options.known]

    async def last_known() -> Sequence[Address]:
        return known

    ways: list[Discovery] = [MulticastDiscovery(options.port, watch, runtime, metrics)]
    if options.probe:
        ways.append(UnicastProbe(watch, runtime, metrics, last_known))
    send, receive = trio.open_memory_channel[Hint](HINTS_WAITING_MAX)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        for way in ways:
            await nursery.start(way.run, send)
        nursery.start_soon(on_signals, nursery.cancel_scope, metrics)
        say("running")
        async for hint in receive:
            say("hint", name=hint.name, addresses=[str(each) for each in hint.addresses])


async def on_signals(scope: trio.CancelScope, metrics: Metrics) -> None:
    """SIGUSR1 tells the counters, SIGTERM ends."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGUSR1) as signals:
        async for number in signals:
            if number == signal.SIGTERM:
                scope.cancel()
                return
            say("counters", metrics=metrics.snapshot())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=7625)
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--known", action="append", default=[])
    trio.run(find, parser.parse_args())
    say("ended")
    sys.exit(0)


if __name__ == "__main__":
    main()
