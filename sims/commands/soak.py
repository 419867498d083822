"""`meshnode-sim soak`: many random days of real nodes, and what they did not keep."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sims.commands.options import EXIT_BREACH, AsJson, Seed

if TYPE_CHECKING:
    from sims.soak import SoakResult

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command()(soak)


def soak(
    seed: Seed = 0,
    seeds: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Run this many days, from --seed on.")
    ] = 100,
    devices: Annotated[int, typer.Option(min=4, max=64, help="Nodes of each day.")] = 10,
    hours: Annotated[float, typer.Option(min=1, max=240, help="Length of each day.")] = 24,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Days at a time.")] = 2,
    output: Annotated[
        Path, typer.Option(help="Folder for the smallest scenario of each failure.")
    ] = Path("soak-failures"),
    as_json: AsJson = False,
) -> int:
    """Run random days of real nodes under faults.

    Each is checked for what must hold. Each failure is made small, and comes with the
    command that shows it again.
    """
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import print_json
    from sims.soak import soak as run_days

    done: list[int] = []
    words = "{} days of {}, {} failed"
    with progress_bar(words.format(0, seeds, 0), seeds) as draw:

        def hear(result: SoakResult) -> None:
            done.append(0 if result.failure is None else 1)
            draw(words.format(len(done), seeds, sum(done)), len(done))

        days = range(seed, seed + seeds)
        results = run_days(days, devices, hours, processes, folder=output, on_result=hear)
    if as_json:
        print_json(
            days=len(results),
            devices=devices,
            hours=hours,
            failed=sum(done),
            results=[_fields(each) for each in results],
        )
    else:
        _print(results)
    return EXIT_BREACH if any(done) else 0


def _fields(result: SoakResult) -> dict[str, Any]:
    failure = result.failure
    return {
        "seed": result.seed,
        "is_sealed": result.is_sealed,
        "cpu_s": result.cpu_s,
        "messages": result.messages,
        "copies": result.copies,
        "digest": result.digest,
        "breaches": [asdict(each) for each in failure.breaches] if failure else [],
        "scenario": str(failure.path) if failure else None,
        "command": failure.command if failure else None,
    }


def _print(results: list[SoakResult]) -> None:
    from meshnode.cli.show import print_facts

    failures = [each.failure for each in results if each.failure is not None]
    print_facts(
        {
            "days": f"{len(results)}, {sum(each.is_sealed for each in results)} of them with "
            "the cryptography of the field",
            "failed": str(len(failures)),
            "messages": f"{sum(each.messages for each in results)} written, "
            f"{sum(each.copies for each in results)} copies arrived",
            "CPU": f"{sum(each.cpu_s for each in results):.0f} s of one core",
        }
    )
    for failure in failures:
        for breach in failure.breaches:
            words = f"FAILED {breach.checker}: {breach.device} {breach.sentence}"
            typer.echo(" ".join(words.split()))
        typer.echo(f"to see it again: {failure.command}")
