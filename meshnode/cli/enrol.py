"""`meshnode init` and `meshnode enrol`: a home for a node, and an identity for it.

Arguments and screens only; the rules are in `meshnode.enrol`, what goes to the store is in
`meshnode.enrolled`. Imports of the node stand inside the commands, so that help appears at once.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.enrol import Accepted, Pending

__all__ = ["enrol", "init", "register", "show_enrolled"]

SecretFile = Annotated[
    Path | None, typer.Option(help="Read the secret of this device from a file.")
]


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(init)
    parent.command()(enrol)


class ProfileName(StrEnum):
    """What `--profile` takes."""

    PLAIN = "plain"
    BOAT = "boat"


def init(
    ctx: typer.Context,
    profile: Annotated[
        ProfileName, typer.Option(help="Settings to begin with: plain, or those of a boat's box.")
    ] = ProfileName.PLAIN,
    as_json: AsJson = False,
) -> None:
    """Make a home for a node.

    It is a private folder with a file of settings; the invitation brings the rest.
    """
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of
    from meshnode.enrol import make_home
    from meshnode.erasing import refuse_wiped
    from meshnode.profiles import PROFILES
    from meshnode.runtime import system_runtime

    home = home_of(ctx)
    refuse_wiped(home, system_runtime())
    is_new = make_home(home, PROFILES[profile.value])
    if as_json:
        print_json(home=str(home), is_new=is_new)
    elif is_new:
        typer.echo(say("{home} is ready. Next: meshnode enrol INVITATION", home=home))
    else:
        typer.echo(say("{home} was made before; nothing was changed.", home=home))


def enrol(
    ctx: typer.Context,
    invitation: Annotated[
        str | None,
        typer.Argument(
            metavar="INVITATION", help="The invitation: its text, a file, or - for stdin."
        ),
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="The authority's answer: a file, its text, or - for stdin.")
    ] = None,
    request_out: Annotated[
        Path | None, typer.Option(help="Write the request here, to bring it to the authority.")
    ] = None,
    qr_png: Annotated[
        Path | None, typer.Option(help="Also write the request as a QR code here.")
    ] = None,
    secret_file: SecretFile = None,
    unattended: Annotated[
        bool,
        typer.Option("--unattended", help="A box or server that starts alone, without a secret."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask the authority for an identity, and take its answer.

    An invitation gives a request to bring to the authority. Without an argument the request
    that waits is shown again. The first request chooses the secret of the device: at least 12
    characters, better five words. It opens what the device keeps; nobody can find it again.
    """
    from meshnode.cli.texts import home_of

    home = home_of(ctx)
    if answer is not None:
        _accept(home, answer, _secret(home, secret_file, unattended), as_json)
        return
    pending = _requested(home, invitation, secret_file, unattended)
    if request_out is not None:
        from meshnode.cli.texts import write_text

        write_text(request_out, pending.text)
    if qr_png is not None:
        from meshnode.cli.texts import write_qr

        write_qr(pending.text, qr_png)
    _show(pending, request_out, as_json)


def _secret(home: Path, file: Path | None, unattended: bool) -> str | None:
    """Return the secret of this device, asked for twice where it is a new one."""
    from meshnode.cli.texts import needed_secret, new_secret
    from meshnode.vault.keystore import KeyStore

    if KeyStore.exists(home):
        return None if KeyStore.open(home).is_unattended else needed_secret(file)
    return None if unattended else new_secret(file)


def _requested(
    home: Path, invitation: str | None, secret_file: Path | None, unattended: bool
) -> Pending:
    """Return the request to `invitation`; the one that waits, where it is the same or none."""
    import trio

    from meshnode.cli.texts import read_text
    from meshnode.enrol import load_pending, read_invitation, refuse_enrolled
    from meshnode.enrolled import request_for
    from meshnode.runtime import system_runtime
    from meshnode.vault.keystore import KeyStore
    from protocol.armour import TextForm
    from protocol.errors import EnrolmentError

    runtime, read, waiting = system_runtime(), None, None
    if invitation is not None:
        refuse_enrolled(home)
        text = read_text(invitation, TextForm.INVITATION)
        read = read_invitation(text, runtime.now_ms())
    is_first = not KeyStore.exists(home)
    if is_first and read is None:
        raise EnrolmentError("no_request", "no request waits here: give an invitation")
    secret = _secret(home, secret_file, unattended)
    if not is_first:
        waiting = load_pending(home, KeyStore.open(home).unlocked_vault(secret))
    if waiting is not None and (read is None or waiting.invitation == read):
        return waiting
    if read is None:
        raise EnrolmentError("no_request", "no request waits here: give an invitation")
    return trio.run(request_for, home, read, runtime, secret)


def _show(pending: Pending, request_out: Path | None, as_json: bool) -> None:
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import draw_qr, is_terminal

    code = pending.request.code
    if as_json:
        shown = {} if request_out else {"request": pending.text}
        print_json(name=pending.invitation.name, code=code, **shown)
        return
    if request_out is None:
        typer.echo(pending.text)
        if is_terminal():
            draw_qr(pending.text)
    else:
        typer.echo(say("The request is in {path}: bring it to the authority.", path=request_out))
    digits = say(
        "Compare these digits with those of the authority: {code}", code=f"{code[:3]} {code[3:]}"
    )
    typer.echo(digits, err=True)


def _accept(home: Path, answer: str, secret: str | None, as_json: bool) -> None:
    import trio

    from meshnode.cli.texts import read_text
    from meshnode.enrolled import complete
    from meshnode.runtime import system_runtime
    from protocol.armour import TextForm

    text = read_text(answer, TextForm.ANSWER)
    show_enrolled(trio.run(complete, home, text, system_runtime(), secret), as_json)


def show_enrolled(accepted: Accepted, as_json: bool) -> None:
    """Say who a device is from now on."""
    from meshnode.cli.show import print_json
    from protocol.ids import print_node_id

    badge = accepted.enrolled.badge
    if as_json:
        print_json(
            name=accepted.name,
            node=print_node_id(badge.node),
            role=badge.role.name.lower(),
            zone=badge.zone,
            squads=list(accepted.pending.invitation.squads),
            expires_ms=badge.not_after_ms,
        )
        return
    typer.echo(
        say(
            "This device is '{name}', {role} of zone {zone} of '{network}'.",
            name=accepted.name,
            role=say(badge.role.name.lower()),
            zone=badge.zone,
            network=accepted.enrolled.root.network_name,
        )
    )
    typer.echo(say("Next: meshnode run"))
