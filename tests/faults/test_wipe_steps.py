"""Kill -9 at every write of a wipe, and a disk that fails at every change of it.

It has not begun, or the next start carries it through; and where the disk is full the keys are
destroyed in that very run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import trio

from meshnode.api import Api
from meshnode.client import open_api
from meshnode.enrol import LinkSecret, badge_key
from meshnode.erasing import HomeState, destroy_agent, destroy_device, finish, state_of
from meshnode.errors import WipedError
from meshnode.events import Events
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.remnant import Remnant, RemnantFiles
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.store import keyring
from meshnode.store.engine import open_store
from meshnode.store.keyring import KeyPurpose
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import DataKind, Tier
from protocol import authority
from protocol.orders import WipeLevel
from tests.faults.dying import Moment, deaths, in_the_database
from tests.faults.failing import FAILURES, Disk, Fate, fail_from_now, fate_of
from tests.meshnode.enrolling import SECRET
from tests.security.orders import Centre, centre_of, enrol_phone
from tests.security.parts import SETTINGS, SQUAD, ZONE, Town, make_town

pytestmark = [pytest.mark.slow, pytest.mark.real]

TEXT = "the lorry crosses at dawn by the old mule track"
RUNTIME = system_runtime()


@dataclass(frozen=True, slots=True)
class Stolen:
    """A phone with an order in its store, and what must not be found in it afterwards."""

    town: Town
    """Where it is from."""
    home: Path
    """The phone's, locked."""
    agent_home: Path
    """The same with an order of level AGENT."""
    plain_home: Path
    """The same without an order."""
    secrets: tuple[bytes, ...]
    """Texts, names and keys."""
    agent_secrets: tuple[bytes, ...]
    """Those of them that only the agent could open."""


@pytest.fixture(scope="module")
def stolen(tmp_path_factory: pytest.TempPathFactory) -> Stolen:
    town = make_town(tmp_path_factory.mktemp("town"))
    return trio.run(_stolen, town)


async def _stolen(town: Town) -> Stolen:
    centre = centre_of(town)
    home = await enrol_phone(town, "phone", [centre.root.raw])
    async with open_home(home, SETTINGS, RUNTIME, secret=SECRET) as node:
        sent = await Api(node).send(f"squad:{SQUAD}", TEXT)
        assert sent["recipients"]
        await node.settle()
        keys = await node.store.read(
            lambda conn: [
                key
                for purpose in KeyPurpose
                # With those of the weeks the remnant knocks.
                if purpose is not KeyPurpose.KNOCK
                for key in keyring.network_keys(conn, purpose).values()
            ]
        )
        prekey = await node.store.read(keyring.newest_own_prekey)
        assert prekey is not None
        node_id = node.identity.node
    store = KeyStore.open(home)
    vault = store.unlocked_vault(SECRET)
    own = (badge_key(home, vault).private_bytes_raw(), store.agent_master(SECRET))
    agent_home = Path(shutil.copytree(home, town.home("phone of an agent")))
    plain_home = Path(shutil.copytree(home, town.home("phone without an order")))
    for place, level in ((home, WipeLevel.ALL), (agent_home, WipeLevel.AGENT)):
        await _order(centre, place, node_id, level)
    names = (SQUAD.encode(), b"alice", b"mallory", "Briançon".encode())
    agent_only = (TEXT.encode(), *own)
    secrets = (*agent_only, *names, *keys)
    return Stolen(town, home, agent_home, plain_home, secrets, agent_only)


async def _order(centre: Centre, home: Path, node: bytes, level: WipeLevel) -> None:
    """Put an order into the store of a home and obey it not: the power fails just then."""
    vault = KeyStore.open(home).open_vault()
    async with open_store(home / "store.sqlite", RUNTIME, vault=vault) as store:
        membership = await Membership.load(store, RUNTIME, Events(), Metrics(), ZONE)
        assert await membership.accept([centre.wipe([node], level=level).raw]) == 1


# --- one process, and how it dies ----------------------------------------------------------------


async def _start(home: Path) -> bool:
    """Start as any command does; True if the home can still be used."""
    try:
        async with open_home(home, SETTINGS, RUNTIME) as node:
            return bool(node.membership.versions)
    except WipedError:
        return False


def _live(home: Path) -> None:
    trio.run(_start, home)


def _end(home: Path) -> None:
    """What follows once somebody has the proof."""
    RemnantFiles(home).erase()
    finish(home, RUNTIME)


def _contents(home: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def _found(home: Path, secrets: Sequence[bytes]) -> list[bytes]:
    contents = _contents(home)
    return [each for each in secrets if each in contents]


def _opens(home: Path) -> bool:
    """True if the right secret opens the agent's keys."""
    try:
        return bool(KeyStore.open(home).unlocked_vault(SECRET))
    except WipedError:
        return False


def _check_remnant(stolen: Stolen, home: Path) -> None:
    """The proof holds for everybody who has the order, and the link key opens."""
    remnant = RemnantFiles(home).read()
    assert isinstance(remnant, Remnant)
    root, order, proof = map(authority.decode_untrusted, remnant.documents)
    body = authority.decode_root_untrusted(root.body)
    assert authority.decide(None, order, body)
    assert authority.decide(None, proof, body)
    assert proof.scope == order.scope + remnant.node
    assert LinkSecret(RemnantFiles(home).link_key, remnant.password).open()
    kept = {"remnant/record", "remnant/link.pem", "remnant/link-chain.pem"}
    assert _left(home) == {"keys/wiped", "lock", *kept}


def _left(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


# --- killed ---------------------------------------------------------------------------------------


def test_a_killed_wipe_of_everything_is_carried_through_at_the_next_start(
    stolen: Stolen, tmp_path: Path
) -> None:
    assert _found(stolen.home, [b"alice"]) == [], "names are sealed before, too"
    before = set()
    for home, _is_done in deaths(tmp_path, stolen.home, _live, 40, in_the_database):
        state = state_of(home, RUNTIME)
        before.add(state)
        if state is HomeState.UNTOUCHED:
            assert _opens(home), "nothing is destroyed before the proof is durable"
        assert not trio.run(_start, home)
        assert state_of(home, RUNTIME) is HomeState.REMNANT
        assert not _opens(home)
        assert _found(home, stolen.secrets) == []
        _check_remnant(stolen, home)
        assert not trio.run(_start, home), "and again: no second effect"
    assert before == {HomeState.UNTOUCHED, HomeState.BEGUN, HomeState.REMNANT}


def test_a_killed_wipe_of_the_agent_is_carried_through_and_the_device_goes_on(
    stolen: Stolen, tmp_path: Path
) -> None:
    before = set()
    for home, _is_done in deaths(tmp_path, stolen.agent_home, _live, 20, in_the_database):
        is_begun = KeyStore(home, RUNTIME).is_destroyed(Tier.AGENT)
        before.add(is_begun)
        assert _opens(home) is not is_begun
        assert trio.run(_start, home)
        assert not _opens(home)
        assert _found(home, stolen.agent_secrets) == []
        trio.run(_check_carrier, home)
    assert before == {False, True}


async def _check_carrier(home: Path) -> None:
    """The device carries, its proof among the rest, and nothing of the agent is left."""
    async with open_home(home, SETTINGS, RUNTIME) as node:
        own = node.identity.node
        assert node.membership.trust.erasures() == {(b"order-01", own)}
        assert node.metrics.value("wipes_executed") == 0, "once is enough"
        counts = await node.store.read(
            lambda conn: [
                conn.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar()
                for name in ("message", "recipient", "ledger", "own_prekey", "sending_chain")
            ]
        )
        assert counts == [0] * 5
        kinds = await node.store.read(
            lambda conn: conn.exec_driver_sql("SELECT kind FROM data_key").scalars().all()
        )
        assert {DataKind(kind).tier for kind in kinds} == {Tier.DEVICE}
        with pytest.raises(WipedError):
            _ = node.outbox


def test_the_end_of_a_remnant_may_be_killed_too(stolen: Stolen, tmp_path: Path) -> None:
    base = Path(shutil.copytree(stolen.home, tmp_path / "base"))
    assert not trio.run(_start, base)
    before = set()
    for home, _is_done in deaths(tmp_path, base, _end, 6, in_the_database):
        state = state_of(home, RUNTIME)
        before.add(state)
        if state is HomeState.REMNANT:
            # Whole, and delivered once more, or zeros, and given up: somebody has the proof.
            _end(home)
        assert not trio.run(_start, home)
        assert _left(home) == {"keys/wiped", "lock"}
    assert before == {HomeState.REMNANT, HomeState.OVER}


# --- on a failing disk ---------------------------------------------------------------------------

FULL = (Disk.FULL, Disk.FULL_COPYING)
KEY_FILES = {"agent": ("tier1",), "all": ("tier1", "tier0", "device")}


def _failures(
    tmp_path: Path, base: Path, disk: Disk, work: Callable[[Path], object], steps_min: int
) -> Iterator[tuple[Path, Fate]]:
    """Yield a home for each step at which its disk failed, the last one unharmed."""
    for step in count(1):
        home = Path(shutil.copytree(base, tmp_path / f"step {step}"))
        fate = fate_of(disk, step, partial(work, home))
        yield home, fate
        shutil.rmtree(home)
        if fate is Fate.UNHARMED:
            assert step > steps_min, "the work has many steps, and each was the last"
            return


def _wrapped_keys(home: Path, level: str) -> list[bytes]:
    """Return what of the key files is worth something."""
    return [(home / "keys" / name).read_bytes()[-32:] for name in KEY_FILES[level]]


def _wipe(home: Path, level: str) -> None:
    """Ask the node for it, as `meshnode wipe` does."""

    async def ask() -> None:
        async with open_api(home, RUNTIME, SETTINGS) as api:
            await api.wipe(level)

    with suppress(WipedError):
        trio.run(ask)


@pytest.mark.parametrize("disk", Disk)
def test_an_order_for_everything_is_carried_through_on_a_failing_disk(
    stolen: Stolen, tmp_path: Path, disk: Disk
) -> None:
    keys = _wrapped_keys(stolen.home, "all")
    states = set()
    for home, fate in _failures(tmp_path, stolen.home, disk, _live, 3 if disk in FULL else 15):
        if disk in FULL:
            assert not _opens(home), "it is destroyed at once, whatever there is no room for"
            assert _found(home, keys) == []
        elif state_of(home, RUNTIME) is HomeState.UNTOUCHED:
            assert fate is Fate.FAILED
            assert _opens(home)
        assert not trio.run(_start, home), "with a good disk"
        assert not _opens(home)
        assert _found(home, [*stolen.secrets, *keys]) == []
        states.add(state_of(home, RUNTIME))
        if state_of(home, RUNTIME) is HomeState.REMNANT:
            _check_remnant(stolen, home)
        else:
            # There was no room for the proof.
            assert _left(home) == {"keys/wiped", "lock"}
        assert not trio.run(_start, home), "and again: no second effect"
    assert HomeState.REMNANT in states
    assert states <= {HomeState.REMNANT, HomeState.OVER}


@pytest.mark.parametrize("disk", Disk)
def test_an_order_for_the_agent_is_carried_through_on_a_failing_disk(
    stolen: Stolen, tmp_path: Path, disk: Disk
) -> None:
    keys, base = _wrapped_keys(stolen.agent_home, "agent"), stolen.agent_home
    for home, fate in _failures(tmp_path, base, disk, _live, 3 if disk in FULL else 10):
        if disk in FULL:
            assert not _opens(home)
            assert _found(home, keys) == []
        elif not KeyStore(home, RUNTIME).is_destroyed(Tier.AGENT):
            assert fate is Fate.FAILED
            assert _opens(home)
        assert trio.run(_start, home), "with a good disk"
        assert not _opens(home)
        assert _found(home, [*stolen.agent_secrets, *keys]) == []
        trio.run(_check_carrier, home)


@pytest.mark.parametrize("disk", FULL)
def test_a_killed_wipe_on_a_full_disk_is_carried_through_at_the_next_start(
    stolen: Stolen, tmp_path: Path, disk: Disk
) -> None:
    def full(moment: Moment) -> None:
        # The power fails before a change is asked for, whatever the disk would say to it.
        in_the_database(moment)
        fail_from_now(disk)

    def live(home: Path) -> None:
        with suppress(*FAILURES):
            _live(home)

    keys, before = _wrapped_keys(stolen.home, "all"), set()
    for home, _is_done in deaths(tmp_path, stolen.home, live, 10, full):
        before.add(_opens(home))
        assert not trio.run(_start, home)
        assert not _opens(home)
        assert state_of(home, RUNTIME) in (HomeState.REMNANT, HomeState.OVER)
        assert _found(home, [*stolen.secrets, *keys]) == []
        assert not [name for name in _left(home) if name.endswith(".gone")]
    assert before == {False, True}


@pytest.mark.parametrize("level", KEY_FILES)
@pytest.mark.parametrize("disk", [*FULL, Disk.BAD])
def test_whoever_holds_the_device_destroys_its_keys_on_a_failing_disk(
    stolen: Stolen, tmp_path: Path, disk: Disk, level: str
) -> None:
    base, is_all = stolen.plain_home, level == "all"
    keys = _wrapped_keys(base, level)
    secrets = stolen.secrets if is_all else stolen.agent_secrets
    for home, fate in _failures(tmp_path, base, disk, partial(_wipe, level=level), 3):
        if disk in FULL:
            assert not _opens(home)
            assert _found(home, keys) == []
        is_usable = trio.run(_start, home)
        if _opens(home) or (is_all and is_usable):
            # Not written down where nothing can be written: the rest is asked for again.
            assert fate is Fate.FAILED, "whoever asked was told"
            _wipe(home, level)
            is_usable = trio.run(_start, home)
        assert is_usable is not is_all
        assert not _opens(home)
        assert _found(home, [*secrets, *keys]) == []


@pytest.mark.parametrize("disk", Disk)
@pytest.mark.parametrize("destroy", [destroy_agent, destroy_device])
def test_the_files_of_keys_go_whatever_fails_on_the_way(
    stolen: Stolen, tmp_path: Path, disk: Disk, destroy: Callable[..., None]
) -> None:
    level = "all" if destroy is destroy_device else "agent"
    keys = _wrapped_keys(stolen.home, level)

    def work(home: Path) -> None:
        destroy(home, RUNTIME)

    for home, fate in _failures(tmp_path, stolen.home, disk, work, 1):
        if disk in (*FULL, Disk.BAD_ONCE):
            assert KeyStore(home, RUNTIME).is_wiped
            assert _found(home, keys) == []
        if not KeyStore(home, RUNTIME).is_wiped:
            assert fate is Fate.FAILED
        work(home)
        assert _found(home, keys) == []
        assert KeyStore(home, RUNTIME).is_destroyed(Tier.DEVICE) is (level == "all")
        left = {path.name for path in (home / "keys").iterdir()}
        assert "wiped" in left
        assert not {name for name in left if name.startswith(("tier1", ".tier1"))}


def test_a_lost_file_of_the_agents_keys_erases_nothing_and_stops_no_order(
    stolen: Stolen, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(stolen.plain_home, tmp_path / "plain"))
    lost = (home / "keys" / "tier1").rename(tmp_path / "tier1")
    for _restart in range(2):
        assert trio.run(_start, home), "it carries, as a locked one"
    lost.rename(home / "keys" / "tier1")
    assert trio.run(_texts, home) == [TEXT]
    home = Path(shutil.copytree(stolen.home, tmp_path / "ordered"))
    (home / "keys" / "tier1").unlink()
    assert not trio.run(_start, home)
    assert _found(home, stolen.secrets) == []
    _check_remnant(stolen, home)


async def _texts(home: Path) -> list[str]:
    async with open_home(home, SETTINGS, RUNTIME, secret=SECRET) as node:
        return [each["text"] for each in await Api(node).outgoing()]
