"""`meshnode authority cards`, `card`, `add-operator`, `drop-operator`, `renew-root`: the cards.

Arguments and screens only; every rule is in `meshnode.authority_home`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meshnode.cli.asking import confirmed
from meshnode.cli.authority_places import (
    AsJson,
    CardPassphraseFile,
    PassphraseFile,
    RootCards,
    RootPassphraseFiles,
    Yes,
    opened,
    root_cards_of,
)
from meshnode.cli.language import say

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode authority`."""
    parent.command()(cards)
    parent.command()(card)
    parent.command("add-operator")(add_operator)
    parent.command("drop-operator")(drop_operator)
    parent.command("renew-root")(renew_root)


def cards(
    ctx: typer.Context,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the cards that may sign, and those that were not handed over yet."""
    from meshnode.authority_cards import CardKind
    from meshnode.cli.show import print_json, print_table
    from meshnode.cli.texts import home_of

    home = home_of(ctx)
    with opened(ctx, passphrase_file) as (authority, _):
        found = authority.state.cards
    rows = []
    for each in found:
        label = f"{CardKind(each.kind).name.lower()}-{each.number}"
        rows.append((label, each.holder, (home / "cards" / f"{label}.card").exists()))
    if as_json:
        print_json(
            cards=[
                {"card": label, "holder": holder, "is_handed_over": not is_here}
                for label, holder, is_here in rows
            ]
        )
        return
    print_table(
        (say("card"), say("holder"), say("where")),
        [
            (label, holder, say("still here") if is_here else say("handed over"))
            for label, holder, is_here in rows
        ],
    )


def card(
    ctx: typer.Context,
    label: Annotated[
        str, typer.Argument(metavar="CARD", help="Which card, such as wipe-1 or operator-1.")
    ],
    holder: Annotated[str, typer.Option(help="Name of the person who gets it.")],
    out: Annotated[Path, typer.Option(help="Write the card here, such as on the holder's stick.")],
    card_passphrase_file: CardPassphraseFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Hand a card over to its holder, who types a passphrase that nobody else knows.

    The card is written to the holder's place and is here no more.
    """
    from meshnode.authority_home import AuthorityHome
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import card_passphrase, home_of, passphrase
    from meshnode.runtime import system_runtime

    runtime = system_runtime()
    own = passphrase(passphrase_file, is_new=False)
    new = card_passphrase(card_passphrase_file, label, is_new=True)
    with AuthorityHome.open(home_of(ctx), own, runtime.entropy) as authority:
        given = authority.hand_over(label, holder, out, (own, new), runtime.now_ms())
    if as_json:
        print_json(card=label, holder=given.holder, path=str(out))
    else:
        typer.echo(
            say(
                "The card {card} of {holder} is in {path}, and no longer here.",
                card=label,
                holder=given.holder,
                path=out,
            )
        )


def add_operator(
    ctx: typer.Context,
    holder: Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator.")],
    out: Annotated[Path, typer.Option(help="Write the card here.")],
    root_card: RootCards = None,
    root_passphrase_file: RootPassphraseFiles = None,
    card_passphrase_file: CardPassphraseFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a card for one more operator, and name it in a new root document.

    Two of the three holders of the root bring their cards. Export the rosters afterwards to spread
    it. Invitations that are open end with the old root.
    """
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import card_passphrase

    new = card_passphrase(card_passphrase_file, holder, is_new=True)
    brought = root_cards_of(root_card, root_passphrase_file)
    with opened(ctx, passphrase_file) as (authority, now_ms):
        holders = authority.root_holders(brought, now_ms)
        given = authority.add_operator(holder, out, new, holders, now_ms)
        version = authority.state.root.version
    if as_json:
        print_json(
            card=f"operator-{given.number}",
            holder=given.holder,
            path=str(out),
            root_version=version,
        )
    else:
        typer.echo(
            say(
                "The card operator-{number} of {holder} is in {path} (root version {version}).",
                number=given.number,
                holder=given.holder,
                path=out,
                version=version,
            )
        )


def drop_operator(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the card.")],
    void_list: Annotated[
        bool,
        typer.Option("--void-list", help="Stolen: trust again what it alone revoked."),
    ] = False,
    root_card: RootCards = None,
    root_passphrase_file: RootPassphraseFiles = None,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop believing an operator's card, such as one that was lost.

    A new root document names it no longer; two of the three holders of the root sign it. What it
    alone had revoked waits to be revoked again with another card, or with --void-list is trusted
    again.
    """
    from meshnode.cli.show import print_json

    if not yes and not confirmed(say("Stop believing the card operator-{number}?", number=number)):
        raise typer.Abort
    brought = root_cards_of(root_card, root_passphrase_file)
    with opened(ctx, passphrase_file) as (authority, now_ms):
        before, holders = authority.state, authority.root_holders(brought, now_ms)
        gone = authority.drop_operator(number, holders, now_ms, is_list_void=void_list)
        waiting = len(authority.state.drafts)
        alone = before.revoked.keys() - authority.state.revoked.keys()
    names = sorted(each.member.name for each in before.listed if each.node in alone)
    if as_json:
        trusted = names if void_list else []
        print_json(
            card=f"operator-{number}", holder=gone.holder, to_revoke=waiting, trusted_again=trusted
        )
    elif void_list:
        typer.echo(
            say(
                "The card operator-{number} of {holder} signs nothing any more. "
                "Trusted again: {names}.",
                number=number,
                holder=gone.holder,
                names=", ".join(names) or "-",
            )
        )
    else:
        typer.echo(
            say(
                "The card operator-{number} of {holder} signs nothing any more. "
                "Devices to revoke again: {count}.",
                number=number,
                holder=gone.holder,
                count=waiting,
            )
        )


def renew_root(
    ctx: typer.Context,
    root_card: RootCards = None,
    root_passphrase_file: RootPassphraseFiles = None,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make three new root cards, because one was lost or stolen or its holder leaves.

    Two of the old ones sign for it, and none of them afterwards. Export the rosters to spread it.
    """
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of

    if not yes and not confirmed(say("Stop believing all root cards of now?")):
        raise typer.Abort
    brought = root_cards_of(root_card, root_passphrase_file)
    with opened(ctx, passphrase_file) as (authority, now_ms):
        places = authority.renew_root(authority.root_holders(brought, now_ms), now_ms)
        epoch = authority.state.root.epoch
    if as_json:
        print_json(cards=[str(place) for place in places], root_epoch=epoch)
    else:
        typer.echo(
            say(
                "Three new root cards are in {folder} (key set {epoch}). Hand each to its holder: "
                "meshnode authority card CARD --holder NAME --out FILE",
                folder=home_of(ctx) / "cards",
                epoch=epoch,
            )
        )
