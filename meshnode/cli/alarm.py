"""`meshnode sos`, `alarms` and `alarm`: call for help, see who needs it, answer.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson
from meshnode.cli.relays import is_relay, say_nothing
from meshnode.errors import ControlError, KeystoreError, LockedError

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register", "show_alarm", "what_place"]

Which = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, the start of it, or 'last' for the latest.")
]
_ID_CHARACTERS: Final = 16
Reason = Annotated[str, typer.Option(help="What others shall read of it.")]

_app = typer.Typer(
    help="See one alarm and answer it: seen, taken, on scene, closed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(sos)
    parent.command()(alarms)
    parent.add_typer(_app, name="alarm")


# --- raising -----------------------------------------------------------------------------------


def sos(
    ctx: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What happened, or - for stdin.")
    ] = "",
    to: Annotated[
        str, typer.Option(help="Whose receipts are awaited; by default those of the CODT.")
    ] = "",
    with_position: Annotated[
        bool,
        typer.Option(
            "--with-position/--without-position",
            help="Tell the newest position of the open shift.",
        ),
    ] = True,
    at: Annotated[
        str,
        typer.Option(metavar="LAT,LON[,M]", help="Tell this place: degrees, accuracy in metres."),
    ] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="Read the agent's secret from this file, if it is needed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Call for help: everybody of the zone reads it, before all else.

    It needs no shift, and no words. A position goes along only from an open shift, or if you
    give it with --at.

    On a locked device the agent's secret raises it. Where the lease has ended it opens nothing
    else, and the newest place that sensors told goes along.
    """
    from functools import cache, partial

    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import message_text, offered_secret

    # Who has no hand or breath for words is heard all the same.
    words = message_text(text).strip() or say("Help!")
    secret = cache(partial(offered_secret, secret_file, is_asked=True))

    async def action(api: NodeApi) -> dict[str, Any]:
        what: _Raising = {"to": to, "at": at, "tells_place": with_position}
        try:
            raised = await api.sos(words, **what)
        except (ControlError, KeystoreError) as error:
            given = await _given(api, error, secret)
            raised = await api.sos_by_secret(given, words, **what)
        return {**raised, "is_running": api.is_running}

    raised = with_node(ctx, action, secret=secret)
    if as_json:
        print_json(**raised)
    else:
        _tell_raised(raised)


def _tell_raised(raised: dict[str, Any]) -> None:
    """Tell whoever raised an alarm what becomes of it, and how to hear more."""
    from meshnode.cli.show import safe

    typer.echo(_what_becomes_of(raised))
    if raised["aired_text"] != raised["text"]:
        typer.echo(
            say(
                "By radio its beginning goes at once, the whole text with the next session: {text}",
                text=safe(raised["aired_text"]),
            )
        )
    typer.echo(what_place(raised["place"]))
    if raised["is_author_revoked"]:
        words = say("This device was REVOKED: the operations centre alone reads the alarm.")
        typer.echo(words)
    if not raised.get("is_shut", False):
        typer.echo(say("See who answers: meshnode alarm show {id}", id=raised["alarm"]))
        return
    if raised["is_key_old"]:
        typer.echo(_what_of_key(raised["key_weeks"]))
    typer.echo(
        say(
            "The device stays shut, and who answers does not show on it."
            " Whether it has left: meshnode alarm show {id}",
            id=raised["alarm"],
        )
    )


class _Raising(TypedDict):
    """What goes with the words of an alarm."""

    to: str
    at: str
    tells_place: bool


def _is_locked(error: ControlError | KeystoreError) -> bool:
    """True for what a locked device answers, running or not."""
    kind = error.kind if isinstance(error, ControlError) else type(error).__name__
    return kind == LockedError.__name__


async def _given(
    api: NodeApi, error: ControlError | KeystoreError, secret: Callable[[], str | None]
) -> str:
    """Return what opens a locked device for an alarm. Raises: the error, where nothing is given."""
    if not _is_locked(error):
        raise error
    if (await api.status())["lock"]["protection"] == "unattended":
        return ""
    given = secret()
    if given is None:
        raise error
    return given


def _what_of_key(weeks: int) -> str:
    return say(
        "The key of this device is {weeks} weeks old: whoever has newer ones alone CANNOT READ the"
        " alarm. Call for help in other ways, too.",
        weeks=weeks,
    )


def _what_becomes_of(raised: dict[str, Any]) -> str:
    """Return what whoever raised an alarm is told of its way; never that it leaves if it cannot."""
    if raised["is_held_back"]:
        return say(
            "Kept: others take no more alarms of this device in this hour."
            " It leaves in the next one, while meshnode runs unlocked."
        )
    if not raised["is_running"]:
        return say(
            "The alarm is kept and DOES NOT LEAVE YET, for no node runs here:"
            " start it now with 'meshnode run'."
        )
    return say("The alarm is kept; it leaves before all else, on every link that is or comes up.")


def what_place(place: dict[str, Any] | None) -> str:
    """Return what whoever raised an alarm is told of the place that goes along."""
    from meshnode.cli.show import duration

    if not place:
        return say("No position goes along: give one with --at LAT,LON if you can.")
    if place["is_stale"]:
        return say(
            "The position that goes along is STALE, of {duration} ago:"
            " give a newer one with --at LAT,LON if you can.",
            duration=duration(place["age_s"]),
        )
    if place["latitude"] is None:
        return say(
            "The newest place that this device knows goes along, of {duration} ago;"
            " it is not shown while the device is shut.",
            duration=duration(place["age_s"]),
        )
    return say("Your position goes along: {place}.", place=_spot(place))


# --- reading -----------------------------------------------------------------------------------


def alarms(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the alarms of the zone, the latest first.

    What a person is shown counts as seen, and those in need learn of it.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> tuple[list[dict[str, Any]], bool]:
        found = await api.alarms()
        for each in found if not as_json else ():
            await api.alarm_seen(each["alarm"], is_shown=True)
        return found, not found and await is_relay(api)

    found, reads_nothing = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(alarms=found)
    elif found:
        _show_alarms(found)
    else:
        say_nothing(say("No alarms."), reads_nothing=reads_nothing)


def _show_alarms(found: list[dict[str, Any]]) -> None:
    from meshnode.cli.show import local_time, print_table

    rows = [
        (
            each["alarm"][:8],
            local_time(each["raised_ms"]),
            each["from"],
            _state(each),
            _names([*each["on_scene"], *each["taken"]]),
            _marked(each),
        )
        for each in found
    ]
    columns = (say("id"), say("raised"), say("from"), say("state"), say("who goes"), say("text"))
    print_table(columns, rows)


def _state(found: dict[str, Any]) -> str:
    if found["outcome"] == "false_alarm":
        return say("false alarm")
    return {
        "raised": say("NOBODY ANSWERED"),
        "seen": say("seen, NOBODY GOES"),
        "taken": say("somebody goes"),
        "on_scene": say("on scene"),
        "closed": say("closed"),
    }[found["state"]]


def _marked(found: dict[str, Any]) -> str:
    text = str(found["text"])
    return f"{say('REVOKED AUTHOR')}  {text}" if found["is_author_revoked"] else text


def _names(people: list[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(each["name"]) for each in people))


@_app.command("show")
def show(ctx: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Show one alarm: where, who answered when, and who is nearest."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        try:
            if not as_json:
                await api.alarm_seen(which, is_shown=True)
            return await api.alarm(which)
        except (ControlError, KeystoreError) as error:
            # Of an own alarm a locked device tells how far it came, by its whole id.
            if not _is_locked(error) or len(which) != _ID_CHARACTERS:
                raise
            return {"alarm": which, "way": await api.alarm_way(which)}

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    elif "state" in found:
        show_alarm(found)
    else:
        typer.echo(_way(found))


def show_alarm(found: dict[str, Any]) -> None:
    """Print all that the node gives of one alarm."""
    from meshnode.cli.show import aged, local_time, print_table, safe

    raised = local_time(found["raised_ms"])
    typer.echo(
        say("SOS of {name}, {time}: {state}", name=found["from"], time=raised, state=_state(found))
    )
    typer.echo(safe(_marked(found)))
    if found["state"] != "closed" and (words := _way(found)):
        typer.echo(words)
    if found["place"]:
        typer.echo(_where(found["place"]))
    rows = [
        (local_time(each["at_ms"]), each["name"], _step(each), each["text"])
        for each in found["steps"]
    ]
    print_table((say("when"), say("who"), say("step"), say("text")), rows)
    if found["nearest"]:
        near = [
            (each["name"], _distance(each["distance_m"]), aged(local_time(each["taken_ms"]), each))
            for each in found["nearest"]
        ]
        columns = (say("name"), say("distance"), say("position of"))
        print_table(columns, near, say("Nearest colleagues"))


def _way(found: dict[str, Any]) -> str:
    """Return how far an own alarm came, in words; empty where nothing is known of that."""
    ways = {
        "waiting": say(
            "It has NOT left this device: it waits for the next hour, or for a key;"
            " see 'meshnode message last'."
        ),
        "queued": say(
            "NOBODY IS KNOWN TO HAVE IT yet: it leaves on the next link, while 'meshnode run' runs."
        ),
        "left": say("It has left: another device has it."),
    }
    return ways.get(found.get("way", ""), "")


def _where(place: dict[str, Any]) -> str:
    from meshnode.cli.show import aged, local_time

    taken = local_time(place["taken_ms"])
    return aged(say("Place: {place}, at {time}", place=_spot(place), time=taken), place)


def _spot(place: dict[str, Any]) -> str:
    accuracy = f" ± {place['accuracy_m']:.0f} m" if place["accuracy_m"] else ""
    return f"{place['latitude']:.5f}, {place['longitude']:.5f}{accuracy}"


def _distance(metres: int) -> str:
    return f"{metres} m" if metres < 1_000 else f"{metres / 1_000:.1f} km"


def _step(found: dict[str, Any]) -> str:
    names = {
        "raised": say("raised"),
        "seen": say("seen"),
        "taken": say("goes there"),
        "on_scene": say("on scene"),
        "closed": say("closed"),
    }
    return names.get(found["step"], str(found["step"]))


# --- answering ---------------------------------------------------------------------------------


def _answer(
    ctx: typer.Context,
    which: str,
    call: Callable[[NodeApi], Awaitable[bool]],
    words: str,
    *,
    as_json: bool,
) -> None:
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> tuple[bool, dict[str, Any]]:
        return await call(api), await api.alarm(which)

    is_new, found = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(alarm=found["alarm"], state=found["state"], is_new=is_new)
    else:
        typer.echo(words if is_new else say("That was said already."))


@_app.command("seen")
def seen(ctx: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Tell that you saw it."""
    words = say("Whoever is in need learns that you saw it.")
    _answer(ctx, which, lambda api: api.alarm_seen(which), words, as_json=as_json)


@_app.command("take")
def take(ctx: typer.Context, which: Which, reason: Reason = "", as_json: AsJson = False) -> None:
    """Tell that you go there. Several may."""
    words = say("All see that you go there.")
    _answer(ctx, which, lambda api: api.alarm_take(which, reason), words, as_json=as_json)


@_app.command("on-scene")
def on_scene(
    ctx: typer.Context, which: Which, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Tell that you are there."""
    words = say("All see that you are there.")
    _answer(ctx, which, lambda api: api.alarm_on_scene(which, reason), words, as_json=as_json)


@_app.command("raise")
def raise_anew(
    ctx: typer.Context, which: Which, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Raise your own alarm anew after it was closed."""
    words = say("The alarm rings again.")
    _answer(ctx, which, lambda api: api.alarm_raise_anew(which, reason), words, as_json=as_json)


@_app.command("close")
def close(
    ctx: typer.Context,
    which: Which,
    reason: Reason = "",
    is_false: Annotated[bool, typer.Option("--false-alarm", help="Nothing had happened.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close an alarm: its agent or an operator at once, others if two say so."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.alarm_close(which, reason, is_false=is_false)

    found = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(**found)
    elif found["state"] == "closed":
        typer.echo(say("The alarm is closed."))
    else:
        typer.echo(say("You are its first witness: it is closed once a second one says so."))
