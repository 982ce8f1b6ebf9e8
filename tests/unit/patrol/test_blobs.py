from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patrol.blobs import BlobError
from patrol.stores.folder import BlobFolder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.binary(max_size=5000))
def test_a_content_comes_back_under_its_own_hash(tmp_path: Path, content: bytes) -> None:
    """The name proves the content; keeping it twice keeps it once."""
    blobs = BlobFolder(tmp_path)
    kept = blobs.put(content)
    assert kept == blobs.put(content)
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert kept.size_bytes == len(content)
    assert blobs.read(kept.sha256) == content
    assert list(blobs.damaged()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(["../../etc/passwd", "a" * 63, "A" * 64, "/" * 64, "a" * 64 + "\n", "../" * 21 + "x"]),
    )
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Anything but 64 lower-case hexadecimal digits is refused before it becomes a path."""
    if len(name) == 64 and set(name) <= set("0123456789abcdef"):
        return
    with pytest.raises(BlobError, match="not a blob's name"):
        BlobFolder(tmp_path).path(name)


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what is full and that nothing was changed; no half blob and no leaving in the waiting room."""
    blobs = BlobFolder(tmp_path)
    before = blobs.put(b"earlier")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("patrol.stores.folder.os.fsync", full)
    with pytest.raises(BlobError, match=r"is full.*nothing was changed"):
        blobs.put(b"too much")
    assert list(blobs.all()) == [before.sha256]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_stream_that_breaks_half_way_leaves_nothing(tmp_path: Path) -> None:
    """A source that fails while it is read is an error with its cause, and no blob."""
    blobs = BlobFolder(tmp_path)

    class Broken:
        def __init__(self) -> None:
            self.left = 2

        def read(self, _: int) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.EIO, "Input/output error")
            return b"x" * 1000

    with pytest.raises(BlobError, match="Input/output error"):
        blobs.put_stream(Broken())  # type: ignore[arg-type]
    assert list(blobs.all()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_damage_is_found_and_absence_is_said(tmp_path: Path) -> None:
    """A content that changed under its name is named; one that is not there is an error with its name."""
    blobs = BlobFolder(tmp_path)
    source = tmp_path / "photo.jpg"
    source.write_bytes(b"picture")
    kept = blobs.put_file(source)
    assert blobs.has(kept.sha256)
    blobs.path(kept.sha256).chmod(0o644)
    blobs.path(kept.sha256).write_bytes(b"retouched")
    assert list(blobs.damaged()) == [kept.sha256]
    with pytest.raises(BlobError, match="not in the store"):
        blobs.open("0" * 64)
    with pytest.raises(BlobError, match=r"cannot read .*nowhere"):
        blobs.put_file(tmp_path / "nowhere")
