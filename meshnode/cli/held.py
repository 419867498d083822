"""`meshnode held`: what this device holds about its agent, by which rule, and until when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(held)


def held(
    ctx: typer.Context,
    signed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the answer here, signed by this device."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Check an answer that a device signed, and show it instead."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is held here, and until when.

    It counts and dates; it shows no text, name or position.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import TextError

    if verify is not None:
        if signed is not None:
            raise TextError("--signed writes an answer and --verify reads one: give one of them")
        _verify(ctx, verify, as_json=as_json)
        return

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.holdings(signed=signed is not None)

    found = with_node(ctx, action)
    proof = found.pop("signed", "")
    if signed is not None:
        _write(signed, bytes.fromhex(proof))
    if as_json:
        print_json(**found)
    else:
        _print(found)
        if signed is not None:
            typer.echo(say("The signed answer is in {path}.", path=signed), err=True)


def _verify(ctx: typer.Context, path: Path, *, as_json: bool) -> None:
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, safe

    whole = str(path.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.verify_holdings(whole)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
        return
    line = say(
        "The signature holds: {name} ({node}) said on {when} by its clock what it held.",
        name=found["name"],
        node=found["node"],
        when=local_time(found["at_ms"]),
    )
    typer.echo(safe(line))
    if found["is_revoked"]:
        typer.echo(say("This device is revoked: others may have signed with its key since."))
    _print(found)


def _write(path: Path, raw: bytes) -> None:
    from meshnode.cli.texts import TextError

    try:
        path.write_bytes(raw)
    except OSError as error:
        raise TextError(f"{path} cannot be written: {error.strerror}") from error


def _print(found: dict[str, Any]) -> None:
    from meshnode.cli.show import local_time, print_table

    names = {
        "bundle": say("carried for others"),
        "document": say("documents"),
        "evidence": say("proof of double signatures"),
        "network_key": say("keys of the network"),
        "audit": say("audit log"),
        "contact": say("contacts"),
        "ledger": say("what became of messages"),
        "message": say("messages"),
        "alarm": say("SOS"),
        "prekey": say("prekeys"),
        "chain": say("chains"),
        "sos_key": say("SOS keys"),
        "position": say("positions"),
        "attachment": say("files"),
        "sheet": say("reflex sheets"),
        "coverage": say("coverage map"),
    }

    def when(at_ms: int) -> str:
        return local_time(at_ms) if at_ms else "-"

    rows = [
        (
            names[each["kind"]],
            str(each["count"]),
            when(each["oldest_ms"]),
            say(each["rule"]),
            when(each["last_purge_ms"]),
            when(each["next_purge_ms"]),
        )
        for each in found["held"]
    ]
    columns = (
        say("kind"),
        say("held"),
        say("oldest"),
        say("rule"),
        say("last purge"),
        say("next purge"),
    )
    print_table(columns, rows)
