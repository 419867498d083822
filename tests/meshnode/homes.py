"""Homes of real devices on the disk, enrolled by the whole way from invitation to store."""

from __future__ import annotations

from pathlib import Path

from meshnode.config import Settings, read_settings
from meshnode.enrol import Accepted, read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.runtime import Runtime, system_runtime
from meshnode.vault.keystore import KeyStore
from meshnode.vault.vault import Vault
from protocol.armour import TextForm, armour
from protocol.envelope import HpkeSealer, Sealer
from protocol.identity import DeviceClass, Role
from tests.meshnode.enrolling import CHEAP, NOW_MS, invite, make_authority, opened, text_of

ALONE: Settings = read_settings(
    b'[links]\nlisten = ["127.0.0.1:0"]\n[discovery]\nmdns = false\nprobe = false\n'
    b'[web]\nlisten = ""\n'
)
"""A node that nobody else on this machine finds."""


def runtime() -> Runtime:
    """Return the seams of this machine, with the clock of the tests' authority."""
    real = system_runtime()
    return Runtime(lambda: NOW_MS, real.entropy, real.run_blocking, real.trace)


async def enrolled_home(
    folder: Path,
    name: str,
    role: Role = Role.AGENT,
    sealer: Sealer | None = None,
    *,
    secret: str | None = None,
) -> tuple[Path, Accepted]:
    """Enrol a device in a home of its own, under an authority that is made if need be.

    With a secret it is a phone, without one a machine that starts alone.
    """
    kind = DeviceClass.PC if secret is None else DeviceClass.PHONE
    authority, home = folder / "authority home", folder / name
    if not (authority / "authority").exists():
        make_authority(authority)
    sealer = sealer or HpkeSealer()
    with opened(authority) as office:
        invitation = read_invitation(text_of(invite(office, name, role, kind=kind)), NOW_MS)
        pending = await request_for(home, invitation, runtime(), secret, cost=CHEAP, sealer=sealer)
        answer = office.issue(pending.text, NOW_MS)
    text = armour(TextForm.ANSWER, answer.encode())
    return home, await complete(home, text, runtime(), secret, sealer=sealer)


def vault_at(home: Path, secret: str | None = None) -> Vault:
    """Return the vault of a home with both tiers open."""
    return KeyStore.open(home).unlocked_vault(secret)
