"""Runs of real nodes: for the commands that run a scenario, and run one again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from sims.commands.options import EXIT_BREACH, LinksChoice, SealingChoice
from sims.commands.output import write_text

if TYPE_CHECKING:
    from sims.checkers import Breach
    from sims.measures import Measures
    from sims.record import WorldRecord
    from sims.scenario import Scenario

__all__ = ["WorldAsk", "replay_world", "run_worlds"]

_SHRINK_RUNS: Final = 60
"""So often a scenario that fails is run to make it smaller."""


@dataclass(frozen=True, slots=True)
class WorldAsk:
    """What was asked of a run of real nodes."""

    name: str
    """An included scenario, a file, or that of a random day."""
    faults: str | None
    """What goes wrong in place of what the scenario says; None leaves it that."""
    sealer: SealingChoice
    """Which sealer the nodes get."""
    links: LinksChoice
    """What is on the links."""
    trace: Path | None
    """Where every event is written; None for nowhere."""
    as_json: bool
    """Whether figures are printed as JSON."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A run with its checks."""

    ask: WorldAsk
    seed: int
    world: WorldRecord | None
    """None where it ended by an error."""
    breaches: tuple[Breach, ...]


def run_worlds(ask: WorldAsk, seed: int, seeds: int) -> int:
    """Run so many seeds, show each, and stop at the first that a check fails."""
    scenario = _scenario(ask)
    for each in range(seed, seed + seeds):
        done = _run(ask, scenario, each)
        if ask.trace is not None:
            write_text(ask.trace, _trace(done), "trace")
        _show(done)
        if done.breaches:
            code = _end(done)
            _make_small(done, scenario)
            return code
    return 0


def replay_world(ask: WorldAsk, seed: int) -> int:
    """Run one seed, and write its whole trace: to the file that was named, or to the screen."""
    from meshnode.cli.show import print_json

    done = _run(ask, _scenario(ask), seed)
    if ask.trace is not None:
        write_text(ask.trace, _trace(done), "trace")
        _show(done)
    elif ask.as_json:
        print_json(**_fields(done), trace=_lines(done))
    else:
        typer.echo(_trace(done), nl=False)
        for breach in done.breaches:
            typer.echo(_sentence(breach), err=True)
    return _end(done)


def _scenario(ask: WorldAsk) -> Scenario:
    from sims.chaos import scenario_named
    from sims.faults import parse_faults
    from sims.reading import load_scenario

    scenario = scenario_named(ask.name) or load_scenario(ask.name)
    if ask.faults is None:
        return scenario
    return replace(scenario, faults=parse_faults(ask.faults))


def _run(ask: WorldAsk, scenario: Scenario, seed: int) -> _Done:
    from meshnode.cli.progress import progress_bar
    from sims.checked import run_checked
    from sims.world import Links, Sealing

    sealing, links = Sealing(ask.sealer.value), Links(ask.links.value)
    # Nothing is printed while the bar is there: it would go where the bar is.
    with progress_bar(f"{scenario.name}, seed {seed}"):
        world, breaches = run_checked(scenario, seed, sealing=sealing, links=links)
    return _Done(ask, seed, world, breaches)


def _end(done: _Done) -> int:
    """Say how to see a failure again; return the exit code."""
    from sims.faults import parse_faults
    from sims.replaying import replay_command
    from sims.world import Links, Sealing

    if not done.breaches:
        return 0
    ask = done.ask
    again = replay_command(
        ask.name,
        done.seed,
        faults=None if ask.faults is None else parse_faults(ask.faults),
        sealing=Sealing(ask.sealer.value),
        links=Links(ask.links.value),
    )
    typer.echo(f"meshnode-sim: to see it again: {again}", err=True)
    return EXIT_BREACH


def _make_small(done: _Done, scenario: Scenario) -> None:
    """Write the smallest scenario found that fails likewise, and say how to see it."""
    from sims.replaying import replay_command
    from sims.shrinking import shrink
    from sims.world import Links, Sealing
    from sims.writing import scenario_to_toml

    ask, broken = done.ask, {breach.checker for breach in done.breaches}

    def is_failing(candidate: Scenario, seed: int) -> bool:
        found = _run(ask, candidate, seed).breaches
        return not broken.isdisjoint(breach.checker for breach in found)

    smallest = shrink(scenario, done.seed, is_failing, _SHRINK_RUNS)
    path = Path(f"{scenario.name.replace(':', '-')}-seed-{done.seed}.toml")
    write_text(path, scenario_to_toml(smallest), "scenario")
    sealing, links = Sealing(ask.sealer.value), Links(ask.links.value)
    again = replay_command(str(path), done.seed, sealing=sealing, links=links)
    typer.echo(f"meshnode-sim: the same, made small: {again}", err=True)


# --- what is shown -------------------------------------------------------------------------------


def _trace(done: _Done) -> str:
    from sims.record import text_of

    lines = () if done.world is None else done.world.lines
    return "".join(f"{text_of(line)}\n" for line in lines)


def _lines(done: _Done) -> list[dict[str, Any]]:
    lines = () if done.world is None else done.world.lines
    return [
        {"at_ms": line.at_ms, "node": line.node, "event": line.event, **dict(line.fields)}
        for line in lines
    ]


def _show(done: _Done) -> None:
    from meshnode.cli.show import print_facts, print_json
    from sims.measures import measure

    if done.ask.as_json:
        print_json(**_fields(done))
        return
    if done.world is not None:
        facts = {"scenario": f"{done.world.scenario.name}, seed {done.seed}"}
        print_facts({**facts, **_words(measure(done.world), done.world)})
    for breach in done.breaches:
        typer.echo(_sentence(breach))


def _sentence(breach: Breach) -> str:
    return " ".join(f"FAILED {breach.checker}: {breach.device} {breach.sentence}".split())


def _fields(done: _Done) -> dict[str, Any]:
    """Return the figures of a run for JSON; a run that ended by an error has none."""
    from sims.measures import measure

    breaches = [asdict(breach) for breach in done.breaches]
    if done.world is None:
        return {"scenario": done.ask.name, "seed": done.seed, "breaches": breaches}
    return {
        "scenario": done.world.scenario.name,
        "seed": done.seed,
        "virtual_s": done.world.end_ms / 1000,
        **asdict(measure(done.world)),
        "breaches": breaches,
        "digest": done.world.digest,
    }


def _words(figures: Measures, world: WorldRecord) -> dict[str, str]:
    """Return the figures of a run in words."""
    from meshnode.cli.show import duration, size
    from sims.commands.output import seconds
    from sims.faults import describe_faults

    delays = "nothing arrived"
    if figures.delay_median_s is not None:
        median, p90 = duration(figures.delay_median_s), seconds(figures.delay_p90_s)
        delays = f"half within {median}, nine in ten within {p90}"
    faults = describe_faults(world.scenario.faults)
    return {
        "virtual time": duration(world.end_ms / 1000),
        **({"faults": faults} if faults else {}),
        "messages": f"{figures.messages_sent} sent, "
        f"{figures.copies_arrived} of {figures.copies_due} copies arrived",
        "delays": delays,
        "moved": f"{figures.bundles_moved} bundles, {size(figures.bytes_moved)}",
        "trace": f"{len(world.lines)} events, digest {world.digest}",
    }
