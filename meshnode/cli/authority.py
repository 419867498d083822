"""`meshnode authority`: make an authority, invite devices, grant their requests, show members.

Arguments and screens only; every rule is in `meshnode.authority_home`. Imports of the node stand
inside the commands, so that help appears at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say

if TYPE_CHECKING:
    from meshnode.authority_home import AuthorityHome
    from protocol.enrolment import Answer

__all__ = ["app", "register"]

app = typer.Typer(
    name="authority",
    help="Make an authority, invite devices and grant their requests. No network is needed.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
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


PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File with the passphrase; else MESHNODE_PASSPHRASE, else you are asked."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


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
    AuthorityHome.create(
        home, secret, Network(network, zone, centre), runtime.now_ms(), runtime.entropy
    )
    if as_json:
        print_json(network=network, zone=zone, folder=str(home / "authority"))
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
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import draw_qr, is_terminal, write_qr
    from protocol.armour import TextForm, armour
    from protocol.identity import DeviceClass, Role

    with _opened(ctx, passphrase_file) as (authority, now_ms):
        invitation = authority.invite(
            name, Role[role.name], DeviceClass[device.name], squad or (), now_ms
        )
    text = armour(TextForm.INVITATION, invitation.encode())
    if qr_png is not None:
        write_qr(text, qr_png)
    if as_json:
        print_json(
            invitation=text,
            name=invitation.name,
            role=role.value,
            device=device.value,
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
    with _opened(ctx, passphrase_file) as (authority, now_ms):
        answer = authority.answer_again(text, now_ms)
        if answer is None:
            _compare(authority, text, now_ms, code, yes)
            answer = authority.issue(text, now_ms)
    letters = armour(TextForm.ANSWER, answer.encode())
    if out is not None:
        write_text(out, letters)
    if as_json:
        print_json(code=shown, **_described(answer), **({} if out else {"answer": letters}))
    elif out is None:
        typer.echo(letters)
    else:
        typer.echo(say("The answer is in {path}: bring it back to the device.", path=out))


def _compare(authority: AuthorityHome, text: str, now_ms: int, code: str | None, yes: bool) -> None:
    """Show whom the request is from, and let people compare the six digits."""
    from protocol.errors import EnrolmentError

    examined = authority.examine(text, now_ms)
    shown, invitation = examined.request.code, examined.invitation
    if code is not None:
        if code.replace(" ", "") != shown:
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
    if not typer.confirm(question, err=True):
        raise EnrolmentError("code", "not confirmed: nothing was issued")


@app.command()
def roster(
    ctx: typer.Context,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the newest signed documents here, for devices enrolled before."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show who belongs to which squad and to the centre."""
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import write_text
    from protocol.enrolment import encode_documents
    from protocol.ids import print_node_id

    with _opened(ctx, passphrase_file) as (authority, _):
        state, rosters = authority.state, authority.rosters()
    if export is not None:
        write_text(export, encode_documents([document.raw for document in state.documents]))
    versions = {document.scope: document.version for document in state.documents[1:]}
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


@app.command()
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

    with _opened(ctx, passphrase_file) as (authority, now_ms):
        authority.remove(name, now_ms)
    if as_json:
        print_json(removed=name)
    else:
        typer.echo(
            say("'{name}' is in no roster any more. Export the rosters to spread it.", name=name)
        )


@contextmanager
def _opened(
    ctx: typer.Context, passphrase_file: Path | None
) -> Iterator[tuple[AuthorityHome, int]]:
    """Open the authority of `--home`; yields it with the time."""
    from meshnode.authority_home import AuthorityHome
    from meshnode.cli.texts import home_of, passphrase
    from meshnode.runtime import system_runtime

    runtime = system_runtime()
    secret = passphrase(passphrase_file, is_new=False)
    with AuthorityHome.open(home_of(ctx), secret, runtime.entropy) as authority:
        yield authority, runtime.now_ms()


def _described(answer: Answer) -> dict[str, int]:
    return {"documents": len(answer.documents), "prekeys": len(answer.prekeys)}
