"""The trial of a carrier can fail: with the right keys, or a text in a file, it does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from meshnode.client import open_api
from meshnode.config import Settings
from meshnode.demo.cast import CAST
from meshnode.demo.secrecy import Trial, opens, texts_in_files, try_to_read
from meshnode.demo.stage import enrol_all
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.store import bundles as rows
from protocol import bundle as bundles
from protocol.limits import Kind
from tests.meshnode.enrolling import SECRET

PRIVATE = "Le mot de passe est framboise"
GROUP = "Rassemblement à la croix"


@pytest.mark.slow
@pytest.mark.real
async def test_only_who_a_message_is_for_can_open_it(tmp_path: Path) -> None:
    runtime = system_runtime()
    await enrol_all(tmp_path, CAST, runtime, SECRET)
    async with open_api(tmp_path / "alice", runtime, secret=lambda: SECRET) as api:
        await api.send("bruno", PRIVATE)
        await api.send("squad:Queyras", GROUP)
    async with open_home(tmp_path / "alice", Settings(), runtime, secret=SECRET) as alice:
        kinds = (Kind.TEXT, Kind.CHAIN_KEYS)
        raws = await alice.store.read(
            lambda conn: [raw for kind in kinds for raw in rows.raws_of_kind(conn, kind)]
        )
    private = bundles.decode_untrusted(raws[0])
    opened = {}
    for name in ("bruno", "chloe", "vehicule"):
        async with open_home(tmp_path / name, Settings(), runtime, secret=SECRET) as node:
            await node.relay.receive(None, [(0, raw) for raw in raws])
            opened[name] = await node.store.read(partial(opens, bundle=private, node=node))
    assert opened == {"bruno": True, "chloe": False, "vehicule": False}

    secrets = [PRIVATE, GROUP]
    box = await try_to_read("vehicule", tmp_path / "vehicule", secrets, runtime, SECRET)
    assert box == Trial("vehicule", len(raws), 0, 0)
    assert box.is_blind
    author = await try_to_read("alice", tmp_path / "alice", secrets, runtime, SECRET)
    assert author == Trial("alice", 0, 0, 0), "what she wrote is sealed at rest"
    chloe = await try_to_read("chloe", tmp_path / "chloe", [PRIVATE], runtime, SECRET)
    assert (chloe.sealed, chloe.opened, chloe.leaked) == (1, 0, 0)


def test_texts_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a").write_bytes(b"\x00\xff" + PRIVATE.encode() + b"\x00")
    (tmp_path / "b").write_text(f"{GROUP}\n{PRIVATE}", encoding="utf-8")
    assert texts_in_files(tmp_path, [PRIVATE, GROUP, "never written"]) == 2
    assert texts_in_files(tmp_path, [PRIVATE.encode().hex()]) == 0
