"""Security case S30: sealed files that were cut, mixed up, stretched, or are for others."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from meshnode.api import Api
from meshnode.store import documents
from protocol.errors import EnvelopeError, MeshError, RemoteProtocolError
from protocol.ids import print_node_id, squad_id_of
from protocol.reports import Reception
from protocol.stick import PREAMBLE_BYTES
from tests.protocol.sticks import cut, read_header
from tests.security.mates import Mate, Mates, meet
from tests.security.parts import SQUAD, ZONE, Town, Writer, measured

pytestmark = [pytest.mark.slow, pytest.mark.real]

GIB = 1 << 30
BYTES_MAX = 8_000_000
"""What one refused file may cost in memory, whatever its size: some chunks and one header."""
BUNDLES = 600
"""Enough for several chunks of 64 KiB."""
BYTES_TELLING = 6
"""So many given bytes are in a file of this length by chance once in a billion."""
REFUSED = (EnvelopeError, RemoteProtocolError)


@pytest.fixture
async def pair(town: Town) -> AsyncIterator[Mates]:
    """Alice, who imports, and Bob, who holds six hundred bundles."""
    async with meet(town, "alice", "bob", "mallory") as mates:
        writer = Writer(town.identity("mallory"))
        carried = [writer.bundle() for _ in range(BUNDLES)]
        assert set(await mates["bob"].take(carried)) == {Reception.STORED}
        yield mates


async def exported(mate: Mate, path: Path, reader: str) -> bytes:
    """Let a device export all it has for a reader; return the file."""
    written = await Api(mate.node).export_file(str(path), [reader])
    assert written["bundles"] > 0
    return await trio.Path(path).read_bytes()


def plain_of(file: bytes) -> bytes:
    """Return what is in clear in a file, without what is random in it."""
    header = read_header(file)
    pieces = [header.raw]
    for some in (header.nonce_seed, *(slot.sealed for slot in header.slots)):
        assert header.raw.count(some) == 1
        pieces = [rest for piece in pieces for rest in piece.split(some)]
    return b"|".join(pieces)


def sparse(path: Path, head: bytes) -> Path:
    """Write a file of a GiB that is nothing but zeros after its head."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(GIB)
    return path


def spoilt(folder: Path, good: bytes, foreign: bytes) -> dict[str, Path]:
    """Return by name files that must be refused."""
    head, chunks = cut(good)
    assert len(chunks) >= 3
    swapped = [chunks[1], chunks[0], *chunks[2:]]
    contents = {
        "nothing": b"",
        "last chunk cut": head + b"".join(chunks[:-1]),
        "half of the last chunk cut": good[: -len(chunks[-1]) // 2],
        "one byte cut": good[:-1],
        "chunks swapped": head + b"".join(swapped),
        "first chunk doubled": head + chunks[0] + b"".join(chunks),
        "last chunk doubled": good + chunks[-1],
        "a byte appended": good + b"\0",
        "a chunk of zeros appended": good + bytes(70_000),
        "only the head": head,
        "header length 2**32 - 1": good[: PREAMBLE_BYTES - 4] + b"\xff" * 4 + good[PREAMBLE_BYTES:],
        "sealed for others": foreign,
        "content of another file": head + b"".join(cut(foreign)[1]),
    }
    made = {}
    for number, (name, content) in enumerate(contents.items()):
        made[name] = folder / f"spoilt-{number}"
        made[name].write_bytes(content)
    made["a GiB of zeros"] = sparse(folder / "zeros", b"")
    made["a GiB of zeros behind a good head"] = sparse(folder / "head-and-zeros", head)
    return made


async def all_of(mate: Mate) -> tuple[set[bytes], list[bytes]]:
    """Return the bundles and documents that a device holds."""
    held = {each.raw for each in await mate.held()}
    return held, await mate.node.store.read(documents.all_raw)


@pytest.mark.parametrize("restarted", [False, True])
async def test_s30_a_spoilt_file_is_refused_whole_and_costs_little(
    pair: Mates, tmp_path: Path, *, restarted: bool
) -> None:
    alice = pair["alice"]
    good = await exported(pair["bob"], tmp_path / "good", "alice")
    foreign = await exported(pair["bob"], tmp_path / "foreign", "mallory")
    before = await all_of(alice)
    bad = spoilt(tmp_path, good, foreign)
    for name, path in bad.items():
        counted = alice.metric("files_refused")
        with measured() as memory:
            with pytest.raises(REFUSED) as caught:
                await Api(alice.node).import_file(str(path))
            assert memory.peak < BYTES_MAX, name
        assert isinstance(caught.value, MeshError)
        assert alice.metric("files_refused") == counted + 1, name
        assert await all_of(alice) == before, name
    if restarted:
        await pair.restart("alice")
        alice = pair["alice"]
        assert await all_of(alice) == before
        again = [path for name, path in bad.items() if name != "a GiB of zeros"]
        for path in again:
            with pytest.raises(REFUSED):
                await Api(alice.node).import_file(str(path))
        assert alice.metric("files_refused") == len(again)
        assert await all_of(alice) == before
    taken = await Api(alice.node).import_file(str(tmp_path / "good"))
    assert taken["bundles_refused"] == 0
    assert taken["bundles_stored"] >= BUNDLES
    assert len(await alice.held()) >= BUNDLES
    await pair.serves()


@pytest.mark.parametrize("restarted", [False, True])
async def test_s30_a_good_file_says_nothing_about_what_is_in_it(
    pair: Mates, town: Town, tmp_path: Path, *, restarted: bool
) -> None:
    text = "the lorry comes at four by the old pass"
    await pair["bob"].send(pair["alice"].scope, text)
    if restarted:
        await pair.restart("alice", "bob", "mallory")
    bob = pair["bob"]
    many = await exported(bob, tmp_path / "many", "alice")
    few = await exported(pair["mallory"], tmp_path / "few", "alice")
    words: list[bytes] = [text.encode(), SQUAD.encode(), squad_id_of(ZONE, SQUAD)]
    for name in pair.members:
        node = town.identity(name).node
        words += [name.encode(), node, node.hex().encode(), print_node_id(node).encode()]
    for bundle in await bob.held():
        starts = (bundle.raw[:16], bundle.digest[:8], bundle.body[:16])
        words += [bundle.header.scope.encode(), *starts]
    # By chance three given bytes stand in one of fifty files of this length: look for those only
    # in what is in clear.
    clear, plain = read_header(many).raw, plain_of(many)
    found = {word for word in words if word in (many if len(word) >= BYTES_TELLING else plain)}
    assert found == set()
    # What is in clear has one length, whatever the number of bundles.
    assert len(clear) == len(read_header(few).raw)
    assert len(few) < len(many)


_COMMAND = """
import sys
from meshnode.cli.main import execute
code = execute(sys.argv[1:])
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
sys.exit(code)
"""
"""The command in a process of its own, which then tells the most memory that it ever had, kB."""


async def peak_of(home: Path, file: Path) -> tuple[int, int, str]:
    """Import a file by the command; return its exit code, the most memory it had, and stderr."""
    ended = await trio.run_process(
        [sys.executable, "-c", _COMMAND, "--home", str(home), "import", str(file)],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    return ended.returncode, int(ended.stdout.split()[-1]) * 1024, ended.stderr.decode()


async def test_s30_a_gib_of_zeros_does_not_reach_the_memory_of_the_command(
    pair: Mates, town: Town, tmp_path: Path
) -> None:
    good = await exported(pair["bob"], tmp_path / "good", "alice")
    await pair["alice"].close()
    small = tmp_path / "small"
    small.write_bytes(bytes(100))
    peak = partial(peak_of, town.home("alice"))
    code, usual_bytes, said = await peak(small)
    assert code != 0
    assert said.strip()
    for path in (sparse(tmp_path / "a", b""), sparse(tmp_path / "b", cut(good)[0])):
        assert path.stat().st_size == GIB
        code, used_bytes, said = await peak(path)
        print(f"{path.name}: {used_bytes / 1e6:.0f} MB, {usual_bytes / 1e6:.0f} MB for 100 bytes")
        assert code != 0
        assert len(said.strip().splitlines()) == 1, "one sentence and no traceback"
        assert used_bytes < usual_bytes + 2 * BYTES_MAX
    await pair.open("alice")
    await pair.serves()
