"""Photos that wait in a bucket, on a real server that speaks S3: fetched once, whole, below the folder, or a sentence says why not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from patrol import demo
from patrol.blobs import BlobError
from patrol.settings import Settings
from patrol.stores import fetch as fetching
from patrol.stores.fetch import fetch
from patrol.stores.folder import BlobFolder
from patrol.stores.s3 import Address, client
from patrol.wiring import workplace

PHOTOS = {f"100MEDIA/DJI_{i:04}.JPG": b"\xff\xd8\xff" + bytes([i]) * 300_000 for i in range(6)}


@pytest.fixture
def address(bucket_url: str) -> Address:
    """A prefix with six photos, and things that are none."""
    made = Address.of(bucket_url)
    s3 = client(made)
    others = {"notes.docx": b"x", ".hidden.jpg": b"x", "../outside.jpg": b"x", "empty.jpg": b""}
    for name, content in {**PHOTOS, **others}.items():
        s3.put_object(Bucket=made.bucket, Key=made.key(name), Body=content)
    s3.put_object(Bucket=made.bucket, Key="originals-of-somebody-else/x.jpg", Body=b"x")
    return made


def wanted(name: str) -> bool:
    from patrol.wiring import _is_wanted

    return _is_wanted(name)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is asked of the bucket's objects from now on."""
    asked: list[dict[str, Any]] = []

    def listening(address: Address) -> Any:
        s3 = client(address)
        real = s3.get_object

        def get_object(**ask: Any) -> Any:
            asked.append(ask)
            return real(**ask)

        s3.get_object = get_object
        return s3

    monkeypatch.setattr(fetching, "client", listening)
    return asked


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_photos_are_fetched_once(address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under their paths below the prefix, and nothing else; the second time the bucket is only listed."""
    cache, asked = BlobFolder(tmp_path / "cache"), counted(monkeypatch)
    for round_ in ("first", "second"):
        folder = fetch(address, cache, tmp_path / "cache" / "notes", tmp_path / round_, wanted)
        assert files(folder) == PHOTOS
    assert len(asked) == len(PHOTOS)
    assert set(cache.all()) == {hashlib.sha256(content).hexdigest() for content in PHOTOS.values()}


def test_a_half_photo_goes_on_where_it_stopped(address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the bytes that are lacking are asked for; a part that is not the photo's beginning is found out and dropped."""
    cache, notes = BlobFolder(tmp_path / "cache"), tmp_path / "notes"
    photos = fetching.listed(client(address), address, wanted)
    notes.mkdir()
    half, wrong = photos[0], photos[1]
    fetching._note(notes, address, half).with_suffix(".part").write_bytes(PHOTOS[half.name][:100_000])
    asked = counted(monkeypatch)
    assert files(fetch(address, cache, notes, tmp_path / "a", wanted)) == PHOTOS
    assert [ask["Range"] for ask in asked if "Range" in ask] == ["bytes=100000-"]
    fetching._note(notes, address, wrong).unlink()
    fetching._note(notes, address, wrong).with_suffix(".part").write_bytes(b"other" * 1000)
    with pytest.raises(BlobError, match=r"did not arrive as it is in the bucket.*start again"):
        fetch(address, cache, notes, tmp_path / "b", wanted)
    assert files(fetch(address, cache, notes, tmp_path / "c", wanted)) == PHOTOS


def test_a_line_that_breaks_is_taken_up(address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a photo came and the line broke: the rest is asked for by itself, the half is not fetched again."""
    from botocore.exceptions import ResponseStreamingError

    ranges: list[str | None] = []

    class Breaking:
        def __init__(self, body: Any) -> None:
            self.body = body

        def iter_chunks(self, size: int) -> Any:
            yield self.body.read(100_000)
            if len(ranges) == 1:
                raise ResponseStreamingError(error="connection reset")
            yield self.body.read()

    def breaking(address: Address) -> Any:
        s3 = client(address)
        real = s3.get_object

        def get_object(**ask: Any) -> Any:
            ranges.append(ask.get("Range"))
            return {"Body": Breaking(real(**ask)["Body"])}

        s3.get_object = get_object
        return s3

    monkeypatch.setattr(fetching, "client", breaking)
    monkeypatch.setattr(fetching, "WORKERS", 1)
    monkeypatch.setattr(fetching, "PAUSE_S", 0.01)
    cache = BlobFolder(tmp_path / "cache")
    assert files(fetch(address, cache, tmp_path / "notes", tmp_path / "a", wanted)) == PHOTOS
    assert ranges == [None, "bytes=100000-"] + [None] * (len(PHOTOS) - 1)


def test_an_object_that_changed_is_another_photo(address: Address, tmp_path: Path) -> None:
    """Its new content is fetched, the old one is not handed out under its name."""
    cache, notes = BlobFolder(tmp_path / "cache"), tmp_path / "notes"
    fetch(address, cache, notes, tmp_path / "a", wanted)
    name = next(iter(PHOTOS))
    client(address).put_object(Bucket=address.bucket, Key=address.key(name), Body=b"\xff\xd8\xff new")
    assert files(fetch(address, cache, notes, tmp_path / "b", wanted)) == {**PHOTOS, name: b"\xff\xd8\xff new"}


def test_what_cannot_be_fetched_is_a_sentence(address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong bucket, an empty prefix, a full disk."""
    cache, notes = BlobFolder(tmp_path / "cache"), tmp_path / "notes"
    nowhere = Address(f"not-{address.bucket}", "", address.endpoint, "", "path")
    with pytest.raises(BlobError, match=r"cannot list the photos: there is no bucket not-"):
        fetch(nowhere, cache, notes, tmp_path / "a", wanted)
    empty = Address(address.bucket, "nothing/here", address.endpoint, "", "path")
    with pytest.raises(BlobError, match=r"nothing/here holds no photos: is the prefix right"):
        fetch(empty, cache, notes, tmp_path / "a", wanted)
    usage = fetching.shutil.disk_usage("/")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(BlobError, match=r"GB are to be fetched .*free some space"):
        fetch(address, cache, notes, tmp_path / "a", wanted)


def test_a_workplace_opens_a_folder_and_a_bucket_alike(address: Address, bucket_url: str, tmp_path: Path) -> None:
    """The ingest sees a folder either way; what was fetched for it is put away afterwards, what was given stays."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="", blobs_url=bucket_url)
    demo.fresh(settings)
    with workplace(settings) as work:
        with work.photos(str(tmp_path)) as folder:
            assert folder == tmp_path
        with work.photos(bucket_url) as folder:
            assert files(folder) == PHOTOS
        assert not folder.exists()
        kept = work.blobs.put(b"evidence")
        assert client(address).head_object(Bucket=address.bucket, Key=address.key(_place(kept.sha256)))["ContentLength"] == 8


def _place(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"
