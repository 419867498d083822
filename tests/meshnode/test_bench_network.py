"""What the measurements write and carry: every bundle verifies, however many authors it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from meshnode.bench import network
from meshnode.runtime import system_runtime
from protocol import bundle as bundles


def test_a_load_beyond_the_share_of_one_author_has_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_OF_ONE_AUTHOR_MAX", 200)
    homes = trio.run(network.make_homes, tmp_path / "homes", 70, system_runtime())
    found = [bundles.decode_untrusted(raw) for raw in (*homes.warm_up, *homes.bundles)]
    assert (len(homes.warm_up), len(homes.bundles)) == (network.WARM_UP, 70)
    assert len({each.digest for each in found}) == network.WARM_UP + 70
    by_author = [each.header.author for each in found]
    assert {by_author.count(author) for author in homes.author_keys} == {200, 120}
    for each in found:
        bundles.verify(each, bundles.load_public_key(homes.author_keys[each.header.author]))
    assert not list((tmp_path / "homes").glob("author *")), "what only wrote is gone"
