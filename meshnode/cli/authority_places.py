"""Where a command of the authority works: a folder with keys, or a node that holds documents.

An operator revokes from the terminal of the centre with nothing but a card: names and documents
come from its node, and what was signed goes into that node, which gives it to the mesh. In an
authority's folder the same commands work on what is known there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.authority_cards import Card
    from meshnode.authority_home import AuthorityHome
    from meshnode.authority_orders import Known
    from meshnode.authority_roots import HeldCard
    from meshnode.authority_state import AuthorityState
    from protocol.authority import SignedDocument
    from protocol.orders import Revocation

__all__ = [
    "AsJson",
    "CardFile",
    "CardPassphraseFile",
    "Out",
    "PassphraseFile",
    "Place",
    "RootCards",
    "RootPassphraseFiles",
    "Yes",
    "card_of",
    "export_of_node",
    "find",
    "give",
    "give_to_node",
    "opened",
    "place_of",
    "root_cards_of",
    "spaced",
    "take_from_node",
]

PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File with the passphrase; else MESHNODE_PASSPHRASE, else you are asked."),
]
CardFile = Annotated[Path, typer.Option(help="The card that signs.")]
CardPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the card's passphrase; else MESHNODE_CARD_PASSPHRASE, else you are asked."
    ),
]
RootCards = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-card",
        help="A root card that its holder brought; once for each. Those that were not handed over "
        "are found.",
    ),
]
RootPassphraseFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-passphrase-file",
        help="File with the passphrase of a root card, in the same order; else you are asked.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Write the signed documents here; the home of a node takes them at once."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for machines.")]


@contextmanager
def opened(ctx: typer.Context, passphrase_file: Path | None) -> Iterator[tuple[AuthorityHome, int]]:
    """Open the authority of `--home`; yields it with the time."""
    from meshnode.authority_home import AuthorityHome
    from meshnode.cli.texts import home_of, passphrase
    from meshnode.runtime import system_runtime

    runtime = system_runtime()
    secret = passphrase(passphrase_file, is_new=False)
    with AuthorityHome.open(home_of(ctx), secret, runtime.entropy) as authority:
        yield authority, runtime.now_ms()


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a person named."""

    node: bytes
    """16 bytes."""
    name: str
    """As people call it; its id where no roster names it."""
    is_known: bool
    """A roster, or the folder of the authority, knows it."""


class Place(Protocol):
    """What a command about orders needs of where it works."""

    known: Known
    """The documents in force here."""
    drafts: Sequence[Revocation]
    """Devices that wait to be revoked."""
    names: Mapping[bytes, str]
    """Names of devices by id, removed ones as well where they are remembered."""
    state: AuthorityState | None
    """The authority's memory, where there is one."""

    def keep(self, document: SignedDocument, subject: str) -> Sequence[SignedDocument]:
        """Save what a card signed here; return all documents that changed."""
        ...


class _Folder:
    """The place that an authority's folder is."""

    def __init__(self, authority: AuthorityHome, now_ms: int) -> None:
        self._authority, self._now_ms = authority, now_ms
        self.known: Known = authority.known
        self.drafts: Sequence[Revocation] = authority.state.drafts
        self.state: AuthorityState | None = authority.state
        remembered = {each.node: each.member.name for each in authority.state.enrolees}
        self.names: Mapping[bytes, str] = remembered | self.known.names

    def keep(self, document: SignedDocument, subject: str) -> Sequence[SignedDocument]:
        return self._authority.note_signed(document, subject, self._now_ms)


class _NodePlace:
    """The place that a node's home is: what was signed goes straight into the node."""

    def __init__(self, home: Path, raws: Sequence[bytes]) -> None:
        from meshnode.authority_orders import Known

        self._home = home
        self.state: AuthorityState | None = None
        self.known: Known = Known.of(raws)
        self.drafts: Sequence[Revocation] = ()
        self.names: Mapping[bytes, str] = self.known.names

    def keep(self, document: SignedDocument, subject: str) -> Sequence[SignedDocument]:
        from meshnode.authority_keys import AuthorityError

        if not give([document], self._home):
            raise AuthorityError("the node did not take what was signed: see 'meshnode status'")
        return [document]


@contextmanager
def place_of(ctx: typer.Context) -> Iterator[tuple[Place, int]]:
    """Give the place that `--home` is, an authority or a node, with the time."""
    from meshnode.cli.texts import home_of
    from meshnode.runtime import system_runtime

    home = home_of(ctx)
    if (home / "authority").is_dir() and not (home / "identity").is_dir():
        with opened(ctx, None) as (authority, now_ms):
            yield _Folder(authority, now_ms), now_ms
        return
    yield _NodePlace(home, export_of_node(home)), system_runtime().now_ms()


def card_of(path: Path, passphrase_file: Path | None) -> tuple[Card, str]:
    """Open a card; return it with its passphrase, to write it back. Raises: AuthorityError."""
    from meshnode.authority_cards import open_card, read_card_label
    from meshnode.cli.texts import card_passphrase

    secret = card_passphrase(passphrase_file, read_card_label(path), is_new=False)
    return open_card(path, secret), secret


def root_cards_of(
    paths: Sequence[Path] | None, passphrase_files: Sequence[Path] | None
) -> list[HeldCard]:
    """Open the root cards that their holders brought. Raises: AuthorityError, TextError."""
    from meshnode.authority_roots import HeldCard

    files = [*(passphrase_files or ())]
    found = []
    for number, path in enumerate(paths or ()):
        opened, secret = card_of(path, files[number] if number < len(files) else None)
        found.append(HeldCard(path, opened, secret))
    return found


def find(place: Place, words: str) -> Device:
    """Return the device that `words` names, by name or id. Raises: EnrolmentError (`name`).

    An id that no roster names is taken: a device may be lost after it left the rosters.
    """
    from protocol.errors import EnrolmentError, MalformedError
    from protocol.ids import parse_node_id_untrusted, print_node_id

    wanted = words.strip().casefold()
    found = [(node, name) for node, name in place.names.items() if name.casefold() == wanted]
    if len(found) > 1:
        current = place.known.names.keys() - place.known.revoked.keys()
        found = [each for each in found if each[0] in current]
    if len(found) == 1:
        return Device(*found[0], is_known=True)
    try:
        node = parse_node_id_untrusted(words)
    except MalformedError as error:
        raise EnrolmentError(
            "name", f"no device is called '{words}': see 'authority roster'"
        ) from error
    return Device(node, place.names.get(node, print_node_id(node)), node in place.names)


# --- documents of nodes ------------------------------------------------------------------------


def export_of_node(home: Path) -> tuple[bytes, ...]:
    """Return the documents that the node of a home holds, running or not. Raises: MeshError."""
    from tempfile import TemporaryDirectory

    from meshnode.document_files import read_documents

    with TemporaryDirectory(prefix="meshnode-") as folder:
        path = Path(folder) / "documents"
        _ask(home, "export_documents", path)
        return read_documents(path)


def give(documents: Sequence[SignedDocument], out: Path | None) -> int | None:
    """Write signed documents to a file, or give them to a node where `out` is its home.

    Returns how many took effect in a node. Raises: MeshError.
    """
    from tempfile import TemporaryDirectory

    from meshnode.cli.texts import write_text
    from protocol.enrolment import encode_documents

    text = encode_documents([document.raw for document in documents])
    if out is None:
        return None
    if not out.is_dir():
        write_text(out, text)
        return None
    with TemporaryDirectory(prefix="meshnode-") as folder:
        path = Path(folder) / "documents"
        write_text(path, text)
        return int(_ask(out, "import_documents", path)["taken"])


def _ask(home: Path, method: str, path: Path) -> dict[str, Any]:
    import trio

    from meshnode.client import open_api
    from meshnode.runtime import system_runtime

    async def reach() -> dict[str, Any]:
        async with open_api(home, system_runtime()) as api:
            found: dict[str, Any] = await getattr(api, method)(str(path))
            return found

    return trio.run(reach)


def take_from_node(ctx: typer.Context, authority: AuthorityHome, now_ms: int) -> None:
    """Bring the documents of the leader's node into a unit authority of the same home."""
    from meshnode.cli.texts import home_of

    home = home_of(ctx)
    if authority.state.is_unit and (home / "identity").is_dir():
        authority.take(export_of_node(home), now_ms)


def give_to_node(ctx: typer.Context, authority: AuthorityHome) -> None:
    """Give the passes of a unit authority to the leader's node, which tells the squad."""
    from meshnode.cli.texts import home_of
    from protocol.authority import DocumentClass

    home = home_of(ctx)
    if authority.state.is_unit and (home / "identity").is_dir():
        passes = [
            document for document in authority.state.documents if document.cls is DocumentClass.PASS
        ]
        if passes:
            give(passes, home)


def spaced(code: str) -> str:
    """Return the digits of a paper in groups of four, as people read them out."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))
