"""`meshnode authority zone request`, `certify`, `accept`, `renew`, `drop`, and `authority zones`.

A further zone joins the network: request, answer, and twenty digits that people compare at both
ends. Arguments and screens only; every rule is in `meshnode.authority_zones`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli.asking import confirmed
from meshnode.cli.authority_places import (
    AsJson,
    PassphraseFile,
    RootCards,
    RootPassphraseFiles,
    Yes,
    opened,
    root_cards_of,
    spaced,
)
from meshnode.cli.language import say

if TYPE_CHECKING:
    from meshnode.authority_home import AuthorityHome
    from protocol.zones import ZoneAnswer, ZoneRequest

__all__ = ["register"]

_app = typer.Typer(
    name="zone",
    help="Let a further zone into the network, or drop it. No network is needed.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
    parent.add_typer(_app, name="zone")
    parent.command()(zones)


@_app.command()
def request(
    ctx: typer.Context,
    zone: Annotated[int, typer.Option(help="Number of the zone, 1-65535.")],
    name: Annotated[str, typer.Option(help="What the operations centre of the zone is called.")],
    out: Annotated[
        Path, typer.Option(help="Write the request here, to bring it to the national folder.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the keys of a further zone in a fresh home, and ask for them to be certified.

    The keys never leave this machine.
    """
    from meshnode.authority_zone_founding import request_zone
    from meshnode.cli.texts import home_of, passphrase
    from meshnode.runtime import system_runtime

    home, runtime = home_of(ctx), system_runtime()
    secret = passphrase(passphrase_file, is_new=True)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = request_zone(home, secret, (zone, name), runtime.now_ms(), runtime.entropy)
    _give_request(made, out, as_json=as_json)


@_app.command()
def renew(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option(help="Write the request here, to bring it to the national folder.")
    ],
    add_operator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Make a card for one more operator; a zone has three at most."
        ),
    ] = None,
    drop_operator: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", help="Give up an operator's card, such as one that was lost."
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask for fresh certificates of this zone's keys, before those of two years end.

    Or for other operators' cards: then the certificates stay. Certify and accept it as the first
    request; devices, units and rosters stay as they are.
    """
    from meshnode.authority_zone_renewal import CardWish

    with opened(ctx, passphrase_file) as (authority, now_ms):
        made = authority.ask_anew(now_ms, CardWish(add_operator, drop_operator))
    _give_request(made, out, as_json=as_json)


def _give_request(made: ZoneRequest, out: Path, *, as_json: bool) -> None:
    """Write a request and show its digits."""
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import write_text

    write_text(out, made.text)
    if as_json:
        print_json(zone=made.zone, name=made.centre_name, code=made.code, path=str(out))
        return
    typer.echo(say("The request is in {path}: bring it to the national folder.", path=out))
    typer.echo(
        say("Read these digits to those who hold the root cards: {code}", code=spaced(made.code)),
        err=True,
    )


@_app.command()
def certify(
    ctx: typer.Context,
    request: Annotated[
        str,
        typer.Argument(metavar="REQUEST", help="The request: a file, its text, or - for stdin."),
    ],
    out: Annotated[Path, typer.Option(help="Write the answer here, to bring it to the zone.")],
    code: Annotated[
        str | None, typer.Option(help="The twenty digits that the zone reads out.")
    ] = None,
    root_card: RootCards = None,
    root_passphrase_file: RootPassphraseFiles = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a further zone into the network: certify its keys for that zone and no other.

    Two of the three holders of the root bring their cards: a new root document names the zone. The
    same request has the same answer again, without cards, where it was lost.
    """
    from meshnode.cli.show import print_json, safe
    from meshnode.cli.texts import read_text, write_text
    from protocol.armour import TextForm
    from protocol.zones import decode_zone_request_untrusted

    asked = decode_zone_request_untrusted(read_text(request, TextForm.ZONE_REQUEST))
    with opened(ctx, passphrase_file) as (authority, now_ms):
        answer = authority.zone_again(asked)
        if answer is None:
            authority.check_zone(asked, now_ms)
            _compare_request(authority, asked, code, now_ms)
            brought = root_cards_of(root_card, root_passphrase_file)
            holders = authority.root_holders(brought, now_ms)
            answer = authority.certify_zone(asked, holders, now_ms)
        version, waiting = authority.state.root.version, len(authority.state.drafts)
    write_text(out, answer.text)
    zone, name = asked.zone, asked.centre_name
    if as_json:
        print_json(zone=zone, name=name, code=answer.code, root_version=version, path=str(out))
        return
    line = say(
        "Zone {zone} '{name}' is in the root now (version {version}). The answer is in {path}: "
        "bring it to the zone.",
        zone=zone,
        name=name,
        version=version,
        path=out,
    )
    typer.echo(safe(line))
    typer.echo(say("Read these digits to the zone: {code}", code=spaced(answer.code)), err=True)
    typer.echo(say("Next: meshnode authority roster --export FILE, for the devices of this zone."))
    _tell_drafts(waiting)


def _compare_request(
    authority: AuthorityHome, asked: ZoneRequest, code: str | None, now_ms: int
) -> None:
    """Show which zone is asked for, and let people compare the digits of the request.

    Raises: EnrolmentError (`code`).
    """
    from meshnode.authority_zones import card_changes
    from meshnode.cli.show import safe
    from protocol.errors import EnrolmentError

    zone, name = asked.zone, asked.centre_name
    changes = card_changes(authority.state, asked)
    if changes is not None:
        typer.echo(
            say(
                "It asks for operators' cards: {added} more, and {gone} that count no longer.",
                added=changes[0],
                gone=changes[1],
            ),
            err=True,
        )
    if code is not None:
        typer.echo(safe(say("Request of zone {zone} '{name}'.", zone=zone, name=name)), err=True)
        if "".join(code.split()) != asked.code:
            authority.note_refusal("code", now_ms)
            raise EnrolmentError("code", "the digits differ: this is not that zone's request")
        return
    shown = spaced(asked.code)
    question = say("Zone {zone} '{name}': does it read {code}?", zone=zone, name=name, code=shown)
    if not confirmed(safe(question)):
        authority.note_refusal("code", now_ms)
        raise EnrolmentError("code", "not confirmed: no zone was certified")


@_app.command()
def accept(
    ctx: typer.Context,
    answer: Annotated[
        str, typer.Argument(metavar="ANSWER", help="The answer: a file, its text, or - for stdin.")
    ],
    code: Annotated[
        str | None, typer.Option(help="The twenty digits that the national folder showed.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take the answer; then invite, issue, units and rosters work in this home, for its zone.

    The answer brings the root of the network: the digits are the only thing that tells it from
    that of somebody else.
    """
    from meshnode.authority_zone_founding import accept_zone
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of, passphrase, read_text
    from meshnode.runtime import system_runtime
    from protocol.armour import TextForm
    from protocol.zones import decode_zone_answer_untrusted

    home, runtime = home_of(ctx), system_runtime()
    given = decode_zone_answer_untrusted(read_text(answer, TextForm.ZONE_ANSWER))
    if (home / "authority").exists():
        _accept_renewal(ctx, given, code, passphrase_file, as_json=as_json)
        return
    secret = passphrase(passphrase_file, is_new=False)
    _compare_answer(given, code)
    state, card = accept_zone(home, secret, given, runtime.now_ms(), runtime.entropy)
    network = state.root_body.network_name
    if as_json:
        print_json(network=network, zone=state.zone, name=state.centre_name, card=str(card))
        return
    typer.echo(
        say(
            "The authority of zone {zone} '{name}' of '{network}' is in {folder}.",
            zone=state.zone,
            name=state.centre_name,
            network=network,
            folder=home / "authority",
        )
    )
    typer.echo(say("Keep a copy of that folder, and the passphrase apart from it."))
    _tell_card(card)


def _accept_renewal(
    ctx: typer.Context,
    given: ZoneAnswer,
    code: str | None,
    passphrase_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Take fresh certificates into the folder of a zone that has some."""
    from meshnode.cli.show import print_json
    from protocol.errors import EnrolmentError

    with opened(ctx, passphrase_file) as (authority, now_ms):
        try:
            _compare_answer(given, code)
        except EnrolmentError as error:
            authority.note_refusal(error.reason, now_ms)
            raise
        card = authority.take_renewal(given, now_ms)
        state = authority.state
    zone, version, waiting = state.zone, state.root.version, len(state.drafts)
    if as_json:
        path = None if card is None else str(card)
        print_json(zone=zone, root_version=version, card=path, to_revoke=waiting)
        return
    typer.echo(
        say(
            "Zone {zone} has what it asked for (root version {version}). Export the rosters to "
            "spread that root.",
            zone=zone,
            version=version,
        )
    )
    if card is not None:
        _tell_card(card)
    _tell_drafts(waiting)


def _tell_card(card: Path) -> None:
    """Tell where a new operator's card is, and how to hand it over."""
    typer.echo(
        say(
            "The card of its operator is {path}. Hand it over: meshnode authority card {label} "
            "--holder NAME --out FILE",
            path=card,
            label=card.stem,
        )
    )


def _tell_drafts(waiting: int) -> None:
    """Tell that what a signer alone had revoked must be revoked again."""
    if waiting:
        typer.echo(
            say(
                "Devices to revoke: {count}. Next: meshnode authority revoke --card FILE",
                count=waiting,
            ),
            err=True,
        )


def _compare_answer(given: ZoneAnswer, code: str | None) -> None:
    """Let people compare the digits of an answer. Raises: EnrolmentError (`code`)."""
    from protocol.errors import EnrolmentError

    if code is not None:
        if "".join(code.split()) != given.code:
            raise EnrolmentError("code", "the digits differ: this is not the answer that was given")
        return
    question = say("Did the national folder show {code}?", code=spaced(given.code))
    if not confirmed(question):
        raise EnrolmentError("code", "not confirmed: the answer was not taken")


@_app.command()
def drop(
    ctx: typer.Context,
    zone: Annotated[int, typer.Argument(metavar="ZONE", help="Number of the zone.")],
    root_card: RootCards = None,
    root_passphrase_file: RootPassphraseFiles = None,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Trust nothing of a further zone any more, such as one whose folder was stolen.

    A new root document names neither its badges nor its signers; two of the three holders of the
    root sign it. Its devices are strangers wherever that root arrives, and must be enrolled anew.
    """
    from meshnode.cli.show import print_json

    question = say("Make every device of zone {zone} a stranger?", zone=zone)
    if not yes and not confirmed(question):
        raise typer.Abort
    brought = root_cards_of(root_card, root_passphrase_file)
    with opened(ctx, passphrase_file) as (authority, now_ms):
        dropped = authority.drop_zone(zone, authority.root_holders(brought, now_ms), now_ms)
        version, waiting = authority.state.root.version, len(authority.state.drafts)
    if as_json:
        print_json(zone=zone, name=dropped.name, root_version=version, to_revoke=waiting)
        return
    typer.echo(
        say(
            "Zone {zone} '{name}' is in the root no more (version {version}). Export the rosters "
            "to spread it.",
            zone=zone,
            name=dropped.name,
            version=version,
        )
    )
    _tell_drafts(waiting)


def zones(
    ctx: typer.Context,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the zone of this folder, and the further zones that its root cards let in."""
    from meshnode.authority_cards import CardKind
    from meshnode.cli.show import local_time, print_json, print_table

    with opened(ctx, passphrase_file) as (authority, _):
        state = authority.state
    newest = {each.zone: each for each in state.zones}.values()
    if as_json:
        print_json(
            zone=state.zone,
            name=state.centre_name,
            is_further=state.is_zone,
            zones=[
                {
                    "zone": each.zone,
                    "name": each.name,
                    "certified_ms": each.certified_ms,
                    "operators": each.cards,
                    "is_dropped": each.is_dropped,
                }
                for each in newest
            ],
        )
        return
    own = sum(card.kind == CardKind.OPERATOR for card in state.cards)
    rows = [(str(state.zone), state.centre_name, "-", str(own), say("this folder"))]
    rows += [
        (
            str(each.zone),
            each.name,
            local_time(each.certified_ms),
            str(each.cards),
            say("dropped") if each.is_dropped else say("in force"),
        )
        for each in newest
    ]
    head = (say("zone"), say("name"), say("since"), say("operators' cards"), say("state"))
    print_table(head, rows)
