"""`meshnode peers`, `orders`, `status` and `sync`: the node, and who is around it.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say, translate_error
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.cli.progress import Draw
    from meshnode.client import NodeApi

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    for command in (peers, orders, status, sync):
        parent.command()(command)


def peers(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the devices that were met, and who is in reach."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import ago, print_json, print_table, size
    from meshnode.runtime import system_runtime

    async def action(api: NodeApi) -> list[dict[str, Any]]:
        return await api.peers()

    found, now_ms = with_node(ctx, action), system_runtime().now_ms()
    if as_json:
        print_json(peers=found)
        return
    if not found:
        typer.echo(say("No device was met yet."))
        return
    rows = [
        (
            each["name"],
            _role_words(each),
            say("in reach") if each["is_up"] else ago(each["last_ms"], now_ms),
            each["address"],
            str(each["contacts"]),
            size(each["sent_bytes"]),
            size(each["received_bytes"]),
        )
        for each in found
    ]
    columns = (
        say("name"),
        say("role"),
        say("last seen"),
        say("address"),
        say("contacts"),
        say("sent"),
        say("received"),
    )
    print_table(columns, rows)


def _role_words(peer: dict[str, Any]) -> str:
    """Return what a device may do; that it was revoked ends all of it."""
    role = say(peer["role"]) if peer["role"] else ""
    if not peer["is_revoked"]:
        return role
    return say("{role}, revoked", role=role) if role else say("revoked")


def orders(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the wipe orders in force, and who has proven to obey."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, print_table

    async def action(api: NodeApi) -> list[dict[str, Any]]:
        return await api.orders()

    found = with_node(ctx, action)
    if as_json:
        print_json(orders=found)
        return
    if not found:
        typer.echo(say("No wipe order is in force."))
        return
    rows = [
        (
            each["order"],
            local_time(each["issued_ms"]),
            say("all") if each["level"] == "all" else say("agent's keys"),
            device["name"],
            say("ordered")
            if device["proven_ms"] is None
            else say("proven {when}", when=local_time(device["proven_ms"])),
        )
        for each in found
        for device in each["devices"]
    ]
    columns = (say("order"), say("issued"), say("erases"), say("device"), say("state"))
    print_table(columns, rows)


def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what this node is, holds and waits for."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return {"is_running": api.is_running, **await api.status()}

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        _print_status(found)


def _energy_words(found: dict[str, Any]) -> str:
    """Return how often a running node woke and how long its radios were awake, since its start."""
    from meshnode.cli.show import duration

    metrics = found["metrics"]
    if "wakeups_timer" not in metrics:
        # An older node runs.
        return ""
    words = say(
        "woken {timers} times by timers, {other} by traffic, commands or the disk",
        timers=metrics["wakeups_timer"],
        other=metrics["wakeups_other"],
    )
    radios = [
        f"{name} {duration(metrics[f'radio_ms_{kind}'] // 1000)}"
        for kind, name in (
            ("lan", say("Wi-Fi or cable")),
            ("cellular", say("mobile network")),
            ("satellite", say("satellite")),
            ("serial", say("serial port")),
        )
        if metrics[f"radio_ms_{kind}"]
    ]
    return "; ".join(
        [words, say("radio awake: {radios}", radios=", ".join(radios))] if radios else [words]
    )


def _disk_words(fault: str) -> str:
    """Return what a disk that takes nothing means; empty for a good one, or an older node."""
    if not fault:
        return ""
    return say(
        "it takes nothing, so no message comes in; make room or check it ({reason})",
        reason=translate_error(fault),
    )


def _clock_words(found: dict[str, Any]) -> str:
    """Return what is wrong with the clock; empty for a good one."""
    doubted = say("it jumped: nothing is destroyed until it is confirmed")
    late = say("most of what comes in seems to be of the future and is refused: is it late?")
    is_late = found.get("is_clock_late", False)
    return "; ".join(
        words for words, is_so in ((doubted, found["is_clock_doubted"]), (late, is_late)) if is_so
    )


def _print_status(found: dict[str, Any]) -> None:
    from meshnode.cli.locking import lease_words, lock_words
    from meshnode.cli.show import print_facts, size, state_words

    store, alarms = found["store"], found["evidence"]
    classes = ", ".join(f"{say(name)} {count}" for name, count in store["by_class"].items())
    messages = ", ".join(
        f"{state_words(name)} {count}" for name, count in found["messages"].items()
    )
    facts = {
        say("name"): found["name"],
        say("device"): found["node"],
        say("role"): say("{role} of zone {zone}", role=say(found["role"]), zone=found["zone"]),
        say("network"): found["network"],
        say("squads"): ", ".join(found["squads"]),
        say("running"): say("yes") if found["is_running"] else say("no: 'meshnode run' starts it"),
        say("agent's keys"): lock_words(found["lock"]),
        say("lease"): lease_words(found["lock"]),
        say("listening"): ", ".join(found["listening"]),
        say("in reach"): ", ".join(found["neighbours"]) or say("nobody"),
        say("gateway"): say("in reach") if found["is_online"] else say("out of reach"),
        say("bundles"): f"{store['bundles']} ({classes})" if classes else str(store["bundles"]),
        say("disk"): say(
            "{used} of {share}", used=size(store["bytes"]), share=size(store["bytes_max"])
        ),
        say("messages"): messages,
        say("documents"): str(found["documents"]),
        say("not opened yet"): str(found["unopened"]),
        say("energy"): _energy_words(found) if found["is_running"] else "",
        say("clock"): _clock_words(found),
        say("DISK FAULT"): _disk_words(found.get("disk_fault", "")),
        say("ALARM"): say("{count} things were signed twice: 'meshnode audit show'", count=alarms)
        if alarms
        else "",
    }
    print_facts({name: value for name, value in facts.items() if value})


def sync(
    ctx: typer.Context,
    once: Annotated[
        str, typer.Option("--once", metavar="ADDRESS", help="Of the peer, such as 10.0.0.2:7625.")
    ],
    as_json: AsJson = False,
) -> None:
    """Meet one peer, exchange everything, and end."""
    from meshnode.cli.access import with_node
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import duration, print_json, size
    from meshnode.errors import LinkError

    with progress_bar(say("connecting")) as draw:

        async def action(api: NodeApi) -> dict[str, Any]:
            return await api.sync(once, partial(_drawn, draw))

        found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        moved = say(
            "{sent} bundles sent ({sent_size}), {received} received ({received_size}), "
            "in {duration}",
            sent=found["bundles_sent"],
            sent_size=size(found["bytes_sent"]),
            received=found["bundles_received"],
            received_size=size(found["bytes_received"]),
            duration=duration(found["duration_s"]),
        )
        typer.echo(f"{found['name'] or once}: {moved}")
    if not found["is_complete"]:
        raise LinkError(f"the contact ended too early ({found['reason']}): run it again")


def _drawn(draw: Draw, counters: dict[str, Any]) -> None:
    """Draw the counters of a contact."""
    sent, received = counters["bundles_sent"], counters["bundles_received"]
    words = say("{sent} bundles sent, {received} received", sent=sent, received=received)
    draw(words, sent + received)
