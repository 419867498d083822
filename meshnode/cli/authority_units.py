"""`meshnode authority unit-request`, `unit`, `unit-accept`, `report`, `adopt`, `take`.

A leader enrols in the field under a key of its own: request, grant, and later the report. Arguments
and screens only; every rule is in `meshnode.authority_units`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli.asking import confirmed
from meshnode.cli.authority_places import AsJson, PassphraseFile, export_of_node, opened, spaced
from meshnode.cli.language import say, translate_error

if TYPE_CHECKING:
    from protocol.delegation import UnitRequest

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
    parent.command("unit-request")(unit_request)
    parent.command("unit")(unit)
    parent.command("unit-accept")(unit_accept)
    for command in (report, adopt, take):
        parent.command()(command)


def unit_request(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Write the request here, to bring it to the region.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for a unit authority in a leader's home, and ask the region to certify it.

    The key never leaves this machine.
    """
    from meshnode.authority_founding import request_unit
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import draw_qr, home_of, is_terminal, passphrase, write_text
    from meshnode.enrol import load_identity, open_keys
    from meshnode.runtime import system_runtime

    home, runtime = home_of(ctx), system_runtime()
    load_identity(home, open_keys(home, runtime).open_vault())
    secret = passphrase(passphrase_file, is_new=True)
    request = request_unit(home, secret, runtime.now_ms(), runtime.entropy)
    if out is not None:
        write_text(out, request.text)
    if as_json:
        print_json(code=request.code, **({} if out else {"request": request.text}))
        return
    if out is None:
        typer.echo(request.text)
        if is_terminal():
            draw_qr(request.text)
    else:
        typer.echo(say("The request is in {path}: bring it to the authority.", path=out))
    typer.echo(
        say("Compare these digits with those of the authority: {code}", code=spaced(request.code)),
        err=True,
    )


def unit(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The leader's device: name or id.")],
    request: Annotated[
        str, typer.Option(metavar="REQUEST", help="The request: a file, its text, or - for stdin.")
    ],
    squad: Annotated[
        list[str] | None,
        typer.Option(
            help="Squad that it may give; may be given several times. Else all of its own."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the grant here.")] = None,
    code: Annotated[
        str | None, typer.Option(help="The twenty digits that the leader sees.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a leader enrol agents and relays of its squads in the field, for thirty days."""
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import read_text, write_text
    from protocol.armour import TextForm
    from protocol.delegation import decode_unit_request_untrusted
    from protocol.errors import EnrolmentError

    asked = decode_unit_request_untrusted(read_text(request, TextForm.UNIT_REQUEST))
    with opened(ctx, passphrase_file) as (authority, now_ms):
        try:
            _compare(asked, name, code)
        except EnrolmentError as error:
            authority.note_refusal(error.reason, now_ms)
            raise
        grant = authority.grant(asked, name, squad or (), now_ms)
    if out is not None:
        write_text(out, grant.text)
    if as_json:
        print_json(
            name=name,
            code=asked.code,
            squads=list(grant.squads),
            **({} if out else {"grant": grant.text}),
        )
    elif out is None:
        typer.echo(grant.text)
    else:
        typer.echo(say("The grant is in {path}: bring it back to the leader.", path=out))


def _compare(request: UnitRequest, name: str, code: str | None) -> None:
    """Let people compare the twenty digits. Raises: EnrolmentError (`code`)."""
    from protocol.errors import EnrolmentError

    if code is not None:
        if "".join(code.split()) != request.code:
            raise EnrolmentError("code", "the digits differ: this is not that leader's request")
        return
    shown = spaced(request.code)
    question = say("Does the machine of {name} show {code}?", name=name, code=shown)
    if not confirmed(question):
        raise EnrolmentError("code", "not confirmed: nothing was granted")


def unit_accept(
    ctx: typer.Context,
    grant: Annotated[
        str, typer.Argument(metavar="GRANT", help="The grant: a file, its text, or - for stdin.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take the region's grant; then invite and issue work in this home, without any network."""
    from meshnode.authority_founding import accept_grant
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of, passphrase, read_text
    from meshnode.runtime import system_runtime
    from protocol.armour import TextForm

    home, runtime = home_of(ctx), system_runtime()
    text = read_text(grant, TextForm.UNIT_GRANT)
    secret = passphrase(passphrase_file, is_new=False)
    raws = export_of_node(home)
    state = accept_grant(home, secret, text, raws, runtime.now_ms(), runtime.entropy)
    if as_json:
        print_json(zone=state.zone, squads=list(state.squads))
        return
    typer.echo(
        say(
            "This home may enrol agents and relays of {squads} for thirty days.",
            squads=", ".join(state.squads),
        )
    )
    typer.echo(say("Next: meshnode authority invite"))


def report(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Write the report here, to bring it to the region.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Say, signed, which devices this unit authority has enrolled."""
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import write_text

    with opened(ctx, passphrase_file) as (authority, _):
        found = authority.report()
    if out is not None:
        write_text(out, found.text)
    names = [each.name for each in found.issued]
    if as_json:
        print_json(names=names, **({} if out else {"report": found.text}))
    elif out is None:
        typer.echo(found.text)
    else:
        typer.echo(
            say("The report of {names} is in {path}.", names=", ".join(names) or "-", path=out)
        )


def adopt(
    ctx: typer.Context,
    report: Annotated[
        str, typer.Argument(metavar="REPORT", help="The report: a file, its text, or - for stdin.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take the devices that a unit authority enrolled into the rosters."""
    from meshnode.cli.show import print_json, safe
    from meshnode.cli.texts import read_text
    from protocol.armour import TextForm
    from protocol.delegation import decode_report_untrusted

    found = decode_report_untrusted(read_text(report, TextForm.UNIT_REPORT))
    with opened(ctx, passphrase_file) as (authority, now_ms):
        taken = authority.adopt(found, now_ms)
    if as_json:
        print_json(names=list(taken.names), replaced=list(taken.replaced), known=taken.known)
        return
    line = say(
        "In the rosters now: {names}. Known before: {known}.",
        names=", ".join(taken.names) or "-",
        known=taken.known,
    )
    typer.echo(safe(line))
    if taken.replaced:
        typer.echo(
            say(
                "Devices to revoke: {count}. Next: meshnode authority revoke --card FILE",
                count=len(taken.replaced),
            ),
            err=True,
        )


def take(
    ctx: typer.Context,
    documents: Annotated[
        Path, typer.Argument(metavar="FILE", help="Documents that others signed.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take revocations, orders and beacons that cards signed elsewhere into this authority.

    The exit code is 1 if what it signed itself says that this folder is an older copy.
    """
    from meshnode.authority_documents import OLDER_COPY
    from meshnode.cli.exits import EXIT_FINDINGS
    from meshnode.cli.show import print_json
    from meshnode.document_files import read_documents

    raws = read_documents(documents)
    with opened(ctx, passphrase_file) as (authority, now_ms):
        count, refusals = authority.take(raws, now_ms)
    if as_json:
        print_json(
            documents=len(raws),
            taken=count,
            refused=len(refusals),
            is_older_copy=OLDER_COPY in refusals,
        )
    else:
        typer.echo(
            say(
                "{path}: {taken} of {documents} documents are new here, {refused} refused.",
                path=documents,
                taken=count,
                documents=len(raws),
                refused=len(refusals),
            )
        )
        for why in dict.fromkeys(refusals):
            typer.echo(say("Refused: {why}", why=translate_error(why)))
    if OLDER_COPY in refusals:
        raise typer.Exit(EXIT_FINDINGS)
