"""No secret, text or position shows itself: not in a repr, a trace, a log, an error or a report.

First by reading the source: a field whose name or docstring speaks of such a thing has no repr, or
stands in the list below with the reason why it may. Then by looking: a squad writes, calls for
help, enrols and is attacked, and everything that the program says about it is searched for
everything that it must not say.
"""

from __future__ import annotations

import ast
import base64
import gc
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from meshnode.api import Api
from meshnode.authority_home import AuthorityHome
from meshnode.doctor.diagnostics import diagnostics
from meshnode.doctor.examining import examine
from meshnode.dump import explain_file
from meshnode.enrol import badge_key, load_identity, open_keys, read_invitation
from meshnode.outbox import Priority
from meshnode.runtime import system_runtime
from meshnode.store import keyring
from meshnode.store.engine import Connection
from meshnode.store.keyring import KeyPurpose
from protocol.armour import TextForm, armour
from protocol.bundle import Scope, Suite
from protocol.errors import MeshError
from protocol.limits import TEXT_BYTES_MAX, Kind
from tests.meshnode.enrolling import (
    NOW_MS,
    PASSPHRASE,
    enrol,
    invite,
    make_authority,
    opened,
    request,
)
from tests.security.mates import SQUAD_SCOPE, Mate, Mates, ScriptedChain, meet
from tests.security.parts import BOX, ZONE, Town, Writer

ROOT = Path(__file__).resolve().parents[2]
TELLING = re.compile(r"secret|key|seed|password|passphrase|private|text|position", re.IGNORECASE)
HARMLESS = re.compile(r"(?:int|bool|float|Path|NodeId|Callable\[.*\])(?: \| None)?")
"""Types that hold nothing of the kind, whatever they are called."""

PUBLIC = "a public key"
NAME = "a name of a key, which is no key"
SIGNED = "public and signed: it travels in clear"
SEALED = "ciphertext"
RECORD = "a record or room whose own fields are looked at"
WORD = "a word of the program"
ALLOWED = {
    "Draft.keyref": NAME,
    "Header.keyref": NAME,
    "Unopened.keyref": NAME,
    "PrekeyRecord.prekey_id": NAME,
    "PrekeySecret.prekey_id": NAME,
    "Slot.prekey_id": NAME,
    "StickSlot.prekey_id": NAME,
    "SendingChain.chain_id": NAME,
    "DocumentsWanted.keys": NAME,
    "Setting.key": WORD,
    "SensorSettings.position": "names of sources, and no place",
    "Written.kind": WORD,
    "Shown.kind": WORD,
    "NewMessage.kind": WORD,
    "MessageRecord.kind": WORD,
    "Sent.state": WORD,
    "PeerRecord.address": "an address of a machine in words",
    "EvidenceRecord.subject": "the name of a bundle or document in words",
    "Examined.badge_key": PUBLIC,
    "Examined.link_key": PUBLIC,
    "Enrolee.link_key": PUBLIC,
    "Homes.author_keys": PUBLIC,
    "DirectoryEntry.public_key": PUBLIC,
    "Member.public_key": PUBLIC,
    "Badge.public_key": PUBLIC,
    "SignerRule.keys": PUBLIC,
    "RootBody.root_keys": PUBLIC,
    "PrekeyRecord.public": PUBLIC,
    "Enrolee.prekey": SIGNED,
    "Request.badge_request": SIGNED,
    "Request.link_request": SIGNED,
    "Request.prekey": SIGNED,
    "Answer.prekeys": SIGNED,
    "Enrolled.prekeys": SIGNED,
    "LocalHello.binding_signature": SIGNED,
    "StickHeader.nonce_seed": "stands in clear at the head of the file",
    "Answer.sealed_secrets": SEALED,
    "Slot.sealed": SEALED,
    "StickSlot.sealed": SEALED,
    "Examined.prekey": RECORD,
    "Enrolee.member": RECORD,
    "MessageKey.made": RECORD,
    "FirstPrekey.secret": RECORD,
    "Pending.keys": RECORD,
    "Pending.prekey": RECORD,
    "Accepted.enrolled": RECORD,
    "Accepted.pending": RECORD,
    "InboxParts.opener": RECORD,
    "InboxParts.requests": RECORD,
    "NodeParts.desk": RECORD,
    "NodeParts.knock_keys": RECORD,
    "DeskParts.sealer": RECORD,
    "Access.sealer": RECORD,
    "Carrier.store": RECORD,
    "Guest.member": RECORD,
    "Settings.security": RECORD,
    "AgentFile.sealed": SEALED,
    "DataKey.wrapped": SEALED,
    "ErasureBody.link_chain": SIGNED,
    "SignerRule.pq_keys": PUBLIC,
    "SignerRule.zones": "numbers of zones",
    "CertifiedZone.anchor": PUBLIC,
    "CertifiedZone.signers": PUBLIC,
    "ZoneRequest.public_key": PUBLIC,
    "ZoneRequest.prekey": RECORD,
    "ZoneRequest.signature": SIGNED,
    "_Quorum.keys": PUBLIC,
    "_Quorum.pq_keys": PUBLIC,
    "RosterBody.members": RECORD,
    "Enrolled.secrets": RECORD,
    "StickHeader.slots": RECORD,
    "Exported.recipients": "ids of devices",
    "GrantedUnit.unit_id": NAME,
    "UnitReport.unit_id": NAME,
    "HandedCard.signers": PUBLIC,
    "UnitRequest.public_key": PUBLIC,
    "UnitRequest.prekey": RECORD,
    "UnitRequest.signature": SIGNED,
    "UnitGrant.signature": SIGNED,
    "UnitReport.signature": SIGNED,
    "Issued.prekey": SIGNED,
    "OpenShift.scopes": NAME,
    "Purged.keys": RECORD,
    "WipeParts.link": RECORD,
    "InboxParts.positions": RECORD,
    "Sent.alarm_id": NAME,
    "Attached.manifest": RECORD,
    "InboxParts.renewal": RECORD,
    "_Device.contexts": "TLS contexts, which show nothing of their keys",
    "_Ready.cipher": "a cipher, which shows nothing of its key",
    "_Ready.kind": WORD,
    "Alarm.raised": RECORD,
    "GivenKey.prekey_id": NAME,
    "Purged.days": RECORD,
    "Query.scope": "the name of a squad",
    "Route.fields": WORD,
    "Session.id": "a hash of the secret",
    "StatedHead.check": SIGNED,
    "StatedHead.cost": "a number of guesses",
    "TakSettings.callsign": "a name in words",
    "TakSettings.key": "the name of a file",
    "WebSettings.key": "the name of a file",
    "_Head.cipher": "a cipher, which shows nothing of its key",
}


# --- what the source says --------------------------------------------------------------------


def _records(source: str) -> Iterator[ast.ClassDef]:
    """Yield the classes that Python gives a repr of all their fields, having none of their own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            marks = [ast.unparse(each) for each in (*node.decorator_list, *node.bases)]
            is_record = any("dataclass" in each or "NamedTuple" in each for each in marks)
            is_silent = any("repr=False" in each for each in marks) or any(
                isinstance(each, ast.FunctionDef) and each.name == "__repr__" for each in node.body
            )
            if is_record and not is_silent:
                yield node


def _telling(record: ast.ClassDef) -> Iterator[str]:
    """Yield the fields of a record that are shown though they sound as if they should not."""
    for place, field in enumerate(record.body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        after = record.body[place + 1] if place + 1 < len(record.body) else None
        words = [field.target.id]
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            words.append(str(after.value.value))
        given = "" if field.value is None else ast.unparse(field.value)
        is_hidden = "repr=False" in given or "is_telling=True" in given
        is_harmless = HARMLESS.fullmatch(ast.unparse(field.annotation)) is not None
        if not is_hidden and not is_harmless and any(map(TELLING.search, words)):
            yield f"{record.name}.{field.target.id}"


def shown_fields() -> set[str]:
    """Return such fields of the whole product."""
    found: set[str] = set()
    for package in ("protocol", "meshnode"):
        for path in (ROOT / package).rglob("*.py"):
            for record in _records(path.read_text(encoding="utf-8")):
                found |= set(_telling(record))
    return found


def test_no_field_with_a_telling_name_is_shown() -> None:
    assert sorted(shown_fields() - set(ALLOWED)) == []


def test_the_list_of_exceptions_has_nothing_that_is_gone() -> None:
    assert sorted(set(ALLOWED) - shown_fields()) == []


@pytest.mark.parametrize(
    ("field", "is_found"),
    [
        ("text: str", True),
        ("inner: bytes\n    '''The private half.'''", True),
        ("text: str = field(repr=False)", False),
        ("key: int", False),
        ("size: bytes\n    '''How large.'''", False),
    ],
)
def test_the_search_bites(field: str, *, is_found: bool) -> None:
    source = f"@dataclass(frozen=True)\nclass Sample:\n    {field}\n"
    (record,) = _records(source)
    assert bool(list(_telling(record))) is is_found


# --- what a squad at work says ---------------------------------------------------------------

TEXTS = (
    "the lorry comes at four by the old pass",
    "meet me behind the chapel of Saint-Véran",
    "two men with dogs, send help to the bridge",
    "this one is far too long " * (TEXT_BYTES_MAX // 25 + 1),
)


class Watch:
    """Everything that must not be said, and everything that was."""

    def __init__(self) -> None:
        self.secrets: dict[str, bytes] = {}
        self.said: list[tuple[str, str]] = []

    def keep(self, name: str, secret: bytes) -> None:
        """Add a secret of at least eight bytes."""
        assert len(secret) >= 8, name
        self.secrets[name] = secret

    def heard(self, where: str, what: object) -> None:
        """Add something that was said."""
        self.said.append((where, what if isinstance(what, str) else repr(what)))

    def failed(self, error: BaseException) -> None:
        """Add all that an error says, with those that it came from."""
        self.heard("error", repr(error))
        self.heard("error", "".join(traceback.format_exception_only(error)))
        for each in (error.__cause__, error.__context__):
            if each is not None:
                self.heard("cause", str(each))

    def found(self) -> list[str]:
        """Return who was betrayed where."""
        forms = {name: list(_forms(secret)) for name, secret in self.secrets.items()}
        return sorted(
            {
                f"{name} in {where}: {what[:80]}"
                for where, what in self.said
                for name, words in forms.items()
                if any(word in what for word in words)
            }
        )


def _forms(secret: bytes) -> Iterator[str]:
    """Yield how bytes might be written: as they are, in hexadecimal, in base64, as Python does."""
    yield secret.hex()
    yield base64.b64encode(secret).decode().rstrip("=")
    yield base64.urlsafe_b64encode(secret).decode().rstrip("=")
    yield repr(secret)[2:-1]
    with suppress(UnicodeDecodeError):
        yield secret.decode()


def _keys_of(conn: Connection) -> dict[str, bytes]:
    """Return the secret keys in a store."""
    found = {}
    for purpose in (KeyPurpose.NETWORK, KeyPurpose.ZONE_SOS):
        for key in keyring.network_keys(conn, purpose).values():
            found[f"key {purpose.name}"] = key
    record = keyring.newest_own_prekey(conn)
    secret = None if record is None else keyring.own_prekey(conn, record.prekey_id)
    if secret is not None:
        found["prekey"] = secret.private
    for number, chain in enumerate(keyring.open_chains(conn, system_runtime().now_ms())):
        found[f"chain {number}"] = chain.chain.seed
    return found


async def _learn(watch: Watch, mate: Mate) -> None:
    """Take note of every secret of one device."""
    home = mate.town.home(mate.name)
    vault = open_keys(home, system_runtime()).open_vault()
    identity, badge = load_identity(home, vault), badge_key(home, vault)
    watch.keep(f"badge key of {mate.name}", badge.private_bytes_raw())
    pem = badge.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    watch.keep(f"password of the link key of {mate.name}", identity.link_password)
    watch.keep(f"badge PEM of {mate.name}", pem.splitlines()[1])
    watch.keep(f"link PEM of {mate.name}", identity.link_key_path.read_bytes().splitlines()[1])
    for name, key in (await mate.node.store.read(_keys_of)).items():
        watch.keep(f"{name} of {mate.name}", key)


async def _work(squad: Mates, watch: Watch) -> list[object]:
    """Let a squad write, call, read, and say what it says; return what people hold in hand."""
    alice, bob = squad["alice"], squad["bob"]
    await bob.send(SQUAD_SCOPE, TEXTS[0])
    await bob.send(alice.scope, TEXTS[1])
    await bob.send(Scope.for_zone(ZONE), TEXTS[2], Priority.SOS)
    await squad.carry("bob", "alice")
    await squad.mix()
    assert set(await alice.texts()) == set(TEXTS[:3])
    for mate in squad.members.values():
        await _learn(watch, mate)
        api = Api(mate.node)
        watch.heard("status", json.dumps(await api.status(), default=str))
        watch.heard("peers", json.dumps(await api.peers(), default=str))
        watch.heard("metrics", json.dumps(mate.node.metrics.snapshot()))
    return [await alice.incoming(), await bob.outgoing(), await bob.held()]


async def _attack(squad: Mates, town: Town, watch: Watch, folder: Path) -> None:
    """Let everything be refused that can be."""
    alice, bob = squad["alice"], squad["bob"]
    thief = Writer(town.identity("mallory"))
    (stolen, *_) = await bob.own(Kind.TEXT)
    chain = ScriptedChain(thief)
    raws = [
        thief.bundle(stolen.body, keyref=stolen.header.keyref, scope=SQUAD_SCOPE),
        thief.bundle(scope=alice.scope, suite=Suite.HYBRID, index=0),
        chain.keys_for({alice.id: await alice.prekey()}, index=9),
        chain.text(3, TEXTS[1]),
        chain.text(10, TEXTS[1]) + b"\0",
        TEXTS[2].encode(),
        stolen.raw[:-1] + bytes([stolen.raw[-1] ^ 1]),
    ]
    await alice.take(raws)
    spoilt = folder / "spoilt"
    spoilt.write_bytes(TEXTS[0].encode() * 100)
    api = Api(bob.node)
    attempts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: api.send("alice", TEXTS[3]),
        lambda: api.send("nobody at all", TEXTS[1]),
        lambda: api.import_file(str(spoilt)),
        lambda: api.sync("127.0.0.1:1"),
        lambda: api.message("1.2"),
    )
    for attempt in attempts:
        try:
            await attempt()
        except (MeshError, ValueError) as error:
            watch.failed(error)
        else:
            raise AssertionError("nothing was refused")


def _enrolment(watch: Watch, folder: Path) -> list[object]:
    """Enrol with all that can go wrong; return what people hold in hand."""
    office = folder / "office"
    make_authority(office)
    watch.keep("passphrase", PASSPHRASE.encode())
    with opened(office) as authority:
        accepted = enrol(authority, folder / "carol", "carol")
        invitation = invite(authority, "dave")
        pending = request(folder / "dave", invitation)
        text = armour(TextForm.INVITATION, invitation.encode())
        watch.keep("secret of an invitation", invitation.secret)
        watch.keep("text of an invitation", text.encode())
        watch.keep("badge key of dave", pending.keys.badge.private_bytes_raw())
        watch.keep("link key of dave", pending.keys.link.private_bytes_raw())
        watch.keep("prekey of dave", pending.prekey.secret.private)
        watch.keep("SOS key", authority.state.secrets.sos_key)
        watch.keep("network key", authority.state.secrets.network_key)
        attempts: list[Callable[[], object]] = [
            lambda: read_invitation(text[:40] + text[41:], NOW_MS),
            lambda: read_invitation(text.replace("~", "é~"), NOW_MS),
            lambda: read_invitation(text, NOW_MS + 90_000_000),
            lambda: authority.issue(pending.text[:40] + pending.text[41:], NOW_MS),
            lambda: authority.issue(accepted.pending.text, NOW_MS),
            lambda: authority.invite("carol", accepted.enrolled.badge.role, 1, [], NOW_MS),  # type: ignore[arg-type]
            lambda: AuthorityHome.open(office, PASSPHRASE, bytes).__enter__(),
            lambda: AuthorityHome.open(folder, PASSPHRASE, bytes).__enter__(),
        ]
        _all_fail(watch, attempts)
        held = [authority.state, pending, accepted, invitation]
    wrong = PASSPHRASE + " again"
    watch.keep("wrong passphrase", wrong.encode())
    _all_fail(watch, [lambda: AuthorityHome.open(office, wrong, bytes).__enter__()])
    (folder / "invitation").write_text(text)
    for path in (folder / "invitation", *sorted((folder / "carol").rglob("*"))):
        if path.is_file():
            with suppress(MeshError):
                watch.heard("dump", json.dumps(explain_file(path), default=str))
    return [held]


def _all_fail(watch: Watch, attempts: list[Callable[[], object]]) -> None:
    for number, attempt in enumerate(attempts):
        try:
            attempt()
        except MeshError as error:
            watch.failed(error)
        else:
            raise AssertionError(f"attempt {number} was not refused")


def _look_at_live_objects(watch: Watch) -> int:
    """Hear the repr of every record of ours that is alive; return how many there are."""
    count = 0
    for each in gc.get_objects():
        kind = type(each)
        if str(kind.__module__).startswith(("protocol.", "meshnode.")) and (
            is_dataclass(kind) or isinstance(each, MeshError)
        ):
            watch.heard(f"repr of {kind.__name__}", repr(each))
            count += 1
    return count


@pytest.fixture
async def squad(town: Town) -> AsyncIterator[Mates]:
    """Alice, Bob, and the box of their squad."""
    async with meet(town, "alice", "bob", BOX) as mates:
        yield mates


@pytest.mark.slow
@pytest.mark.real
async def test_a_squad_at_work_and_under_attack_betrays_nothing(
    squad: Mates, town: Town, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    watch = Watch()
    for number, text in enumerate(TEXTS):
        watch.keep(f"text {number}", text.encode()[:60])
    in_hand = await _work(squad, watch)
    await _attack(squad, town, watch, tmp_path)
    in_hand += _enrolment(watch, tmp_path)
    assert _look_at_live_objects(watch) > 100
    for mate in squad.members.values():
        for line in mate.traced:
            watch.heard("trace", line)
    watch.heard("log", caplog.text)
    await squad["alice"].close()
    examined = await examine(town.home("alice"), system_runtime())
    for finding in examined.findings:
        watch.heard("doctor", f"{finding.sentence} {finding.fix}")
    watch.heard("support", json.dumps(diagnostics(examined.facts, examined.findings)))
    await squad.open("alice")
    assert len(in_hand) == 4
    assert watch.found() == []


def test_the_watch_hears_every_way_to_write_a_secret() -> None:
    secret = bytes(range(100, 132))
    for form in _forms(secret):
        watch = Watch()
        watch.keep("secret", secret)
        watch.heard("somewhere", f"it is {form}, as said")
        assert watch.found() != []
    watch = Watch()
    watch.keep("secret", secret)
    watch.heard("somewhere", secret[1:])
    assert watch.found() == []
