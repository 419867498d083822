"""`meshnode-sim oracle`: what no policy can exceed on some contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sims.commands.options import AsJson, Contacts, Messages, Nodes, Seed

if TYPE_CHECKING:
    from sims.contacts import Workload
    from sims.oracle import Deliveries

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command()(oracle)


def oracle(
    scenario: Annotated[
        str | None, typer.Argument(help="Name of a region, or a file FILE.toml.")
    ] = None,
    contacts: Contacts = None,
    messages: Messages = None,
    nodes: Nodes = None,
    seed: Seed = 1,
    rate: Annotated[
        float,
        typer.Option(min=0, help="Bytes per second of every contact; 0: transfers take no time."),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Find what was possible on a region or a trace.

    No policy delivers more, or sooner, over the same contacts. Stores are without bound,
    and each message has the links for itself.
    """
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import print_json
    from sims.commands.output import plain
    from sims.commands.regions import RegionAsk, load_asked
    from sims.oracle import best_arrivals, sum_up

    with progress_bar("reading") as draw:
        region = load_asked(RegionAsk(scenario, contacts, messages, nodes, seed)).region
        draw("finding what was possible", 0)
        best = sum_up(region.workload, best_arrivals(region.plan, region.workload, rate))
    if not as_json:
        typer.echo(f"{region.name}: {region.plan.nodes} nodes, {len(region.plan)} contacts")
        _print(best, region.workload)
        return
    urgent, normal, bulk = map(plain, best.share_of)
    print_json(
        messages=best.messages,
        delivered=plain(best.share),
        delivered_urgent=urgent,
        delivered_normal=normal,
        delivered_bulk=bulk,
        delay_median_s=plain(best.delay_median_s),
        delay_p90_s=_quantile(best, 0.9),
        messages_delivered=best.delivered,
        scenario=region.name,
        nodes=region.plan.nodes,
        contacts=len(region.plan),
        rate_bytes_s=plain(rate),
    )


def _quantile(best: Deliveries, part: float) -> float | None:
    import numpy as np

    return float(np.quantile(best.delays_s, part)) if len(best.delays_s) else None


def _print(best: Deliveries, workload: Workload) -> None:
    from meshnode.cli.show import print_facts, print_table
    from sims.commands.output import percent, seconds

    names = ("urgent", "normal", "bulk")
    rows = [
        (name, str(int((workload.priority == number).sum())), percent(best.share_of[number]))
        for number, name in enumerate(names)
    ]
    rows.insert(0, ("all", str(best.messages), percent(best.share)))
    print_table(("Class", "Messages", "Possible"), rows)
    median, slow = seconds(best.delay_median_s), seconds(_quantile(best, 0.9))
    print_facts({"delays": f"half within {median}, nine in ten within {slow}"})
