"""`meshnode authority revoke`, `wipe`, `cosign` and `beacon`: what the holders of cards sign.

Each command says what will happen before it signs. Arguments and screens only; every rule is in
`meshnode.authority_orders`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli.asking import confirmed
from meshnode.cli.authority_places import (
    AsJson,
    CardFile,
    CardPassphraseFile,
    Out,
    Place,
    Yes,
    card_of,
    find,
    give,
    place_of,
)
from meshnode.cli.language import say

if TYPE_CHECKING:
    from meshnode.authority_cards import Card
    from meshnode.authority_orders import WipeDraft
    from protocol.authority import SignedDocument
    from protocol.orders import Revocation

__all__ = ["register"]


class LevelName(StrEnum):
    """How much a wipe order destroys, by the words people type."""

    AGENT = "agent"
    ALL = "all"


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
    for command in (revoke, wipe, cosign, beacon):
        parent.command()(command)
    parent.command("revoke-unit")(revoke_unit)


# --- revoke ------------------------------------------------------------------------------------


def revoke(
    ctx: typer.Context,
    card: CardFile,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Devices, by name or id; else those that wait to be revoked."
        ),
    ] = None,
    last_good: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN|MESSAGE",
            help="The id of its last message that can be trusted: later ones go to operators only. "
            "Or when it was last surely in good hands, such as 2027-01-31T18:00, for the list: "
            "then nothing more of it is believed.",
        ),
    ] = None,
    out: Out = None,
    yes: Yes = False,
    card_passphrase_file: CardPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Revoke devices: nobody believes them any more.

    Signs the whole list of the card, one version up. Everybody who gets it refuses these devices,
    gives them nothing but the documents of the authority, and passes the list on.
    """
    from meshnode.authority_orders import revocation_list
    from meshnode.cli.show import safe

    opened, secret = card_of(card, card_passphrase_file)
    with place_of(ctx) as (place, now_ms):
        entries = _entries(place, names or [], last_good, now_ms)
        if not yes:
            _confirm_revocation(place, opened, entries)
        after, document = revocation_list(opened, place.known, entries, now_ms)
        _remember(card, after, secret)
        units = _units_left(place, entries, now_ms)
        changed = place.keep(document, ", ".join(_subjects(place, entries)))
    taken = give(changed, out)
    _tell_signed(document, _subjects(place, entries), taken, out, as_json)
    for name in units:
        typer.echo(
            safe(
                say(
                    "{name} may hold a unit authority, which goes on enrolling: end it as well. In "
                    "the folder of the region: meshnode authority revoke-unit {name} --card FILE",
                    name=name,
                )
            ),
            err=True,
        )


def revoke_unit(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The leader who holds the unit authority.")
    ],
    card: CardFile,
    out: Out = None,
    yes: Yes = False,
    card_passphrase_file: CardPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Revoke the unit authority of a leader: nothing that it issued is believed any more.

    The leader's own device stays what it is, unless it is revoked as well. Works in the folder of
    the region, which remembers whom it granted one.
    """
    from meshnode.authority_orders import revocation_list
    from protocol.orders import Revocation

    opened, secret = card_of(card, card_passphrase_file)
    with place_of(ctx) as (place, now_ms):
        entries = [Revocation(unit, now_ms, 0, 0) for unit in _unit_ids(place, name)]
        if not yes:
            _confirm_revocation(place, opened, entries)
        after, document = revocation_list(opened, place.known, entries, now_ms)
        _remember(card, after, secret)
        changed = place.keep(document, name)
    taken = give(changed, out)
    _tell_signed(document, [name], taken, out, as_json)


def _entries(
    place: Place, names: Sequence[str], last_good: str | None, now_ms: int
) -> list[Revocation]:
    """Return what is to be revoked. Raises: EnrolmentError, TextError."""
    from protocol.errors import EnrolmentError, MalformedError
    from protocol.ids import parse_bundle_id_untrusted
    from protocol.orders import Revocation

    if not names:
        if not place.drafts:
            raise EnrolmentError("name", "name a device: none waits to be revoked")
        return list(place.drafts)
    nodes = [find(place, name).node for name in names]
    if last_good is None:
        return [Revocation(node, now_ms, 0, 0) for node in nodes]
    try:
        bundle = parse_bundle_id_untrusted(last_good)
    except MalformedError:
        since_ms = _moment_ms(last_good, now_ms)
        return [Revocation(node, since_ms, 0, 0) for node in nodes]
    if [bundle.author] != nodes:
        raise EnrolmentError("name", "that message is of another device: name its author alone")
    return [Revocation(nodes[0], now_ms, bundle.incarnation, bundle.seq)]


def _unit_ids(place: Place, name: str) -> list[bytes]:
    """Return the ids of all unit authorities of a leader. Raises: EnrolmentError (`name`)."""
    from protocol.errors import EnrolmentError

    if place.state is None:
        # The documents that a node holds name no unit authority and no leader of one.
        raise EnrolmentError(
            "name",
            "a node does not know who holds a unit authority: give the folder of the region to "
            "--home",
        )
    wanted = name.casefold()
    found = [each.unit_id for each in place.state.units if each.name.casefold() == wanted]
    if not found:
        raise EnrolmentError("name", f"this region granted no unit authority to '{name}'")
    return found


def _units_left(place: Place, entries: Sequence[Revocation], now_ms: int) -> list[str]:
    """Return the names of leaders among `entries` whose unit authority is not revoked with them.

    A node does not know who was granted one: there it is every leader.
    """
    from protocol.authority import DocumentClass, decode_roster_untrusted
    from protocol.guards import UNIT_LIFE_MS
    from protocol.identity import Role

    lost = {entry.subject for entry in entries}
    if place.state is not None:
        ended = place.known.revoked.keys() | lost
        holders = {
            unit.name
            for unit in place.state.units
            if unit.unit_id not in ended and unit.granted_ms + UNIT_LIFE_MS > now_ms
        }
        return sorted(holders & set(_subjects(place, entries)))
    rosters = (
        decode_roster_untrusted(each.body)
        for each in place.known.documents
        if each.cls is DocumentClass.ROSTER
    )
    members = (member for roster in rosters for member in roster.members)
    return sorted({each.name for each in members if each.role is Role.LEADER and each.node in lost})


def _moment_ms(text: str, now_ms: int) -> int:
    """Return Unix milliseconds of a moment that a person typed, in local time if it says none."""
    from datetime import datetime

    from meshnode.cli.texts import TextError

    try:
        moment_ms = int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise TextError(f"'{text}' is no moment: write it like 2027-01-31T18:00") from error
    if not 0 <= moment_ms <= now_ms:
        raise TextError(f"'{text}' lies in the future: give a moment that has passed")
    return moment_ms


def _confirm_revocation(place: Place, card: Card, entries: Sequence[Revocation]) -> None:
    from meshnode.cli.show import safe

    typer.echo(say("The card {card} will revoke:", card=f"{card.label} ({card.holder})"), err=True)
    for entry, name in zip(entries, _subjects(place, entries), strict=True):
        for line in _losses(entry, name):
            typer.echo(safe(line), err=True)
        if place.state is not None:
            under = [each for each in place.state.present if each.unit == entry.subject]
            for each in under:
                typer.echo(safe(say("    with {name}", name=each.member.name)), err=True)
    typer.echo(
        say(
            "Whoever learns of it refuses these devices. What is not believed goes to operators "
            "only. Only a new enrolment with fresh keys brings a device back."
        ),
        err=True,
    )
    if not all(entry.incarnation for entry in entries):
        typer.echo(
            say(
                "To let arrive what a device wrote before it was lost, stop here, and give the id "
                "of its last good message with --last-good. It cannot be added later."
            ),
            err=True,
        )
    if not confirmed(say("Sign it?")):
        raise typer.Abort


def _losses(entry: Revocation, name: str) -> tuple[str, str]:
    """Return who is revoked, and what of it will still be believed."""
    from meshnode.cli.show import local_time
    from protocol.ids import BundleId, print_bundle_id

    if entry.incarnation:
        last = print_bundle_id(BundleId(entry.subject, entry.incarnation, entry.last_seq))
        believed = say("    Its messages up to {last} are believed.", last=last)
        return f"  {name}", believed
    since = local_time(entry.since_ms)
    return (
        say("  {name}, in good hands until {since}", name=name, since=since),
        say("    Nothing of it that comes from now on is believed, whenever it was written."),
    )


def _subjects(place: Place, entries: Sequence[Revocation]) -> list[str]:
    from protocol.ids import print_node_id

    units = place.state.units if place.state is not None else ()
    names = dict(place.names) | {each.unit_id: each.name for each in units}
    return [names.get(each.subject, print_node_id(each.subject)) for each in entries]


def _remember(path: Path, card: Card, secret: str) -> None:
    """Write the card back before anything that it signed leaves this machine."""
    from meshnode.authority_cards import write_card
    from meshnode.runtime import system_runtime

    write_card(path, card, secret, system_runtime().entropy)


def _tell_signed(
    document: SignedDocument,
    subjects: Sequence[str],
    taken: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    from meshnode.cli.show import print_json, safe

    if as_json:
        given = {} if taken is None else {"taken": taken}
        print_json(
            document=document.cls.name.lower(),
            scope=document.scope.hex(),
            version=document.version,
            subjects=list(subjects),
            **given,
        )
        return
    if document.cls.name == "REVOCATION":
        line = say(
            "Revoked: {names} (version {version}).",
            names=", ".join(subjects),
            version=document.version,
        )
    else:
        line = say("A beacon was signed (version {version}).", version=document.version)
    typer.echo(safe(line))
    if taken is not None:
        typer.echo(say("The node took {count} documents and carries them on.", count=taken))
    elif out is not None:
        typer.echo(say("It is in {path}. At any node: meshnode documents import {path}", path=out))


# --- wipe --------------------------------------------------------------------------------------


def wipe(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Devices, by name or id; at most ten.")
    ],
    level: Annotated[
        LevelName,
        typer.Option(help="agent: what the agent's secret opens; all: everything."),
    ],
    card: CardFile,
    out: Annotated[Path, typer.Option(help="Write the order here, for the second signature.")],
    yes: Yes = False,
    card_passphrase_file: CardPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a wipe order and give it the first of two signatures.

    Nobody obeys it before the holder of another card signs it as well: meshnode authority cosign.
    """
    from meshnode.authority_orders import wipe_order
    from meshnode.cli.show import print_json
    from meshnode.runtime import system_runtime
    from protocol.orders import WipeLevel

    opened, _secret = card_of(card, card_passphrase_file)
    with place_of(ctx) as (place, now_ms):
        nodes = [find(place, name).node for name in names]
        draft = wipe_order(
            opened, place.known, nodes, WipeLevel[level.name], now_ms, system_runtime().entropy
        )
        _confirm_wipe(place, draft, is_asked=not yes)
    give([draft.document], out)
    if as_json:
        print_json(**_described(place, draft))
    else:
        typer.echo(
            say(
                "The order is in {path}, with {signed} of {needed} signatures. Next, with another "
                "person's card: meshnode authority cosign {path} --card FILE",
                path=out,
                signed=draft.signed,
                needed=draft.needed,
            )
        )


def cosign(
    ctx: typer.Context,
    order: Annotated[
        Path, typer.Argument(metavar="FILE", help="The order that 'authority wipe' wrote.")
    ],
    card: CardFile,
    out: Out = None,
    yes: Yes = False,
    card_passphrase_file: CardPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a wipe order its second signature, after reading what it destroys.

    Without --out the order's own file gets the signature. Any node may take it: meshnode documents
    import FILE.
    """
    from meshnode.authority_orders import cosigned, read_wipe_untrusted
    from meshnode.cli.show import print_json
    from meshnode.document_files import read_documents
    from protocol.errors import MalformedError

    raws = read_documents(order)
    if len(raws) != 1:
        raise MalformedError("this file holds more than one order")
    opened, _secret = card_of(card, card_passphrase_file)
    with place_of(ctx) as (place, _now_ms):
        draft = read_wipe_untrusted(raws[0], place.known)
        after = cosigned(opened, draft, place.known)
        _confirm_wipe(place, draft, is_asked=not yes)
        changed: Sequence[SignedDocument] = [after.document]
        if after.is_complete:
            changed = place.keep(after.document, ", ".join(_wiped(place, after)))
    place_out = out if out is not None else order
    taken = give(changed, place_out)
    if as_json:
        given = {} if taken is None else {"taken": taken}
        print_json(**_described(place, after), **given)
        return
    if taken is not None:
        typer.echo(say("The node took {count} documents and carries them on.", count=taken))
    elif after.is_complete:
        typer.echo(
            say(
                "The order is complete and in {path}. "
                "At any node: meshnode documents import {path}",
                path=place_out,
            )
        )
    else:
        typer.echo(
            say(
                "The order has {signed} of {needed} signatures.",
                signed=after.signed,
                needed=after.needed,
            )
        )


def _confirm_wipe(place: Place, draft: WipeDraft, *, is_asked: bool) -> None:
    """Say what an order destroys; a person types a name, because yes is typed too easily."""
    from meshnode.cli.show import safe
    from protocol.ids import print_node_id
    from protocol.orders import WipeLevel

    names = _wiped(place, draft)
    if draft.body.level is WipeLevel.ALL:
        what = say("This order destroys every key on these devices. Nothing on them comes back:")
    else:
        what = say("This order destroys what the agent's secret opens on these devices:")
    typer.echo(what, err=True)
    for node, name in zip(draft.body.devices, names, strict=True):
        typer.echo(safe(f"  {name}  {print_node_id(node)}"), err=True)
        if node not in place.names:
            typer.echo(say("    no roster names this device: compare its id"), err=True)
    if not is_asked:
        return
    typed = typer.prompt(say("Type the first name to sign"), err=True)
    if str(typed).strip().casefold() != names[0].casefold():
        raise typer.Abort


def _wiped(place: Place, draft: WipeDraft) -> list[str]:
    from protocol.ids import print_node_id

    return [place.names.get(node, print_node_id(node)) for node in draft.body.devices]


def _described(place: Place, draft: WipeDraft) -> dict[str, object]:
    return {
        "order": draft.document.scope.hex(),
        "level": draft.body.level.name.lower(),
        "devices": _wiped(place, draft),
        "signed": draft.signed,
        "needed": draft.needed,
    }


# --- beacon ------------------------------------------------------------------------------------


def beacon(
    ctx: typer.Context,
    card: CardFile,
    out: Out = None,
    card_passphrase_file: CardPassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign a sign of life of the centre: which documents hold, and what time it is.

    Once in a shift, from an operator's card: without it every device of the zone locks after its
    lease.
    """
    from meshnode import authority_orders

    opened, secret = card_of(card, card_passphrase_file)
    with place_of(ctx) as (place, now_ms):
        after, document = authority_orders.beacon(opened, place.known, now_ms)
        _remember(card, after, secret)
        changed = place.keep(document, opened.label)
    taken = give(changed, out)
    _tell_signed(document, [], taken, out, as_json)
