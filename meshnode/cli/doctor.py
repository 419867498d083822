"""`meshnode doctor` and `check`: what is wrong with this device, and the cure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli.language import say, translate_error
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.doctor.examining import Examined
    from meshnode.doctor.findings import Finding, Plan

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(doctor)
    # A longitude west of Greenwich is a number, not an option.
    parent.command(context_settings={"ignore_unknown_options": True})(check)


def doctor(
    ctx: typer.Context,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Also write what support needs into this file: no text, name or position."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name what is wrong here, and the cure.

    The exit code is 1 where something is.
    """
    examined = _examine(ctx, None)
    if bundle is not None:
        from meshnode.doctor.diagnostics import write_diagnostics

        write_diagnostics(bundle, examined.facts, examined.findings)
    _show(examined, as_json=as_json)
    if bundle is not None and not as_json:
        typer.echo(say("Written for support: {path}", path=bundle))
    _end(examined)


def check(
    ctx: typer.Context,
    hours: Annotated[
        float, typer.Option(min=0.5, max=1_000, help="How long you will be away.")
    ] = 12.0,
    place: Annotated[
        str, typer.Option(help="Where you go, as LATITUDE,LONGITUDE, to look for its map.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Tell what to mend before you leave the network.

    The exit code is 1 where something must be mended first.
    """
    from meshnode.doctor.findings import Plan

    examined = _examine(ctx, Plan(hours, _place_of(place)))
    _show(examined, as_json=as_json)
    if not as_json:
        _conclude(examined.findings)
    _end(examined)


def _place_of(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        latitude = longitude = float("nan")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise typer.BadParameter(say("write LATITUDE,LONGITUDE in degrees, such as 44.75,6.79"))
    return latitude, longitude


def _examine(ctx: typer.Context, plan: Plan | None) -> Examined:
    from functools import partial

    import trio

    from meshnode.cli.texts import home_of, offered_secret
    from meshnode.doctor.examining import examine
    from meshnode.runtime import system_runtime

    secret = partial(offered_secret, None, is_asked=True)
    return trio.run(examine, home_of(ctx), system_runtime(), None, secret, plan)


def _show(examined: Examined, *, as_json: bool) -> None:
    from meshnode.cli.show import print_json, print_table
    from meshnode.doctor.findings import Level

    if as_json:
        print_json(
            is_healthy=not examined.faults,
            checks=[
                {
                    "name": finding.name,
                    "level": finding.level.value,
                    "sentence": finding.sentence,
                    "fix": finding.fix,
                }
                for finding in examined.findings
            ],
        )
        return
    words = {
        Level.OK: say("ok"),
        Level.UNKNOWN: say("not seen"),
        Level.WARN: say("warning"),
        Level.FAIL: say("FAULT"),
    }
    rows = [
        (
            words[finding.level],
            finding.name,
            " ".join(
                f"{translate_error(part)}." for part in (finding.sentence, finding.fix) if part
            ),
        )
        for finding in examined.findings
    ]
    print_table((say("result"), say("check"), say("finding")), rows)


def _conclude(findings: tuple[Finding, ...]) -> None:
    from meshnode.doctor.findings import Level

    faults = sum(finding.level is Level.FAIL for finding in findings)
    warnings = sum(finding.level is Level.WARN for finding in findings)
    if faults:
        typer.echo(say("Do not leave yet: faults {faults}.", faults=faults))
    elif warnings:
        typer.echo(say("You can leave; warnings {warnings}.", warnings=warnings))
    else:
        typer.echo(say("Ready to leave."))


def _end(examined: Examined) -> None:
    if examined.faults:
        from meshnode.cli.exits import EXIT_FINDINGS

        raise typer.Exit(EXIT_FINDINGS)
