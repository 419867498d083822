"""Who gets through a handshake, who does not, and what the contexts refuse to do."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from meshnode.errors import HandshakeError, LinkError
from meshnode.links.tls import Secured, TLSContexts, TLSFiles, make_contexts, secure
from protocol.guards import CONTROL_GRACE_MS
from protocol.limits import BADGE_LIFE_MS
from tests.meshnode.links.parts import DAY_MS, NOW_MS, Authority, network, outsiders, pem

Outcome = Secured | HandshakeError


async def handshake(
    client: TLSContexts, server: TLSContexts, *, now_ms: int = NOW_MS
) -> tuple[Outcome, Outcome]:
    """Return what each end got; a client may believe in a link that its server refused (F7)."""
    near, far = memory_stream_pair()
    outcomes: dict[bool, Outcome] = {}

    async def one(stream: trio.abc.Stream, contexts: TLSContexts, server_side: bool) -> None:
        try:
            outcomes[server_side] = await secure(
                stream, contexts, server_side=server_side, now_ms=now_ms
            )
        except HandshakeError as error:
            outcomes[server_side] = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, near, client, False)
        nursery.start_soon(one, far, server, True)
    return outcomes[False], outcomes[True]


async def test_both_ends_learn_the_certificate_of_the_other() -> None:
    ours, theirs = network().contexts(), network().contexts()
    client, server = await handshake(ours, theirs)
    assert isinstance(client, Secured)
    assert isinstance(server, Secured)
    assert client.peer_certificate == theirs.certificate
    assert server.peer_certificate == ours.certificate
    assert client.stream.version() == "TLSv1.3"
    assert client.stream.selected_alpn_protocol() is None
    await client.stream.send_all(b"hello")
    assert await server.stream.receive_some(10) == b"hello"


async def test_a_second_link_never_resumes_the_first() -> None:
    ours, theirs = network().contexts(), network().contexts()
    for _ in range(2):
        client, server = await handshake(ours, theirs)
        assert isinstance(server, Secured)
        assert isinstance(client, Secured)
        assert not server.stream.session_reused


async def test_a_device_of_another_network_is_refused_and_its_socket_closed() -> None:
    client, server = await handshake(outsiders().contexts(), network().contexts())
    assert isinstance(client, HandshakeError)
    assert isinstance(server, HandshakeError)


async def test_a_server_of_another_network_is_refused() -> None:
    client, _server = await handshake(network().contexts(), outsiders().contexts())
    assert isinstance(client, HandshakeError)
    assert "certificate" in str(client)


async def test_a_client_without_certificate_is_refused() -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        probe = trio.SSLStream(near, bare, https_compatible=True)
        nursery.start_soon(probe.do_handshake)
        with pytest.raises(HandshakeError):
            await secure(far, network().contexts(), server_side=True, now_ms=NOW_MS)
    assert await probe.receive_some(1) == b""


async def test_tls_12_is_refused() -> None:
    old = network().contexts()
    old.client.minimum_version = ssl.TLSVersion.TLSv1_2
    old.client.maximum_version = ssl.TLSVersion.TLSv1_2
    client, server = await handshake(old, network().contexts())
    assert isinstance(client, HandshakeError)
    assert isinstance(server, HandshakeError)


@pytest.mark.parametrize("days", [-2, (BADGE_LIFE_MS + CONTROL_GRACE_MS) // DAY_MS + 1])
async def test_our_clock_judges_dates(days: int) -> None:
    ours, theirs = network().contexts(), network().contexts()
    client, _server = await handshake(ours, theirs, now_ms=NOW_MS + days * DAY_MS)
    assert isinstance(client, HandshakeError)
    assert "valid" in str(client)


async def test_a_certificate_that_ended_lately_is_let_through_and_tells_its_end() -> None:
    ours, theirs = network().contexts(), network().contexts()
    late_ms = NOW_MS + BADGE_LIFE_MS + CONTROL_GRACE_MS - DAY_MS
    client, server = await handshake(ours, theirs, now_ms=late_ms)
    for end in (client, server):
        assert isinstance(end, Secured)
        assert end.peer_not_after_ms == NOW_MS + BADGE_LIFE_MS


async def test_a_date_in_range_is_fine_whatever_the_machine_says() -> None:
    far_future = Authority(NOW_MS + 50 * 365 * DAY_MS)
    contexts = far_future.contexts(now_ms=NOW_MS + 50 * 365 * DAY_MS)
    client, server = await handshake(contexts, contexts, now_ms=NOW_MS + 50 * 365 * DAY_MS)
    assert isinstance(client, Secured)
    assert isinstance(server, Secured)


async def test_garbage_ends_the_handshake() -> None:
    near, far = memory_stream_pair()
    await near.send_all(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(HandshakeError):
        await secure(far, network().contexts(), server_side=True, now_ms=NOW_MS)
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(b"more")


async def test_an_early_end_ends_the_handshake() -> None:
    near, far = memory_stream_pair()
    await near.aclose()
    with pytest.raises(HandshakeError, match="closed the connection"):
        await secure(far, network().contexts(), server_side=True, now_ms=NOW_MS)


async def test_a_silent_peer_is_given_five_seconds(autojump_clock: trio.abc.Clock) -> None:
    near, far = memory_stream_pair()
    started_s = trio.current_time()
    with pytest.raises(HandshakeError, match="5 s"):
        await secure(far, network().contexts(), server_side=True, now_ms=NOW_MS)
    assert trio.current_time() - started_s == 5
    assert await near.receive_some(10) == b""


async def test_cancelling_closes_the_stream() -> None:
    near, far = memory_stream_pair()
    with trio.move_on_after(0.01):
        await secure(far, network().contexts(), server_side=True, now_ms=NOW_MS)
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(b"more")


# --- files -------------------------------------------------------------------------------------


def test_home_layout(tmp_path: Path) -> None:
    files = TLSFiles.in_home(tmp_path)
    assert files.key == tmp_path / "keys" / "link.pem"
    assert files.chain == tmp_path / "identity" / "link-chain.pem"
    assert files.anchors is None
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "anchors.pem").touch()
    assert TLSFiles.in_home(tmp_path).anchors == tmp_path / "identity" / "anchors.pem"


def test_anchors_from_a_file(tmp_path: Path) -> None:
    files = network().device(tmp_path)
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(pem(network().root.certificate))
    contexts = make_contexts(TLSFiles(files.key, files.chain, anchors))
    client, server = contexts
    assert client.get_ca_certs(binary_form=True) == [network().root.certificate]
    assert server.num_tickets == 0
    assert not client.check_hostname


def test_an_encrypted_key_opens_with_its_password_only(tmp_path: Path) -> None:
    files = network().device(tmp_path, password=b"correct horse")
    make_contexts(files, [network().root.certificate])
    assert "horse" not in repr(files)
    with pytest.raises(LinkError):
        make_contexts(TLSFiles(files.key, files.chain), [network().root.certificate])


def test_without_an_anchor_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="root certificate"):
        make_contexts(network().device(tmp_path))


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nnope\n"])
def test_a_broken_chain_file_is_a_clear_error(tmp_path: Path, content: str) -> None:
    files = network().device(tmp_path)
    files.chain.write_text(content)
    with pytest.raises(LinkError, match="cannot be loaded"):
        make_contexts(files, [network().root.certificate])


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be loaded"):
        make_contexts(TLSFiles.in_home(tmp_path), [network().root.certificate])
