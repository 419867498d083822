"""`meshnode authority roster`, `remove` and `log`: who belongs where, and what was done.

Arguments and screens only; every rule is in `meshnode.authority_home`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from meshnode.cli.authority_places import AsJson, PassphraseFile, opened
from meshnode.cli.language import say

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
    for command in (roster, remove, log):
        parent.command()(command)


def roster(
    ctx: typer.Context,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the newest signed documents here, for devices enrolled before."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show who belongs to which squad and to the centre; revoked devices do not."""
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import write_text
    from protocol.authority import DocumentClass
    from protocol.enrolment import encode_documents
    from protocol.ids import print_node_id

    with opened(ctx, passphrase_file) as (authority, _):
        state, rosters = authority.state, authority.rosters()
    revoked = state.revoked
    if export is not None:
        write_text(export, encode_documents([document.raw for document in state.documents]))
    versions = {
        document.scope: document.version
        for document in state.documents
        if document.cls is DocumentClass.ROSTER
    }
    units = [
        {
            "unit": body.unit.name.lower(),
            "name": body.name,
            "zone": body.zone,
            "version": versions[body.scope],
            "members": [
                {
                    "name": member.name,
                    "role": member.role.name.lower(),
                    "device": member.device_class.name.lower(),
                    "node": print_node_id(member.node),
                }
                for member in sorted(body.members, key=lambda each: each.name.casefold())
                if member.node not in revoked
            ],
        }
        for body in rosters
    ]
    if as_json:
        print_json(units=units)
    else:
        _print_units(units)


def _print_units(units: list[dict[str, Any]]) -> None:
    from meshnode.cli.show import print_table

    for unit in units:
        title = say(
            "{name} ({kind}, zone {zone}, version {version})",
            name=unit["name"],
            kind=say("operations centre") if unit["unit"] == "centre" else say("squad"),
            zone=unit["zone"],
            version=unit["version"],
        )
        columns = (say("name"), say("role"), say("kind of machine"), say("device"))
        rows = [
            (member["name"], say(member["role"]), say(member["device"]), member["node"])
            for member in unit["members"]
        ]
        print_table(columns, rows, title)


def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a device out of every roster.

    Others refuse what it writes as soon as they hold the new rosters.
    """
    from meshnode.cli.show import print_json

    with opened(ctx, passphrase_file) as (authority, now_ms):
        authority.remove(name, now_ms)
    if as_json:
        print_json(removed=name)
    else:
        typer.echo(
            say("'{name}' is in no roster any more. Export the rosters to spread it.", name=name)
        )


def log(
    ctx: typer.Context,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what this authority did and what it refused, oldest first.

    Below stands how often each reason refused something since the folder was made, also where the
    line is gone: the newest 2,000 are kept.
    """
    from meshnode.cli.show import local_time, print_json, print_table

    with opened(ctx, passphrase_file) as (authority, _):
        journal, refusals = authority.state.journal, authority.state.refusals
    if as_json:
        print_json(
            journal=[
                {"at_ms": each.at_ms, "action": each.action, "subject": each.subject}
                for each in journal
            ],
            refusals=dict(refusals),
        )
        return
    rows = [(local_time(each.at_ms), each.action, each.subject) for each in journal]
    print_table((say("time"), say("action"), say("subject")), rows)
    if refusals:
        typer.echo()
        print_table(
            (say("reason"), say("times refused")),
            [(reason, str(count)) for reason, count in refusals],
        )
