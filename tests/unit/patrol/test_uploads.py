"""Uploads by the rules: what is asked for, what is refused and why, and that nothing is lost on the way. Both databases."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from dispatch.actor import Role
from geo.area import Area, AreaId
from geo.times import FixedClock
from patrol import audit, auth, intake, jobs
from patrol.api.app import make_app
from patrol.pipeline import areas, originals, uploading
from patrol.records import UploadState
from patrol.settings import Settings
from patrol.uploads import uploads
from patrol.wiring import Workplace, workplace

PASSWORD = "correct horse battery"
DAY = "2026-03-04"


def picture(index: int, size: int = 5000) -> bytes:
    """Something that begins as a JPEG does; each index another one."""
    return b"\xff\xd8\xff\xe0" + index.to_bytes(4, "big") + bytes(size - 8)


class Sent(NamedTuple):
    """A file as a client knows it."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def declared(self) -> dict[str, Any]:
        return {"name": self.name, "size_bytes": len(self.content), "sha256": self.sha256}


@pytest.fixture
def work(tmp_path: Path, database_url: str, clock: FixedClock) -> Iterator[Workplace]:
    """A store with an area, two pilots and an officer."""
    settings = Settings(home=tmp_path / "store", database_url=database_url, broker_url="", upload_files=4)
    with workplace(settings, clock=clock) as made:
        areas.keep_area(made, Area(AreaId("a"), "北区", box(120.54, 32.37, 120.56, 32.39)), by="test")
        with made.database.write() as session:
            for login, role in (("pilot", Role.PILOT), ("other", Role.PILOT), ("officer", Role.OFFICER)):
                auth.add_user(session, login, login, frozenset({role}), PASSWORD, by="test", clock=clock)
        yield made


@pytest.fixture
def client(work: Workplace) -> Iterator[TestClient]:
    """The pilot's browser."""
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as made:
        sign_in(made, "pilot")
        yield made


def sign_in(client: TestClient, login: str) -> None:
    client.cookies.clear()
    assert client.post("/api/login", json={"name": login, "password": PASSWORD}).status_code == 200


def begin(client: TestClient) -> str:
    answer = client.post("/api/uploads", json={"area_id": "a", "taken_on": DAY})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def declare(client: TestClient, upload: str, *files: Sent) -> list[dict[str, Any]]:
    answer = client.post(f"/api/uploads/{upload}/files", json={"files": [f.declared for f in files]})
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def put(client: TestClient, upload: str, file: Sent, content: bytes, offset: int = 0) -> Any:
    return client.put(f"/api/uploads/{upload}/contents/{file.sha256}", params={"offset": offset}, content=content)


def test_photos_go_in_and_a_job_is_made_of_them(client: TestClient, work: Workplace) -> None:
    """Open, declare, send, finish: the contents are in the store, a job waits, and the audit chain tells who did it."""
    upload = begin(client)
    assert begin(client) == upload  # the same area and day is the same upload
    files = [Sent("DJI_0001.JPG", picture(1)), Sent("101MEDIA/DJI_0001.JPG", picture(2)), Sent("geo.txt", b"EPSG:4326\n")]
    assert [a["state"] for a in declare(client, upload, *files)] == ["wanted"] * 3
    assert client.post(f"/api/uploads/{upload}/finish").json()["code"] == "lacking"
    for file in files:
        assert put(client, upload, file, file.content).json() == {
            "received": len(file.content),
            "size_bytes": len(file.content),
            "stored": True,
        }
        assert work.blobs.read(file.sha256) == file.content
    told = client.post(f"/api/uploads/{upload}/finish").json()
    assert (told["state"], told["files"], told["stored_files"]) == ("finished", 3, 3)
    assert told["job"]["kind"] == "ingest_upload"
    assert client.post(f"/api/uploads/{upload}/finish").json()["job"]["id"] == told["job"]["id"]
    with work.database.read() as session:
        acts = [e.action for e in audit.entries(session, subject=f"upload:{upload}")]
        assert jobs.shelf.get(session, told["job"]["id"]).args["upload_id"] == upload
        assert audit.verify(session) is None
    assert acts == ["upload.open", "upload.finish"]
    assert not (work.settings.uploads_dir / upload).exists()
    laid = uploading.lay_out(work, upload)
    assert {p.relative_to(laid).as_posix(): p.read_bytes() for p in laid.rglob("*") if p.is_file()} == dict(files)


def test_how_the_survey_is_packed_is_said_once(client: TestClient, work: Workplace) -> None:
    """With the finish; a job that failed is tried again as it was asked for, unless something else is said."""
    upload = begin(client)
    file = Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    put(client, upload, file, file.content)

    def packed(body: dict[str, Any] | None) -> str:
        told = client.post(f"/api/uploads/{upload}/finish", json=body).json()
        with work.database.write() as session:
            job = jobs.shelf.get(session, told["job"]["id"])
            jobs.cancel(session, job.id, by="test", clock=work.clock)
        return str(job.args["compression"])

    assert packed({"lossless": True}) == "lossless"
    assert packed(None) == packed({}) == "lossless"
    assert packed({"lossless": False}) == packed({}) == "jpeg"


def test_what_is_in_the_store_is_not_asked_for_again(client: TestClient, work: Workplace) -> None:
    """A photo is known by its content, whatever its name and whoever brought it; a size that cannot be is refused."""
    file = Sent("DJI_0001.JPG", picture(1))
    work.blobs.put(file.content)
    upload = begin(client)
    assert [a["state"] for a in declare(client, upload, file, file._replace(name="again.jpg"))] == ["stored", "stored"]
    answer = client.post(f"/api/uploads/{upload}/files", json={"files": [{**file.declared, "size_bytes": 7}]}).json()[0]
    assert answer["state"] == "refused"
    assert "大小" in answer["reason"]["zh"]


def test_a_broken_off_file_goes_on_where_it_stopped(client: TestClient) -> None:
    """The server says how much it has; a chunk elsewhere is refused with the right place and changes nothing."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    assert put(client, upload, file, file.content[:1000]).json()["received"] == 1000
    assert declare(client, upload, file)[0]["received"] == 1000
    for offset in (0, 999, 1001, 4999):
        answer = put(client, upload, file, file.content[offset : offset + 1], offset)
        assert answer.status_code == 409
        assert answer.headers["Upload-Offset"] == "1000"
        assert "1000" in answer.json()["text"]["zh"]
    assert put(client, upload, file, file.content[1000:], 1000).json()["stored"]
    # the answer to the last chunk was lost: it comes again and is told the same
    assert put(client, upload, file, file.content[1000:], 1000).json()["stored"]


def test_all_bytes_but_no_answer_is_settled_by_an_empty_chunk(client: TestClient, work: Workplace) -> None:
    """A server that was killed between the last byte and the store finds the part whole: nothing is sent again."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    part = uploading.parts_of(work).path(upload, file.sha256)
    part.parent.mkdir(parents=True)
    part.write_bytes(file.content)
    assert declare(client, upload, file)[0]["received"] == len(file.content)
    assert put(client, upload, file, b"", len(file.content)).json()["stored"]


def test_a_wrong_hash_is_refused_with_a_sentence_and_dropped(client: TestClient, work: Workplace) -> None:
    """Damage on the way never reaches the store; the file is then sent anew from its first byte."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    answer = put(client, upload, file, picture(2))
    assert answer.status_code == 422
    assert answer.json()["code"] == "damaged"
    assert "DJI_0001.JPG" in answer.json()["text"]["zh"]
    assert list(work.blobs.all()) == []
    assert declare(client, upload, file)[0] | {"name": ""} == {
        "name": "",
        "sha256": file.sha256,
        "state": "wanted",
        "received": 0,
        "reason": None,
    }
    assert put(client, upload, file, file.content).json()["stored"]


def test_content_that_is_no_photo_is_refused_at_its_first_bytes(client: TestClient, work: Workplace) -> None:
    """A renamed program is refused however small its first chunk is, and taken out of the upload."""
    upload, file = begin(client), Sent("DJI_0001.JPG", b"MZ" + bytes(6000))
    declare(client, upload, file)
    assert put(client, upload, file, file.content[:100]).status_code == 200
    answer = put(client, upload, file, file.content[100:], 100)
    assert answer.status_code == 422
    assert "JPEG" in answer.json()["text"]["en"]
    assert client.get(f"/api/uploads/{upload}").json()["files"] == 0
    assert put(client, upload, file, file.content).status_code == 404
    assert list(work.blobs.all()) == []


def test_more_bytes_than_declared_are_refused(client: TestClient) -> None:
    """With or without a length in the request; what fits stays."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    assert put(client, upload, file, file.content + b"x").status_code == 413

    def unsized() -> Iterator[bytes]:
        yield file.content
        yield b"x" * 2_000_000

    assert client.put(f"/api/uploads/{upload}/contents/{file.sha256}?offset=0", content=unsized()).status_code == 413
    assert put(client, upload, file, file.content).json()["stored"]


OUTSIDE = (
    "../../etc/passwd.jpg",
    "/etc/a.jpg",
    "a/../b.jpg",
    "a\\b.jpg",
    "a//b.jpg",
    "./a.jpg",
    "a\0.jpg",
    "a\n.jpg",
    "x" * 300 + ".jpg",
)


def test_no_name_leads_out_of_the_folder(client: TestClient) -> None:
    """Such names are refused, each by itself; the others of their batch are taken."""
    answers = declare(client, begin(client), *(Sent(name, picture(1)) for name in OUTSIDE), Sent("照片/一.jpg", picture(2)))
    assert [a["state"] for a in answers] == ["refused"] * len(OUTSIDE) + ["wanted"]
    assert all(set(a["reason"]) == {"zh", "en"} for a in answers[:-1])


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("run.exe", 10, "kind"),
        ("Thumbs", 10, "kind"),
        ("._DJI_0001.JPG", 10, "hidden"),
        ("a.jpg", 0, "empty"),
        ("a.jpg", 251_000_000, "too_large"),
        ("geo.txt", 60_000_000, "too_large"),
    ],
)
def test_what_cannot_be_a_photo_is_refused_before_it_is_sent(name: str, size: int, said: str) -> None:
    """By name and size alone."""
    refusal = intake.unfit(name, size, 250_000_000)
    assert refusal is not None
    assert refusal.code == said


@given(st.text(max_size=60))
def test_a_name_that_is_taken_stays_below_its_folder(name: str) -> None:
    """Whatever the name: when it is not refused, the path made of it is below the folder, and is not hidden."""
    if intake.unfit_name(name) is None:
        path = (Path("/store/folder") / name).resolve()
        assert Path("/store/folder") in path.parents
        assert not path.name.startswith(".")


def test_another_persons_upload_and_a_role_without_leave_are_refused(client: TestClient) -> None:
    """A colleague neither sees nor changes it; an officer may not upload at all."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    sign_in(client, "other")
    assert client.get("/api/uploads").json() == []
    for answer in (
        client.get(f"/api/uploads/{upload}"),
        client.post(f"/api/uploads/{upload}/files", json={"files": [file.declared]}),
        put(client, upload, file, file.content),
        client.post(f"/api/uploads/{upload}/finish"),
        client.post(f"/api/uploads/{upload}/drop"),
    ):
        assert answer.status_code == 403
        assert answer.json()["code"] == "foreign"
    assert begin(client) != upload
    sign_in(client, "officer")
    assert client.post("/api/uploads", json={"area_id": "a", "taken_on": DAY}).status_code == 403


def test_bounds_are_said_with_what_to_do(client: TestClient, work: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, no room on the disk, a day to come, no such area: each a sentence in both languages."""
    upload = begin(client)
    body = {"files": [Sent(f"{i}.jpg", picture(i)).declared for i in range(5)]}
    answer = client.post(f"/api/uploads/{upload}/files", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many")
    assert client.get(f"/api/uploads/{upload}").json()["files"] == 0  # all or none
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("patrol.pipeline.uploading.shutil.disk_usage", lambda _: usage._replace(free=1_000_000_100))
    answer = client.post(f"/api/uploads/{upload}/files", json={"files": body["files"][:1]})
    assert (answer.status_code, answer.json()["code"]) == (507, "no_room")
    assert "GB" in answer.json()["text"]["zh"]
    assert client.post("/api/uploads", json={"area_id": "a", "taken_on": "2027-01-01"}).json()["code"] == "date"
    assert client.post("/api/uploads", json={"area_id": "nowhere", "taken_on": DAY}).status_code == 404
    assert client.post("/api/uploads", json={"area_id": "a", "taken_on": DAY, "flight_id": "x"}).status_code == 404


def test_an_upload_that_nobody_goes_on_with_is_swept(client: TestClient, work: Workplace, clock: FixedClock) -> None:
    """After its days it is given up and its parts are removed; one that goes on stays; what is in the store stays as well."""
    upload, file, kept = begin(client), Sent("DJI_0001.JPG", picture(1)), Sent("DJI_0002.JPG", picture(2))
    declare(client, upload, file, kept)
    put(client, upload, file, file.content[:1000])
    put(client, upload, kept, kept.content)
    assert uploading.sweep(work) == 0
    later = Workplace(work.settings, work.database, work.blobs, FixedClock(clock.now() + timedelta(days=7, minutes=1)))
    assert uploading.sweep(later) == 1
    with work.database.read() as session:
        assert uploads.get(session, upload).state is UploadState.DROPPED
    assert uploading.parts_of(work).uploads() == ()
    assert work.blobs.has(kept.sha256)
    assert put(client, upload, file, file.content[1000:], 1000).json()["code"] == "over"
    again = begin(client)
    assert [a["state"] for a in declare(client, again, file, kept)] == ["wanted", "stored"]


def test_an_upload_that_is_given_up_leaves_no_parts(client: TestClient, work: Workplace) -> None:
    """And nothing more can be sent into it."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    put(client, upload, file, file.content[:1000])
    assert client.post(f"/api/uploads/{upload}/drop").status_code == 204
    assert uploading.parts_of(work).uploads() == ()
    assert put(client, upload, file, file.content[1000:], 1000).status_code == 409
    assert client.get("/api/uploads").json() == []


def test_an_uploaded_photo_takes_its_room_on_the_disk_once(client: TestClient, work: Workplace, tmp_path: Path) -> None:
    """The ingest's folder and the kept original are other names of the blob's file; a photo from elsewhere is copied."""
    upload, file = begin(client), Sent("DJI_0001.JPG", picture(1))
    declare(client, upload, file)
    put(client, upload, file, file.content)
    laid = uploading.lay_out(work, upload) / file.name
    kept, elsewhere = tmp_path / "kept", tmp_path / "elsewhere.jpg"
    originals.copy(work, laid, kept)
    assert kept.stat().st_ino == laid.stat().st_ino == work.blobs.local(file.sha256).stat().st_ino
    elsewhere.write_bytes(file.content)
    originals.copy(work, elsewhere, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_ino != elsewhere.stat().st_ino


def test_uploads_go_into_a_bucket_as_well(sqlite_url: str, tmp_path: Path, bucket_url: str, clock: FixedClock) -> None:
    """With the blob store in S3: sent, proved, deduplicated, and laid out for the ingest by way of the cache."""
    settings = Settings(home=tmp_path / "store", database_url=sqlite_url, broker_url="", blobs_url=bucket_url)
    with workplace(settings, clock=clock) as work:
        areas.keep_area(work, Area(AreaId("a"), "北区", box(120.54, 32.37, 120.56, 32.39)), by="test")
        with work.database.write() as session:
            auth.add_user(session, "pilot", "pilot", frozenset({Role.PILOT}), PASSWORD, by="test", clock=clock)
        with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as client:
            sign_in(client, "pilot")
            upload, file = begin(client), Sent("100MEDIA/DJI_0001.JPG", picture(1))
            declare(client, upload, file)
            assert put(client, upload, file, picture(2)).json()["code"] == "damaged"
            assert put(client, upload, file, file.content).json()["stored"]
            assert declare(client, upload, file)[0]["state"] == "stored"
            assert client.post(f"/api/uploads/{upload}/finish").json()["state"] == "finished"
        assert list(work.blobs.all()) == [file.sha256]
        assert not (settings.blobs_dir).exists()
        assert (uploading.lay_out(work, upload) / file.name).read_bytes() == file.content
