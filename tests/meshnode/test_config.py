"""Settings: every default works, every bound holds, every mistake is named."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.config import Settings, load_settings, read_settings, settings_table
from meshnode.errors import ConfigError


def test_an_empty_file_and_no_file_give_the_defaults(tmp_path: Path) -> None:
    assert read_settings(b"") == Settings() == load_settings(tmp_path)
    (tmp_path / "meshnode.toml").write_text("[store]\nbytes_max = 5_000_000\n")
    assert load_settings(tmp_path).store.bytes_max == 5_000_000


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "meshnode.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)


EVERY_SETTING = """
    [links]
    listen = ["127.0.0.1:0"]
    static = ["gateway.example:7625"]
    known_as = ["10.7.0.1:443"]
    serial = ["/dev/ttyUSB0@19200"]
    [discovery]
    mdns = false
    probe = false
    [store]
    bytes_max = 1_000_000
    [routing]
    policy = "epidemic"
    [sensors]
    position = ["gpsd"]
    battery = ["upower"]
    coverage = ["modemmanager"]
    interval_s = 5
    [plotter]
    send_to = ["192.168.4.20", "[ff02::1]:2000"]
    interval_s = 60
    mid = 201
    [budgets]
    bearers = ["wwan0 per=day bytes=10"]
    [gateway]
    database = "postgresql+psycopg://mesh@db.example/mesh"
    spool_bytes_max = 1_000_000
    auto_lock_s = 28_800
    [retention]
    positions = 30
    shifts = 31
    texts = 32
    sos = 33
    files = 34
    receipts = 35
    audit = 181
    [security]
    auto_lock_s = 60
    [web]
    listen = "0.0.0.0:8481"
    certificate = "web.pem"
    key = "web.key"
    names = ["codt.example"]
    insecure_lan = true
    [tak]
    server = ""
    authority = ""
    certificate = ""
    key = ""
    server_name = ""
    callsign = "CODT"
    send = ["position"]
    squads = []
    accept = []
    chat_to = ""
    interval_s = 10
    [trace]
    file = "trace.jsonl"
    """
"""One line for each setting, none at its default."""


def test_every_setting_can_be_written(tmp_path: Path) -> None:
    text = EVERY_SETTING
    found = read_settings(text.encode())
    assert found.links.listen == ("127.0.0.1:0",)
    assert found.links.static == ("gateway.example:7625",)
    assert found.links.known_as == ("10.7.0.1:443",)
    assert found.links.serial == ("/dev/ttyUSB0@19200",)
    assert (found.discovery.mdns, found.discovery.probe) == (False, False)
    assert (found.store.bytes_max, found.trace.file) == (1_000_000, "trace.jsonl")
    assert found.routing.policy == "epidemic"
    assert (found.security.auto_lock_s, found.gateway.auto_lock_s) == (60, 28_800)
    assert found.sensors.position == ("gpsd",)
    assert (found.sensors.battery, found.sensors.coverage) == (("upower",), ("modemmanager",))
    assert found.sensors.interval_s == 5
    assert [str(each) for each in found.plotter.addresses] == [
        "192.168.4.20:10110",
        "[ff02::1]:2000",
    ]
    assert (found.plotter.interval_s, found.plotter.mid) == (60, 201)
    written = {line.split("=")[0].strip() for line in text.splitlines() if "=" in line}
    assert {row.key.split(".")[1] for row in settings_table()} == written


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("x", "meshnode.toml", "is not TOML"),
        ("x = 1", "x", "is unknown; sections are"),
        ("links = 1", "links", "is a section"),
        ("[link]\n", "link", "is unknown"),
        ("[links]\nport = 1", "links.port", "is unknown; known are"),
        ("[links]\nlisten = 'x'", "links.listen", "is a list of texts"),
        ("[links]\nlisten = [1]", "links.listen", "is a list of texts"),
        ("[links]\nstatic = [" + "'a'," * 65 + "]", "links.static", "at most 64"),
        ("[plotter]\nsend_to = ['plotter:10110']", "plotter.send_to", "is no IP address"),
        ("[tak]\nserver = 'tls://tak.example'", "tak.authority", "is needed for a server"),
        ("[tak]\nserver = 'tcp://10.0.0.1:8087'", "tak.server", "nothing goes there unencrypted"),
        ("[tak]\nserver = 'tak.example:8089'", "tak.server", "begins with tls://"),
        ("[tak]\nserver = 'tls://:8089'", "tak.server", "is written as"),
        ("[tak]\nsend = ['places']", "tak.send", "knows position, battery"),
        ("[tak]\naccept = ['battery']", "tak.accept", "knows chat, position, sos"),
        ("[tak]\ncallsign = ' '", "tak.callsign", "is a name"),
        ("[plotter]\nsend_to = ['8.8.8.8']", "plotter.send_to", "of a boat's own network"),
        ("[plotter]\nsend_to = ['0.0.0.0']", "plotter.send_to", "of a boat's own network"),
        ("[plotter]\nsend_to = [" + "'10.0.0.1'," * 5 + "]", "plotter.send_to", "at most 4"),
        ("[plotter]\nmid = 200", "plotter.mid", "is between 201 and 775"),
        ("[discovery]\nmdns = 1", "discovery.mdns", "is true or false"),
        ("[store]\nbytes_max = true", "store.bytes_max", "is a whole number"),
        ("[store]\nbytes_max = 1e9", "store.bytes_max", "is a whole number"),
        ("[store]\nbytes_max = 999999", "store.bytes_max", "is between"),
        ("[store]\nbytes_max = 1000000000001", "store.bytes_max", "is between"),
        ("[trace]\nfile = 5", "trace.file", "is a text in quotes"),
        ("[routing]\npolicy = 'gossip'", "routing.policy", "is one of gain, epidemic, direct"),
    ],
)
def test_a_mistake_is_named(text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(text.encode())
    assert caught.value.key == key
    assert words in str(caught.value)


def test_bounds_are_taken_at_their_limits() -> None:
    for size in (1_000_000, 1_000_000_000_000):
        assert read_settings(f"[store]\nbytes_max = {size}".encode()).store.bytes_max == size
    full = "[links]\nstatic = [" + "'a'," * 64 + "]"
    assert len(read_settings(full.encode()).links.static) == 64
    assert read_settings(b"#" * 65_536) == Settings()
    with pytest.raises(ConfigError, match="bytes"):
        read_settings(b"#" * 65_537)


@given(st.binary(max_size=100))
def test_any_bytes_give_settings_or_the_named_error(raw: bytes) -> None:
    with suppress(ConfigError):
        assert isinstance(read_settings(raw), Settings)


def test_the_table_tells_all_and_settings_do_not_change() -> None:
    rows = list(settings_table())
    assert all(row.sentence.endswith(".") for row in rows)
    assert len({row.key for row in rows}) == len(rows)
    with pytest.raises(FrozenInstanceError):
        Settings().store.bytes_max = 1  # type: ignore[misc]
