"""`meshnode doctor`: name what is wrong with this device, and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from meshnode.cli.language import say, translate_error

if TYPE_CHECKING:
    from meshnode.doctor.findings import Finding

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(doctor)


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Name what is wrong here, and the cure.

    The exit code is 1 where something is.
    """
    from functools import partial

    import trio

    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of, offered_secret
    from meshnode.doctor.examining import examine
    from meshnode.doctor.findings import Level
    from meshnode.runtime import system_runtime

    secret = partial(offered_secret, None, is_asked=True)
    findings = trio.run(examine, home_of(ctx), system_runtime(), None, secret)
    failed = sum(finding.level is Level.FAIL for finding in findings)
    if as_json:
        print_json(
            is_healthy=not failed,
            checks=[
                {
                    "name": finding.name,
                    "level": finding.level.value,
                    "sentence": finding.sentence,
                    "fix": finding.fix,
                }
                for finding in findings
            ],
        )
    else:
        _print(findings)
    if failed:
        from meshnode.cli.exits import EXIT_FINDINGS

        raise typer.Exit(EXIT_FINDINGS)


def _print(findings: tuple[Finding, ...]) -> None:
    from meshnode.cli.show import print_table
    from meshnode.doctor.findings import Level

    words = {Level.OK: say("ok"), Level.WARN: say("warning"), Level.FAIL: say("FAULT")}
    rows = [
        (
            words[finding.level],
            finding.name,
            " ".join(
                f"{translate_error(part)}." for part in (finding.sentence, finding.fix) if part
            ),
        )
        for finding in findings
    ]
    print_table((say("result"), say("check"), say("finding")), rows)
