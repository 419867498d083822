"""Where a machine is, told by the kernel's tables, and who is woken when that changes."""

from __future__ import annotations

import ipaddress
import socket
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.discovery.addresses import AddressWatch, LocalAddress, Surroundings, look_around
from meshnode.runtime import system_runtime
from protocol.limits import ADDRESS_POLL_MS
from tests.meshnode.discovery.parts import AWAY, HOME, Machine
from tests.patience import HANGS_S

POLL_S = ADDRESS_POLL_MS / 1000
PORT_BOX = Surroundings(
    (
        LocalAddress("127.0.0.1", 8, 1),
        LocalAddress("10.0.0.5", 24, 2),
        LocalAddress("2001:db8::5", 64, 2),
        LocalAddress("fe80::5", 64, 2),
    )
)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "10.0.0.255", "127.0.0.1", "2001:db8::1", "fe80::1%2", "fe80::5%2"]
)
def test_neighbours_are_on_link(host: str) -> None:
    assert PORT_BOX.is_on_link(host)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.1.1",
        "8.8.8.8",
        "0.0.0.0",
        "224.0.0.251",
        "255.255.255.255",
        "2001:db8:1::1",
        "2001:db8::1%2",
        "::",
        "ff02::1%2",
        "fe80::1",
        "fe80::1%3",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "::1",
        "boat.local",
        "",
        "10.0.0.1:25",
        "10.0.0.1\n",
        "١٠.0.0.1",
    ],
)
def test_others_are_not(host: str) -> None:
    assert not PORT_BOX.is_on_link(host)


@given(st.text(max_size=40) | st.ip_addresses().map(str))
def test_any_text_is_on_link_or_not(host: str) -> None:
    if PORT_BOX.is_on_link(host):
        ip = ipaddress.ip_address(host)
        assert any(
            ip.version == own.version and ip in own.network
            for own in (
                ipaddress.ip_interface(f"{each.ip}/{each.prefix_bits}")
                for each in PORT_BOX.addresses
            )
        )


def test_nothing_is_on_link_without_addresses() -> None:
    assert not Surroundings().is_on_link("127.0.0.1")
    assert not Surroundings().is_on_link("fe80::1%2")


# --- the kernel's tables ---------------------------------------------------------------------


def kernel_number(ip: str) -> str:
    return f"{int.from_bytes(ipaddress.ip_address(ip).packed, sys.byteorder):08X}"


def route4(gateway: str, *, target: str = "0.0.0.0", mask: str = "0.0.0.0", flags: int = 3) -> str:
    numbers = [kernel_number(target), kernel_number(gateway), f"{flags:04X}", "0", "0", "0"]
    return "\t".join(["eth0", *numbers, kernel_number(mask), "0", "0", "0"])


def route6(gateway: str, *, target: str = "::", bits: int = 0, flags: int = 3) -> str:
    packed = [ipaddress.ip_address(ip).packed.hex() for ip in (target, "::", gateway)]
    return f"{packed[0]} {bits:02x} {packed[1]} 00 {packed[2]} 0400 01 00 {flags:08x} wlan0"


def tables(folder: Path, route: str | None = None, route_6: str | None = None) -> Path:
    (folder / "net").mkdir(exist_ok=True)
    for name, text in (("route", route), ("ipv6_route", route_6)):
        if text is not None:
            (folder / "net" / name).write_text(text)
    return folder


def gateways(folder: Path) -> tuple[str, ...]:
    return look_around(folder, folder / "none").gateways


def test_gateways_are_read_from_both_tables(tmp_path: Path) -> None:
    lines = [
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT",
        route4("192.168.43.1"),
        route4("0.0.0.0"),
        route4("192.168.43.9", target="10.0.0.0", mask="255.0.0.0"),
        route4("192.168.43.8", flags=1),
        route4("192.168.43.1"),
    ]
    lines_6 = [
        route6("fe80::1"),
        route6("2001:db8::1"),
        route6("::"),
        route6("fe80::2", target="2001:db8::", bits=64),
        route6("fe80::3", flags=1),
    ]
    tables(tmp_path, "\n".join(lines), "\n".join(lines_6))
    assert gateways(tmp_path) == ("192.168.43.1", "fe80::1%wlan0", "2001:db8::1")


def test_a_table_that_may_not_be_read_is_guessed(tmp_path: Path) -> None:
    guesses = gateways(tmp_path)
    for guess in guesses:
        ip = ipaddress.IPv4Address(guess)
        assert ip.is_private
        assert not ip.is_loopback
    assert gateways(tables(tmp_path, "")) == ()


@pytest.mark.slow
@given(st.text(max_size=300), st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_gives_addresses_only(tmp_path: Path, route: str, route_6: str) -> None:
    for gateway in gateways(tables(tmp_path, route, route_6)):
        ipaddress.ip_address(gateway.partition("%")[0])


@pytest.mark.slow
@given(
    st.lists(
        st.text("0123456789abcdefABCDEF", max_size=34) | st.sampled_from(["00000000", "0003"]),
        max_size=12,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_numbers_give_addresses_only(tmp_path: Path, fields: list[str]) -> None:
    line = " ".join(fields)
    for gateway in gateways(tables(tmp_path, line, line)):
        ipaddress.ip_address(gateway.partition("%")[0])


def test_a_lost_carrier_and_a_finished_check_leave_marks(tmp_path: Path) -> None:
    card = tmp_path / "class/net/wlan0"
    card.mkdir(parents=True)
    (card / "carrier_changes").write_text("2\n")
    (tables(tmp_path) / "net/if_inet6").write_text("fe80 02 40 20 40 wlan0\n")
    before = look_around(tmp_path, tmp_path)
    assert before == look_around(tmp_path, tmp_path)
    (card / "carrier_changes").write_text("4\n")
    after = look_around(tmp_path, tmp_path)
    assert after != before
    (tmp_path / "net/if_inet6").write_text("fe80 02 40 20 00 wlan0\n")
    assert look_around(tmp_path, tmp_path) != after


def test_this_machine_has_addresses() -> None:
    seen = look_around()
    assert "127.0.0.1" in seen.hosts
    assert all("%" not in host for host in seen.hosts)
    assert any(each.is_loopback for each in seen.addresses)
    assert seen.is_on_link("127.0.0.1")


# --- the watch -------------------------------------------------------------------------------


@pytest.fixture
def without_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)


@pytest.mark.usefixtures("without_notices")
async def test_without_notices_it_looks_once_a_minute(autojump_clock: MockClock) -> None:
    machine = Machine()
    watch = AddressWatch(machine.runtime)
    told: list[Surroundings] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.tell, told.append)
        await nursery.start(watch.run)
        assert (watch.generation, watch.surroundings) == (1, HOME)
        await trio.sleep(POLL_S * 60 + 1)
        assert len(machine.looks) == 61
        assert watch.generation == 1
        machine.seen = AWAY
        at_s = trio.current_time()
        assert await watch.wait(1) == 2
        assert trio.current_time() - at_s <= POLL_S
        assert watch.surroundings == AWAY
        await wait_all_tasks_blocked()
        assert told == [AWAY]
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("without_notices")
async def test_everybody_who_waits_is_woken(autojump_clock: MockClock) -> None:
    machine = Machine()
    watch = AddressWatch(machine.runtime)
    woken: list[int] = []

    async def wait() -> None:
        woken.append(await watch.wait(0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await nursery.start(watch.run)
        await wait_all_tasks_blocked()
        assert woken == [1, 1]
        assert await watch.wait(0) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_the_first_look_of_a_real_watch_is_at_once() -> None:
    watch = AddressWatch(system_runtime())
    async with trio.open_nursery() as nursery:
        with trio.fail_after(HANGS_S):
            await nursery.start(watch.run)
        assert "127.0.0.1" in watch.surroundings.hosts
        nursery.cancel_scope.cancel()
