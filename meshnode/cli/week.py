"""`meshnode authority take-keys`: what operators' nodes renew each week, for new devices.

Arguments and screens only. Imports of the node stand inside the command, so that help appears at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meshnode.cli import authority
from meshnode.cli.authority_places import AsJson, PassphraseFile
from meshnode.cli.language import say

__all__ = ["register"]


def register(_parent: typer.Typer) -> None:
    """Put this command under `meshnode authority`."""
    authority.app.command("take-keys")(take_keys)


def take_keys(
    ctx: typer.Context,
    node_home: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Home of an operator's node of the zone.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Hand out this week's keys of the network from now on, taken from an operator's node.

    Devices enrolled with keys of long ago are heard by gateways alone. The node must not run.
    """
    import trio

    from meshnode.authority_home import AuthorityHome
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of, offered_secret, passphrase
    from meshnode.enrolled import weekly_keys_of
    from meshnode.runtime import system_runtime

    runtime = system_runtime()
    secret_of_node = offered_secret(None, is_asked=True)
    found = trio.run(weekly_keys_of, node_home, runtime, secret_of_node)
    secret = passphrase(passphrase_file, is_new=False)
    with AuthorityHome.open(home_of(ctx), secret, runtime.entropy) as opened:
        is_news = opened.take_keys(found, runtime.now_ms())
        week = opened.state.secrets.knock_epoch
    if as_json:
        print_json(is_new=is_news, week=week)
    elif is_news:
        typer.echo(say("New devices get the keys of this week from now on."))
    else:
        typer.echo(say("There are no newer keys than those that new devices get already."))
