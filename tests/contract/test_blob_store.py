"""What every blob store promises, on a folder and on a bucket behind a real HTTP server."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patrol.blobs import BlobDamaged, BlobError, BlobStore, place
from patrol.stores import bucket
from patrol.stores.bucket import BlobBucket
from patrol.stores.folder import BlobFolder
from patrol.stores.s3 import Address, client

PICTURE = b"\xff\xd8\xff" + b"picture" * 1000


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """An empty store, once of each kind."""
    if request.param == "folder":
        return BlobFolder(tmp_path / "blobs")
    return BlobBucket(Address.of(request.getfixturevalue("bucket_url")), BlobFolder(tmp_path / "cache"))


def test_what_is_let_go_is_gone_and_only_that(store: BlobStore) -> None:
    """A content that is removed is in no list and in no cache; the others stay, and removing it again changes nothing."""
    gone, kept = store.put(b"to be forgotten"), store.put(b"to be kept")
    store.local(gone.sha256)
    assert store.remove(gone.sha256)
    assert not store.has(gone.sha256)
    with pytest.raises(BlobError):
        store.local(gone.sha256)
    assert list(store.all()) == [kept.sha256]
    assert not store.remove(gone.sha256)


def spoil(store: BlobStore, sha256: str, content: bytes) -> None:
    """Change a content under its name, behind the store's back."""
    if isinstance(store, BlobFolder):
        store.path(sha256).chmod(0o644)
        store.path(sha256).write_bytes(content)
    else:
        assert isinstance(store, BlobBucket)
        key = store.address.key(place(sha256))
        client(store.address).put_object(Bucket=store.address.bucket, Key=key, Body=content)


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) + 7])
def test_a_content_comes_back_under_its_own_hash(store: BlobStore, size: int) -> None:
    """The name proves the content, keeping it twice keeps it once, and every way in leads to the same name."""
    content = random.Random(size).randbytes(size)
    kept = store.put(content)
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert kept.size_bytes == size == store.size_bytes(kept.sha256)
    assert kept == store.put(content) == store.put_stream(io.BytesIO(content))
    assert store.read(kept.sha256) == content
    assert store.local(kept.sha256).read_bytes() == content
    with store.open(kept.sha256) as stream:
        assert stream.read(10) == content[:10]
    assert list(store.all()) == [kept.sha256]
    assert list(store.damaged()) == []


def test_a_large_content_goes_in_parts_and_comes_back_whole(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content of several parts is the same content."""
    monkeypatch.setattr(bucket, "PART_BYTES", 5 << 20)  # the smallest part that S3 allows
    source = tmp_path / "ortho.tif"
    source.write_bytes(random.Random(1).randbytes((12 << 20) + 1))
    kept = store.put_file(source)
    assert store.size_bytes(kept.sha256) == (12 << 20) + 1
    assert hashlib.sha256(store.read(kept.sha256)).hexdigest() == kept.sha256


def test_a_file_that_is_given_away_is_gone_and_kept(store: BlobStore, tmp_path: Path) -> None:
    """Taken twice it is kept once, and the second file is gone as well."""
    name = hashlib.sha256(PICTURE).hexdigest()
    for _ in range(2):
        part = tmp_path / "part"
        part.write_bytes(PICTURE)
        assert store.take(part, name).size_bytes == len(PICTURE)
        assert not part.exists()
    assert store.read(name) == PICTURE


def test_a_file_with_another_hash_is_refused_and_left(store: BlobStore, tmp_path: Path) -> None:
    """The sentence says what it should have been; nothing is kept, the file stays."""
    part = tmp_path / "DJI_0001.JPG"
    part.write_bytes(PICTURE[:-1])
    with pytest.raises(BlobDamaged, match=r"DJI_0001.JPG is damaged.*send it again"):
        store.take(part, hashlib.sha256(PICTURE).hexdigest())
    assert part.read_bytes() == PICTURE[:-1]
    assert list(store.all()) == []


def test_damage_is_found_and_absence_is_said(store: BlobStore, tmp_path: Path) -> None:
    """A content that changed under its name is named; one that is not there is an error with its name."""
    good, bad = store.put(PICTURE), store.put(b"another")
    spoil(store, bad.sha256, b"retouched")
    assert list(store.damaged()) == [bad.sha256]
    assert store.read(good.sha256) == PICTURE
    absent = "0" * 64
    assert not store.has(absent)
    assert store.size_bytes(absent) is None
    for ask in (store.open, store.read, store.local):
        with pytest.raises(BlobError, match=f"{absent} is not in the store"):
            ask(absent)
    with pytest.raises(BlobError, match=r"cannot read .*nowhere"):
        store.put_file(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "", "../" * 21 + "x"])
def test_no_name_leads_out_of_the_store(store: BlobStore, name: str, tmp_path: Path) -> None:
    """Anything but 64 lower-case hexadecimal digits is refused before it becomes a path or a key."""
    part = tmp_path / "part"
    part.write_bytes(b"x")
    asks: tuple[Callable[[str], Any], ...] = (store.has, store.open, store.local, lambda n: store.take(part, n))
    for ask in asks:
        with pytest.raises(BlobError, match="not a blob's name"):
            ask(name)


def test_a_stream_that_breaks_half_way_leaves_nothing(store: BlobStore) -> None:
    """A source that fails while it is read is an error with its cause, and no blob."""

    class Broken(io.RawIOBase):
        left = 2

        def read(self, _: int = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return b"x" * 1000

    with pytest.raises(BlobError, match="Input/output error"):
        store.put_stream(Broken())  # type: ignore[arg-type]
    assert list(store.all()) == []


def test_many_hands_may_keep_the_same_content_at_once(store: BlobStore) -> None:
    """Eight threads that put the same two contents leave two."""
    hands = [threading.Thread(target=store.put, args=(PICTURE + bytes([i % 2]),)) for i in range(8)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len(list(store.all())) == 2
    assert list(store.damaged()) == []


def test_a_store_says_what_it_is(store: BlobStore) -> None:
    """`patrol doctor` shows it."""
    assert store.check()


def test_a_bucket_is_read_with_proof(bucket_url: str, tmp_path: Path) -> None:
    """A content that was changed in the bucket never reaches a reader as good, nor the cache under its old name."""
    store = BlobBucket(Address.of(bucket_url), BlobFolder(tmp_path / "cache"))
    kept = store.put(PICTURE)
    spoil(store, kept.sha256, b"retouched")
    with pytest.raises(BlobDamaged, match="is damaged"):
        store.read(kept.sha256)
    with pytest.raises(BlobDamaged, match="is damaged"):
        store.local(kept.sha256)
    assert not store.cache.has(kept.sha256)


def test_a_part_that_fails_leaves_no_half_upload(bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that breaks between two parts is taken back: the bucket bills for no forgotten parts."""
    monkeypatch.setattr(bucket, "PART_BYTES", 5 << 20)
    store = BlobBucket(Address.of(bucket_url), BlobFolder(tmp_path / "cache"))
    sent: list[int] = []

    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sent.append(1)
            if len(sent) == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    content = bytes(11 << 20)
    blob = bucket.Blob(hashlib.sha256(content).hexdigest(), len(content))
    with pytest.raises(OSError, match="Input/output"):
        store._send(blob, Breaks(content))
    s3 = client(store.address)
    assert s3.list_multipart_uploads(Bucket=store.address.bucket).get("Uploads", []) == []
    assert not store.has(blob.sha256)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:///nothing", "not an address in S3"),
        ("http://bucket", "not an address in S3"),
        ("s3://key:secret@bucket/prefix", "AWS_SECRET_ACCESS_KEY"),
        ("s3://bucket/x?endpont=http://y", "endpont"),
        ("s3://bucket/x?addressing=round", "nobody knows"),
    ],
)
def test_an_address_that_cannot_work_is_refused_without_telling_secrets(url: str, said: str) -> None:
    """Whoever writes a wrong one learns what a right one looks like; what stood before an @ is never repeated."""
    with pytest.raises(BlobError, match=said) as refused:
        Address.of(url)
    assert "key:secret" not in str(refused.value)


def test_a_wrong_bucket_a_silent_server_and_missing_keys_are_sentences(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says what could not be done, where, and what to do."""
    cache = BlobFolder(tmp_path)
    absent = bucket_url.replace("s3://t", "s3://nobodys-")
    with pytest.raises(BlobError, match=r"there is no bucket nobodys-.*mend the address"):
        BlobBucket(Address.of(absent), cache).check()
    with pytest.raises(BlobError, match=r"there is no bucket nobodys-"):
        BlobBucket(Address.of(absent), cache).put(PICTURE)
    with pytest.raises(BlobError, match=r"127.0.0.1:1 does not answer"):
        BlobBucket(Address.of("s3://bucket?endpoint=http://127.0.0.1:1"), cache).check()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BlobError, match=r"no credentials were found; set AWS_ACCESS_KEY_ID"):
        BlobBucket(Address.of(bucket_url), cache).check()
