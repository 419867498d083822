"""Documents in a file of text: bounded, the most urgent first, and read as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode import document_files
from meshnode.document_files import read_documents, write_documents
from meshnode.stick import StickError
from protocol.armour import TextForm
from protocol.authority import DocumentClass, decode_untrusted
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import ANSWER_BYTES_MAX
from tests.meshnode.enrolling import make_authority, opened


def test_documents_come_back_the_most_urgent_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_authority(tmp_path)
    with opened(tmp_path) as authority:
        raws = [document.raw for document in authority.state.documents]
    path = tmp_path / "documents"
    assert write_documents(path, raws[::-1]) == 2
    assert sorted(read_documents(path)) == sorted(raws)
    assert decode_untrusted(read_documents(path)[0]).cls is DocumentClass.ROOT
    monkeypatch.setattr(document_files, "ANSWER_DOCUMENTS_MAX", 1)
    assert write_documents(path, raws[::-1]) == 1
    assert read_documents(path) == (raws[0],)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(StickError):
            read_documents(path)
    with pytest.raises(StickError):
        write_documents(tmp_path / "no" / "folder", [])
    odd = tmp_path / "odd"
    odd.write_bytes(b"\xff\xfe")
    with pytest.raises(MalformedError):
        read_documents(odd)
    odd.write_text(f"{TextForm.DOCUMENTS.word}:abc")
    with pytest.raises(MalformedError):
        read_documents(odd)


@pytest.mark.slow
def test_a_file_that_is_too_long_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_text("M" * (2 * ANSWER_BYTES_MAX + 1))
    with pytest.raises(LimitExceededError):
        read_documents(path)
