"""`meshnode bench`: measure this machine with real parts, beside a bare floor of the same work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

__all__ = ["app", "register"]

app = typer.Typer(
    name="bench",
    help="Measure contacts, links, archives and an idle node.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode bench`."""
    parent.add_typer(app, name="bench")


@app.command()
def sync(
    messages: Annotated[
        int, typer.Option(min=1, max=100_000, help="Bundles that move in one run.")
    ] = 2_000,
    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="Runs of each; medians are printed.")
    ] = 15,
    as_json: AsJson = False,
) -> None:
    """Move bundles between two processes, and measure it against a bare pipeline."""
    from meshnode.bench.sync import measure

    _print(_watched(2 * repeats, partial(measure, messages, repeats)), as_json)


@app.command()
def unload(
    bundles: Annotated[
        int, typer.Option(min=250, max=1_000_000, help="Bundles that the box carries.")
    ] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Let a box hand all that it carries to a gateway, and judge its estimate by the end."""
    from meshnode.bench.unload import STEPS, measure

    _print(_watched(STEPS, partial(measure, bundles)), as_json)


@app.command()
def reconcile(
    ids: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="Bundles that both sides hold.")
    ] = 100_000,
    differences: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Bundles that one side lacks.")
    ] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Find the differences of two large sets, and count bytes, round trips and time."""
    from meshnode.bench.reconcile import measure

    _print(measure(ids, differences), as_json)


@app.command()
def links(
    count: Annotated[
        int, typer.Option("--links", min=10, max=10_000, help="Links that are set up of each kind.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Set up links between two devices, and refuse outsiders, beside bare TLS."""
    from meshnode.bench.links import STEPS, measure

    _print(_watched(STEPS, partial(measure, count)), as_json)


@app.command()
def documents(
    identities: Annotated[
        int, typer.Option(min=1_000, max=100_000, help="Devices of the whole authority.")
    ] = 18_000,
    revocations: Annotated[
        int, typer.Option(min=1, max=1_000, help="Devices that each revocation list names.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Bring new revocation lists to a node, and count bytes and the time until they are in force.

    The bytes are those of documents in one contact, both ways, without the two greetings.
    """
    from meshnode.bench.documents import LISTS, STEPS, measure

    _print(_watched(STEPS, partial(measure, identities, revocations, LISTS)), as_json)


@app.command()
def idle(
    seconds: Annotated[
        int, typer.Option(min=10, max=3_600, help="How long the node is watched.")
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Run a node that meets nobody, and count how often it wakes and what memory it keeps."""
    from meshnode.bench.idle import SETTLE_S, measure

    _print(_watched(SETTLE_S + seconds, partial(measure, seconds)), as_json)


_Database = Annotated[
    str, typer.Option(metavar="URL", help="An empty PostgreSQL database; else SQLite.")
]


@app.command()
def archive(
    bundles: Annotated[
        int, typer.Option(min=1_000, max=1_000_000, help="Bundles that the gateway takes in.")
    ] = 20_000,
    database: _Database = "",
    as_json: AsJson = False,
) -> None:
    """Let a gateway take bundles into its archive, and measure it against verify and insert."""
    from meshnode.bench.archive import STEPS, measure

    _print(_watched(STEPS, partial(measure, bundles, database)), as_json)


@app.command()
def search(
    texts: Annotated[
        int, typer.Option(min=2_000, max=10_000_000, help="Texts in the archive, over 30 days.")
    ] = 100_000,
    devices: Annotated[
        int, typer.Option(min=10, max=100_000, help="Devices that wrote them.")
    ] = 18_000,
    database: _Database = "",
    as_json: AsJson = False,
) -> None:
    """Fill an archive with the texts of 30 days, and measure searches in it."""
    from meshnode.bench.archive import SEARCH_STEPS, measure_search

    _print(_watched(SEARCH_STEPS, partial(measure_search, texts, devices, database)), as_json)


def _watched(
    steps: int, measure: Callable[[Callable[[int], None]], dict[str, Any]]
) -> dict[str, Any]:
    """Return what a measurement gives, with a bar that shows how many of `steps` are done."""
    from meshnode.cli.progress import progress_bar

    words = say("measuring")
    with progress_bar(words, steps) as draw:
        return measure(partial(draw, words))


def _print(figures: dict[str, Any], as_json: bool) -> None:
    from meshnode.cli.show import print_facts, print_json

    figures = {name: value for name, value in figures.items() if name != "schema"}
    if as_json:
        print_json(**figures)
    else:
        print_facts({name: str(value) for name, value in figures.items()})
