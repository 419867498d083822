"""Mutual TLS 1.3 between opaque link certificates: contexts, handshake, the peer's certificate.

Only `ssl` is used here, and only here. The contexts are our own: the library's default one obeys
SSLKEYLOGFILE and trusts the public web. Source: security 2.3 and its findings F4-F10.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from meshnode.errors import HandshakeError, LinkError
from protocol.errors import IdentityError, RemoteProtocolError
from protocol.guards import CONTROL_GRACE_MS
from protocol.identity import check_dates, link_dates_untrusted
from protocol.limits import HANDSHAKE_MS_MAX

__all__ = ["Secured", "TLSContexts", "TLSFiles", "make_contexts", "secure"]

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: only our clock judges dates, and it can be simulated (F5)."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Where OpenSSL finds what it loads from files only (F4)."""

    key: Path
    """Private link key, PKCS#8 PEM."""
    chain: Path
    """Link certificate, then its issuers, PEM."""
    anchors: Path | None = None
    """Root certificates, PEM; None where they are given as DER."""
    password: bytes = field(default=b"", repr=False)
    """Opens an encrypted key."""

    @classmethod
    def in_home(cls, home: Path, password: bytes = b"") -> TLSFiles:
        """Return where a node keeps them; `password` opens its link key."""
        identity = home / "identity"
        anchors = identity / "anchors.pem"
        return cls(
            home / "keys" / "link.pem",
            identity / "link-chain.pem",
            anchors if anchors.exists() else None,
            password,
        )


@dataclass(frozen=True, slots=True)
class TLSContexts:
    """Both roles of one node."""

    client: ssl.SSLContext
    """For links that we dial."""
    server: ssl.SSLContext
    """For links dialled to us."""
    certificate: bytes
    """Our link certificate, DER."""

    def __iter__(self) -> Iterator[ssl.SSLContext]:
        """Yield client, then server."""
        yield self.client
        yield self.server


@dataclass(frozen=True, slots=True)
class Secured:
    """A stream after its handshake."""

    stream: trio.SSLStream[trio.abc.Stream]
    """Carries data only; identity is proven."""
    peer_certificate: bytes
    """DER; traced to an anchor, and ended so lately at most that documents may still go to it."""
    peer_not_after_ms: int
    """Until when it is valid, Unix milliseconds."""


def make_contexts(files: TLSFiles, anchors: Sequence[bytes] = ()) -> TLSContexts:
    """Return contexts that show our link certificate and trust `anchors` (DER) and the file's.

    Raises: LinkError if a file is missing or not what it should be.
    """
    try:
        certificate = _first_certificate(files.chain)
        client = _context(ssl.PROTOCOL_TLS_CLIENT, files, anchors)
        server = _context(ssl.PROTOCOL_TLS_SERVER, files, anchors)
    except (OSError, ValueError) as error:
        # ssl.SSLError is an OSError; its text names neither key nor password.
        raise LinkError(f"the link key or certificate cannot be loaded: {error}") from error
    server.num_tickets = 0  # A ticket would open a second session without the certificate (F9).
    return TLSContexts(client, server, certificate)


def _first_certificate(chain: Path) -> bytes:
    text = chain.read_text("ascii")
    end_line = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[: text.index(end_line) + len(end_line)])


def _context(protocol: int, files: TLSFiles, anchors: Sequence[bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    # A password is always given: without one OpenSSL would ask on the terminal.
    context.load_cert_chain(files.chain, files.key, password=files.password)
    if files.anchors is not None:
        context.load_verify_locations(cafile=files.anchors)
    if anchors:
        context.load_verify_locations(cadata=b"".join(anchors))
    if not context.get_ca_certs(binary_form=True):
        raise ValueError("no root certificate is trusted")
    return context


async def secure(
    stream: trio.abc.Stream,
    contexts: TLSContexts,
    *,
    server_side: bool,
    now_ms: int,
    within_ms: int = HANDSHAKE_MS_MAX,
) -> Secured:
    """Return `stream` under TLS, with the peer's certificate; closes it if that fails.

    In TLS 1.3 the dialling end returns before the other has judged its certificate: only the
    first answer of the session proves that it was accepted (F7).
    Raises: HandshakeError, at the latest after `within_ms` milliseconds.
    """
    context = contexts.server if server_side else contexts.client
    tls = trio.SSLStream(stream, context, server_side=server_side, https_compatible=True)
    try:
        with trio.fail_after(within_ms / 1000):
            await tls.do_handshake()
        return Secured(tls, *_peer_certificate_untrusted(tls, now_ms))
    except trio.TooSlowError as error:
        raise await _refused(stream, f"no handshake within {within_ms // 1000} s") from error
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise await _refused(stream, _reason(error)) from error
    except (IdentityError, RemoteProtocolError) as error:
        raise await _refused(stream, str(error)) from error
    except trio.Cancelled:
        await trio.aclose_forcefully(stream)
        raise


async def _refused(stream: trio.abc.Stream, reason: str) -> HandshakeError:
    """Close at once and say why: trio neither sends the alert nor closes (F8)."""
    await trio.aclose_forcefully(stream)
    return HandshakeError(f"TLS failed: {reason}")


def _reason(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return cause.reason or "the peer speaks something else"
    return "the peer closed the connection"


def _peer_certificate_untrusted(
    tls: trio.SSLStream[trio.abc.Stream], now_ms: int
) -> tuple[bytes, int]:
    """Return the leaf that TLS authenticated, and its end, after a look at its dates.

    The dates of its issuers are judged with the badge, which comes from the same authority; so is
    one that ended lately, whose peer still gets authority documents.
    Raises: MalformedError, LimitExceededError, ExpiredError.
    """
    certificate = tls.getpeercert(binary_form=True)
    assert isinstance(certificate, bytes), "CERT_REQUIRED lets nobody through without one"
    start_ms, end_ms = link_dates_untrusted(certificate)
    check_dates(start_ms, end_ms + CONTROL_GRACE_MS, now_ms)
    return certificate, end_ms
