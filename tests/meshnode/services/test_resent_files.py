"""A message that is sent again, and the file that goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from meshnode.store import messages
from meshnode.store.chunks import AttachmentState
from protocol.limits import Kind
from tests.meshnode.rig import Rig, squad_scope
from tests.meshnode.services.test_attachments import (
    PDF_BYTES,
    content,
    only,
    pdf,
    saved,
    send_file,
)

__all__ = ["pdf"]


async def test_a_message_that_is_sent_again_brings_its_file(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    """The copy is for Bruno alone, and the file that of the message it stands for."""
    raw, anna, bruno = content(PDF_BYTES), met["anna"], met["bruno"]
    sent = await send_file(anna, pdf)
    first = await anna.held(Kind.TEXT)
    chunks_of_it = await anna.held(Kind.CHUNK)
    again = await anna.node.outbox.resend(sent.key)
    assert again.has_file
    (copy,) = [each for each in await anna.held(Kind.TEXT) if each not in first]
    assert copy.header.scope == bruno.scope
    await bruno.take([*await anna.held(Kind.CHAIN_KEYS), copy, *chunks_of_it[:3]])
    partly = await only(bruno)
    assert (partly.record.state, partly.record.have) == (AttachmentState.ARRIVING, 3)
    # The first one comes late: it is known, and so is its file.
    await bruno.take([*first, *chunks_of_it[3:]])
    assert await saved(bruno, tmp_path) == raw
    assert await bruno.texts() == ["see the file"]
    assert (await only(bruno)).record.scope == squad_scope().encode()
    await met.mix("anna", "box", "bruno")
    assert (await only(anna)).record.state is AttachmentState.COMPLETE
    assert await anna.held(Kind.CHUNK) == [], "no piece was made twice"


async def test_a_copy_brings_the_file_to_who_has_the_text_alone(
    autojump_clock: MockClock,
    met: Rig,
    pdf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A copy was opened that named no file, and the next one, which Bruno asked for, does."""
    raw, anna, bruno = content(PDF_BYTES), met["anna"], met["bruno"]
    sent = await send_file(anna, pdf)
    with monkeypatch.context() as patch:
        patch.setattr("meshnode.outbox.file_of", lambda _conn, _key, _now_ms: None)
        assert not (await anna.node.outbox.resend(sent.key)).has_file
    (copy,) = [e for e in await anna.held(Kind.TEXT) if e.header.scope == bruno.scope]
    await bruno.take([copy])
    assert await bruno.texts() == ["see the file"]
    assert await bruno.node.attachments.progress() == []
    await anna.node.outbox.resend(sent.key)
    await bruno.take([e for e in await anna.held() if e.header.kind is not Kind.PREKEY])
    assert await saved(bruno, tmp_path) == raw
    assert await bruno.texts() == ["see the file"]


async def test_a_file_that_is_over_is_left_out_of_a_copy(
    autojump_clock: MockClock, met: Rig, pdf: Path
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await send_file(anna, pdf)
    await anna.node.attachments.cancel_message(sent.key)
    again = await anna.node.outbox.resend(sent.key)
    assert not again.has_file
    await met.mix("anna", "bruno")
    assert await bruno.texts() == ["see the file"]


async def test_taking_a_copy_back_gives_its_file_up(
    autojump_clock: MockClock, met: Rig, pdf: Path
) -> None:
    anna = met["anna"]
    sent = await send_file(anna, pdf)
    again = await anna.node.outbox.resend(sent.key)
    assert await anna.node.attachments.cancel_message(again.key)
    assert await anna.held(Kind.CHUNK) == []


async def test_a_copy_of_the_text_that_comes_first_costs_no_file(
    autojump_clock: MockClock,
    met: Rig,
    pdf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the copy was made when the file was gone, or by a version that left it out."""
    anna, bruno = met["anna"], met["bruno"]
    sent = await send_file(anna, pdf)
    with monkeypatch.context() as patch:
        patch.setattr("meshnode.outbox.file_of", lambda _conn, _key, _now_ms: None)
        assert not (await anna.node.outbox.resend(sent.key)).has_file
    await anna.node.settle()
    held = await anna.held(Kind.TEXT, Kind.NOTE, Kind.CHAIN_KEYS, Kind.CHUNK)
    first = [each for each in held if each.header.id == sent.id]
    await bruno.take([each for each in held if each not in first])
    assert await bruno.texts() == ["see the file"]
    assert await bruno.node.attachments.progress() == []
    await bruno.take(first)
    assert await bruno.texts() == ["see the file"], "shown once"
    assert await saved(bruno, tmp_path) == content(PDF_BYTES)
    (message,) = await bruno.store.read(lambda conn: messages.list_inbox(conn, 0, 9))
    assert (await only(bruno)).record.message == message.key
