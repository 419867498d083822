"""`meshnode authority`: make an authority, invite devices, grant their requests, show members.

Arguments and screens only; every rule is in `meshnode.authority_home`. Imports of the node stand
inside the commands, so that help appears at once.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli import (
    authority_cards,
    authority_members,
    authority_orders,
    authority_units,
    authority_zones,
)
from meshnode.cli.asking import confirmed
from meshnode.cli.authority_places import (
    AsJson,
    PassphraseFile,
    give_to_node,
    opened,
    take_from_node,
)
from meshnode.cli.language import say

if TYPE_CHECKING:
    from meshnode.authority_home import AuthorityHome
    from protocol.enrolment import Answer, Invitation

__all__ = ["app", "register"]

app = typer.Typer(
    name="authority",
    help="Make an authority, invite devices and grant their requests. No network is needed.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
    for each in (
        authority_members,
        authority_orders,
        authority_cards,
        authority_units,
        authority_zones,
    ):
        each.register(app)
    parent.add_typer(app, name="authority")


class RoleName(StrEnum):
    """Roles by the words people type."""

    AGENT = "agent"
    LEADER = "leader"
    RELAY = "relay"
    GATEWAY = "gateway"
    OPERATOR = "operator"


class DeviceName(StrEnum):
    """Kinds of machine by the words people type."""

    PHONE = "phone"
    TABLET = "tablet"
    BOX = "box"
    PC = "pc"
    SERVER = "server"


@app.command()
def init(
    ctx: typer.Context,
    network: Annotated[str, typer.Option(help="Name of the network.")],
    zone: Annotated[int, typer.Option(help="Number of the zone, 1-65535.")],
    zone_name: Annotated[
        str | None, typer.Option(help="What the operations centre of the zone is called.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the authority of a zone: its keys and first documents."""
    from meshnode.authority_home import AuthorityHome, Network
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of, passphrase
    from meshnode.runtime import system_runtime

    home, runtime = home_of(ctx), system_runtime()
    secret = passphrase(passphrase_file, is_new=True)
    centre = zone_name if zone_name is not None else f"Zone {zone}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    cards = AuthorityHome.create(
        home, secret, Network(network, zone, centre), runtime.now_ms(), runtime.entropy
    )
    if as_json:
        print_json(
            network=network,
            zone=zone,
            folder=str(home / "authority"),
            cards=[str(card) for card in cards],
        )
        return
    typer.echo(
        say(
            "The authority of '{network}', zone {zone}, is in {folder}.",
            network=network,
            zone=zone,
            folder=home / "authority",
        )
    )
    typer.echo(say("Keep a copy of that folder, and the passphrase apart from it."))
    typer.echo(
        say(
            "Cards for one operator, three holders of the wipe and three of the root are in "
            "{folder}, under the same passphrase. Hand each to its holder: meshnode authority card "
            "CARD --holder NAME --out FILE",
            folder=home / "cards",
        )
    )


@app.command()
def invite(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="Name of the device, as people will call it.")],
    role: Annotated[RoleName, typer.Option(help="What it may do.")],
    device: Annotated[DeviceName, typer.Option(help="Kind of machine.")],
    squad: Annotated[
        list[str] | None, typer.Option(help="Home squad; may be given several times.")
    ] = None,
    qr_png: Annotated[Path | None, typer.Option(help="Also write the QR code here.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Print an invitation for one device.

    It is good once and for a day; a terminal also shows its QR code.
    """
    from protocol.identity import DeviceClass, Role

    with opened(ctx, passphrase_file) as (authority, now_ms):
        take_from_node(ctx, authority, now_ms)
        invitation = authority.invite(
            name, Role[role.name], DeviceClass[device.name], squad or (), now_ms
        )
    _show_invitation(invitation, qr_png, as_json)


@app.command("replace")
def replace_device(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The device that is lost or broken: name or id.")
    ],
    device: Annotated[
        DeviceName | None, typer.Option(help="Kind of the new machine, where it is another.")
    ] = None,
    qr_png: Annotated[Path | None, typer.Option(help="Also write the QR code here.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Print an invitation for the device that takes the place of another.

    It gets the same name, role and squads. When its request is granted, the old device leaves the
    rosters and waits to be revoked.
    """
    from protocol.identity import DeviceClass

    kind = None if device is None else DeviceClass[device.name]
    with opened(ctx, passphrase_file) as (authority, now_ms):
        take_from_node(ctx, authority, now_ms)
        invitation = authority.invite_instead(name, now_ms, kind)
    _show_invitation(invitation, qr_png, as_json)


def _show_invitation(invitation: Invitation, qr_png: Path | None, as_json: bool) -> None:
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import draw_qr, is_terminal, write_qr
    from protocol.armour import TextForm, armour

    text = armour(TextForm.INVITATION, invitation.encode())
    if qr_png is not None:
        write_qr(text, qr_png)
    if as_json:
        print_json(
            invitation=text,
            name=invitation.name,
            role=invitation.role.name.lower(),
            device=invitation.device_class.name.lower(),
            zone=invitation.zone,
            squads=list(invitation.squads),
            expires_ms=invitation.expires_s * 1000,
        )
        return
    typer.echo(text)
    if is_terminal():
        draw_qr(text)


@app.command()
def issue(
    ctx: typer.Context,
    request: Annotated[
        str,
        typer.Argument(metavar="REQUEST", help="The request: a file, its text, or - for stdin."),
    ],
    out: Annotated[Path | None, typer.Option(help="Write the answer here.")] = None,
    code: Annotated[str | None, typer.Option(help="The six digits that the device shows.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask; for machines that compare by themselves.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Grant a request, once both sides show the same six digits."""
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import read_text, write_text
    from protocol.armour import TextForm, armour
    from protocol.enrolment import decode_request_untrusted

    text = read_text(request, TextForm.REQUEST)
    shown = decode_request_untrusted(text).code
    with opened(ctx, passphrase_file) as (authority, now_ms):
        take_from_node(ctx, authority, now_ms)
        answer = authority.answer_again(text, now_ms)
        if answer is None:
            _compare(authority, text, now_ms, code, yes)
            answer = authority.issue(text, now_ms)
        give_to_node(ctx, authority)
        waiting = len(authority.state.drafts)
    letters = armour(TextForm.ANSWER, answer.encode())
    if out is not None:
        write_text(out, letters)
    if as_json:
        print_json(code=shown, **_described(answer), **({} if out else {"answer": letters}))
    elif out is None:
        typer.echo(letters)
    else:
        typer.echo(say("The answer is in {path}: bring it back to the device.", path=out))
    if waiting and not as_json:
        typer.echo(
            say(
                "Devices to revoke: {count}. Next: meshnode authority revoke --card FILE",
                count=waiting,
            ),
            err=True,
        )


def _compare(authority: AuthorityHome, text: str, now_ms: int, code: str | None, yes: bool) -> None:
    """Show whom the request is from, and let people compare the six digits."""
    from protocol.errors import EnrolmentError

    examined = authority.examine(text, now_ms)
    shown, invitation = examined.request.code, examined.invitation
    if code is not None:
        if code.replace(" ", "") != shown:
            authority.note_refusal("code", now_ms)
            raise EnrolmentError("code", "the six digits differ: this is not that device's request")
        return
    if yes:
        return
    asked = say(
        "Request of {name}, {role}, {squads}, {device}.",
        name=invitation.name,
        role=say(invitation.role.name.lower()),
        squads=", ".join(invitation.squads) or say("no squad"),
        device=say(invitation.device_class.name.lower()),
    )
    typer.echo(asked, err=True)
    question = say("Does the device show {code}?", code=f"{shown[:3]} {shown[3:]}")
    if not confirmed(question):
        authority.note_refusal("code", now_ms)
        raise EnrolmentError("code", "not confirmed: nothing was issued")


def _described(answer: Answer) -> dict[str, int]:
    return {"documents": len(answer.documents), "prekeys": len(answer.prekeys)}
