"""The authority's side: certificates that both judges accept, and proofs of possession."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)
from cryptography.x509.oid import AttributeOID
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import (
    AuthenticationError,
    LimitExceededError,
    MalformedError,
    WeakKeyError,
)
from protocol.identity import (
    DeviceClass,
    Rights,
    Role,
    verify_badge_untrusted,
    verify_link_chain_untrusted,
)
from protocol.issuing import (
    issue_badge,
    issue_link,
    make_regional,
    make_request,
    make_root,
    public_key_der,
    read_request_untrusted,
)
from protocol.limits import CERTIFICATE_BYTES_MAX

NOW_MS = 1_800_000_000_000
TOKEN = b"token-01"
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
REQUEST = make_request(KEY, TOKEN)


def test_a_request_proves_its_key_for_one_challenge() -> None:
    assert read_request_untrusted(REQUEST, TOKEN) == PUBLIC
    with pytest.raises(AuthenticationError):
        read_request_untrusted(REQUEST, b"token-02")


def test_a_request_stays_small() -> None:
    assert len(REQUEST) <= 180


def test_every_changed_bit_of_a_request_is_refused() -> None:
    for bit in range(len(REQUEST) * 8):
        changed = bytearray(REQUEST)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedError, AuthenticationError, WeakKeyError)):
            read_request_untrusted(bytes(changed), TOKEN)


def test_a_request_of_another_kind_of_key_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, TOKEN.hex().encode())
    with pytest.raises(MalformedError):
        request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        read_request_untrusted(request, TOKEN)


def test_a_request_without_a_challenge_is_refused() -> None:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    with pytest.raises(MalformedError):
        read_request_untrusted(builder.sign(KEY, None).public_bytes(Encoding.DER), TOKEN)


def test_request_length_at_the_limit_and_above() -> None:
    with pytest.raises(MalformedError):
        read_request_untrusted(bytes(CERTIFICATE_BYTES_MAX), TOKEN)
    with pytest.raises(LimitExceededError):
        read_request_untrusted(bytes(CERTIFICATE_BYTES_MAX + 1), TOKEN)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_request(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        read_request_untrusted(raw, TOKEN)


def test_weak_keys_get_no_certificate() -> None:
    regional = make_regional(make_root(NOW_MS), 1, NOW_MS)
    rights = Rights(Role.AGENT, 1, (), DeviceClass.PHONE)
    for raw, error in ((bytes(32), WeakKeyError), (bytes(31), MalformedError)):
        with pytest.raises(error):
            issue_badge(regional, raw, rights, NOW_MS)
        with pytest.raises(error):
            issue_link(regional, raw, NOW_MS)


def test_keys_of_authorities_are_not_printed() -> None:
    root = make_root(NOW_MS)
    assert "key=" not in repr(root)
    assert "key=" not in repr(make_regional(root, 1, NOW_MS))


def test_the_root_key_has_a_der_form() -> None:
    root = make_root(NOW_MS)
    loaded = load_der_public_key(public_key_der(root.key.public_key()))
    assert loaded == root.key.public_key()


# --- two judges --------------------------------------------------------------------------------

ROOT = make_root(NOW_MS)
REGIONAL = make_regional(ROOT, 3, NOW_MS)
RIGHTS = Rights(Role.LEADER, 3, (), DeviceClass.TABLET)
BADGE = issue_badge(REGIONAL, PUBLIC, RIGHTS, NOW_MS)
LINK = issue_link(REGIONAL, PUBLIC, NOW_MS)


def test_what_is_issued_is_accepted() -> None:
    badge = verify_badge_untrusted(BADGE, [ROOT.certificate], NOW_MS)
    assert (badge.public_key, badge.role, badge.zone) == (PUBLIC, Role.LEADER, 3)
    assert verify_link_chain_untrusted(LINK, [ROOT.certificate], NOW_MS) == PUBLIC


def context(folder: Path, chain: Sequence[bytes], side: int) -> ssl.SSLContext:
    """Return a context that shows `chain` and trusts the root, as links use it."""
    folder.mkdir()
    pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in chain)
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (folder / "own.pem").write_text(pem + key)
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    made.verify_flags |= 0x200000  # do not look at dates: only our clock counts
    made.load_cert_chain(folder / "own.pem")
    made.load_verify_locations(cadata=ROOT.certificate)
    return made


def shake_hands(folder: Path, ours: Sequence[bytes], theirs: Sequence[bytes]) -> bytes:
    """Return the certificate that the server saw."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(folder / "client", ours, ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
        to_client, to_server
    )
    server = context(folder / "server", theirs, ssl.PROTOCOL_TLS_SERVER).wrap_bio(
        to_server, to_client, server_side=True
    )
    for _ in range(4):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    seen = server.getpeercert(binary_form=True)
    assert seen is not None
    return seen


def test_tls_takes_link_certificates_in_both_directions(tmp_path: Path) -> None:
    assert shake_hands(tmp_path, LINK, LINK) == LINK[0]


def test_tls_refuses_badges_in_both_directions(tmp_path: Path) -> None:
    for number, (ours, theirs) in enumerate(((BADGE, LINK), (LINK, BADGE))):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(tmp_path / str(number), ours, theirs)


def test_a_count_of_unused_bits_makes_no_second_form() -> None:
    # The library reads it and forgets it, so a signature that ends in a zero bit had two forms.
    challenge = bytes(8)
    seen = 0
    for number in range(1, 20):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        request = make_request(key, challenge)
        read_request_untrusted(request, challenge)
        if request[-1] & 1:
            continue
        seen += 1
        assert request[-65] == 0
        with pytest.raises(MalformedError):
            read_request_untrusted(request[:-65] + b"\1" + request[-64:], challenge)
    assert seen
