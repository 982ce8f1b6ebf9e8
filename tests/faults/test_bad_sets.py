"""Bad sets of photos through `ingest`: each is told what is wrong, where and what to do, and the surveys before it stay as they are.

The photos are of the made-up place, and the engine knows their poses: what is tested is all that lies around it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from geo.frames import Pose
from patrol import demo, records, repositories
from patrol.pipeline.areas import keep_area
from patrol.pipeline.surveying import SurveyRefused, adopt, ingest
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.faults.test_full_disk import no_more_than
from tests.unit.imagery import stage
from tests.unit.patrol.placed import AREA, PosesByPlace, jpeg

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
POSES = {f"DJI_{k + 1:04d}.JPG": pose for k, pose in enumerate(stage.poses())}


@dataclass(frozen=True)
class Place:
    """A store with one good survey, the photos it was made of, and its engine."""

    work: Workplace
    photos: Path
    engine: PosesByPlace
    first: records.SurveyRecord


def taken(pose: Pose, number: int) -> bytes:
    """A photo of the place, the `number`th of its flight."""
    return jpeg(pose, NOON + timedelta(seconds=3 * number))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One good survey of the place."""
    home = tmp_path_factory.mktemp("sets")
    photos = home / "photos"
    photos.mkdir()
    for number, (name, pose) in enumerate(POSES.items()):
        (photos / name).write_bytes(taken(pose, number))
    settings = Settings(home=home / "store", database_url="", broker_url="")
    demo.fresh(settings)
    engine = PosesByPlace(dict(POSES), stage.block(home / "points", at=stage.poses(1, 2)))
    with pytest.MonkeyPatch.context() as patch, workplace(settings) as work:
        patch.setattr(Workplace, "reconstructor", lambda self: engine)
        keep_area(work, AREA, by="test")
        first = ingest(work, photos, AREA.id, date(2026, 2, 1), by="test").survey
        assert first.accepted
        yield Place(work, photos, engine, first)


@pytest.fixture
def folder(place: Place, tmp_path: Path) -> Path:
    """A copy of the photos, to be spoilt."""
    made = tmp_path / "card"
    made.mkdir()
    for path in place.photos.iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    return made


@pytest.fixture(autouse=True)
def untouched(place: Place) -> Iterator[None]:
    """Whatever a test does, the first survey's files and record are what they were."""

    def kept() -> dict[str, str]:
        home = place.work.settings.home / place.first.folder
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(home.rglob("*")) if p.is_file()}

    before = kept()
    yield
    assert kept() == before
    with place.work.database.read() as session:
        assert repositories.surveys.get(session, place.first.id) == place.first


def both(text: str) -> bool:
    return any("一" <= c <= "鿿" for c in text) and any("a" <= c <= "z" for c in text)


def retake(
    path: Path,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    model: str = "made",
    north_deg: float = 0.0,
    east_deg: float = 0.0,
) -> None:
    """The same photo with other pixels, by another camera, or at another place."""
    with Image.open(path) as picture:
        exif, pixels = picture.getexif(), np.asarray(picture.convert("RGB"))
        gps, lens = exif.get_ifd(0x8825), exif.get_ifd(0x8769)
        for tag, more in ((2, north_deg), (4, east_deg)):
            degrees, minutes, seconds = gps[tag]
            gps[tag] = (float(degrees) + more, float(minutes), float(seconds))
        exif[0x0110] = model
        assert lens
        out = io.BytesIO()
        Image.fromarray(change(pixels) if change else pixels).save(out, "JPEG", quality=92, exif=exif)
    path.write_bytes(out.getvalue())


DAYS = iter(date(2026, 3, 1) + timedelta(days=n) for n in range(100))


def refused(place: Place, folder: Path) -> str:
    """What is said of photos that make no survey at all."""
    with pytest.raises(SurveyRefused) as caught:
        ingest(place.work, folder, AREA.id, next(DAYS), by="test")
    assert both(str(caught.value))
    with place.work.database.read() as session:
        assert [s for s in repositories.surveys_of(session, AREA.id, accepted=True) if s.id == place.first.id]
    return str(caught.value)


def blur_all(folder: Path) -> None:
    for path in folder.iterdir():
        retake(path, lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 5.0))


def into_the_sea(folder: Path) -> None:
    for path in folder.iterdir():
        retake(path, north_deg=-2.5)


def cut_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:20_000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (blur_all, ("模糊", "clean the lens", "fly again")),
        (into_the_sea, ("别处", "24.60", "right area")),
        (cut_all, ("都不能用", "DJI_0001.JPG", "copy it again")),
    ],
)
def test_a_set_that_shows_nothing_is_refused(
    place: Place, folder: Path, spoil: Callable[[Path], None], said: tuple[str, ...]
) -> None:
    """All blurred, in the sea, all cut off: the sentence says which, and what to do."""
    spoil(folder)
    sentence = refused(place, folder)
    assert all(words in sentence for words in said), sentence


def strange(folder: Path) -> str:
    """A photo of another place."""
    (folder / "DJI_0016.JPG").write_bytes(taken(stage.poses()[3], 16))
    retake(folder / "DJI_0016.JPG", north_deg=0.4)
    return "DJI_0016.JPG"


def cut(folder: Path) -> str:
    """A truncated JPEG."""
    path = folder / "DJI_0008.JPG"
    path.write_bytes(path.read_bytes()[:40_000])
    return path.name


def huge(folder: Path) -> str:
    """A picture of 30,000 x 30,000 pixels."""
    Image.new("1", (30_000, 30_000)).save(folder / "HUGE.PNG")
    return "HUGE.PNG"


def virtual(folder: Path) -> str:
    """A VRT under another name."""
    (folder / "map.tif").write_text("<VRTDataset rasterXSize='9' rasterYSize='9'><SRS>EPSG:4326</SRS></VRTDataset>")
    return "map.tif"


LEFT_OUT = {
    strange: ("别处", "another place"),
    cut: ("不完整或损坏", "copy it again from the card"),
    huge: ("1.79 亿像素", "179 megapixels", "ingest-ortho"),
    virtual: ("不论叫什么名字", "whatever its name says", "take it out"),
}


def test_what_does_not_belong_is_left_out_by_name(place: Place, folder: Path) -> None:
    """A photo of another place, one cut off, one of 30,000 x 30,000 pixels and a VRT that calls itself a picture: each is named once with
    its reason, and the rest becomes a survey."""
    said = {spoil(folder): words for spoil, words in LEFT_OUT.items()}
    done = ingest(place.work, folder, AREA.id, next(DAYS), by="test")
    assert {name for name, _ in done.left_out} == said.keys()
    for name, why in done.left_out:
        assert name not in why and both(why) and all(words in why for words in said[name]), why
    assert done.survey.accepted and done.survey.reference_id == place.first.id


def test_two_cameras_are_said_and_used(place: Place, folder: Path) -> None:
    """Which, how many photos each, and that nothing has to be done."""
    for number in range(9, 16):
        retake(folder / f"DJI_{number:04d}.JPG", model="other")
    done = ingest(place.work, folder, AREA.id, next(DAYS), by="test")
    (note,) = (n for n in done.notes if n.code == "several_cameras")
    assert "8" in note.en and "7" in note.en and "own lens" in note.en and "镜头" in note.zh
    assert {p.model for p in place.engine.asked[-1][0]} == {"made", "other"}
    assert not done.left_out and done.survey.accepted


def test_a_hole_of_200_metres_is_said_with_its_place(place: Place, folder: Path) -> None:
    """How wide, where, and that it is to be flown: before the work begins, and on the survey's record."""
    for name, pose in POSES.items():
        if pose.x_m > stage.CENTRE[0] + 6:
            place.engine.poses[f"FAR_{name}"] = replace(pose, x_m=pose.x_m + 200)
            retake(folder / name, east_deg=200 / 111_320 / np.cos(np.radians(27.1)))
            (folder / name).rename(folder / f"FAR_{name}")
    done = ingest(place.work, folder, AREA.id, next(DAYS), by="test")
    (note,) = (n for n in done.notes if n.code == "hole")
    assert note.number == pytest.approx(212, abs=3)  # 12 m lay between them before
    assert "120.98" in note.en and "fly the hole" in note.en and "补飞" in note.zh
    assert "hole" in {r["code"] for r in done.survey.quality["reasons"]}


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("ortho.tif", lambda path: path.write_text("<VRTDataset rasterXSize='9' rasterYSize='9'/>"), ("不论叫什么", "no GeoTIFF")),
        ("ortho.png", lambda path: Image.new("1", (30_000, 30_000)).save(path), ("30000", "分块 GeoTIFF", "tiled GeoTIFF")),
        ("ortho.jpg", lambda path: path.write_bytes(taken(stage.poses()[0], 0)[:40_000]), ("不完整", "cut off", "copy it again")),
        ("heights.tif", lambda path: cv2.imwrite(str(path), np.zeros((50, 50), np.float32)), ("波段", "8 bits")),
    ],
)  # fmt: skip
def test_a_bad_orthophoto_is_refused(
    place: Place, tmp_path: Path, name: str, spoil: Callable[[Path], object], said: tuple[str, ...]
) -> None:
    """A VRT, one too large to be decoded, one cut off, heights instead of colours: the file is named once, and nothing is stored."""
    spoil(tmp_path / name)
    with pytest.raises(SurveyRefused) as caught:
        adopt(place.work, tmp_path / name, AREA.id, next(DAYS), by="test", gsd_m=0.1)
    sentence = str(caught.value)
    assert sentence.startswith(name) and both(sentence) and all(words in sentence for words in said), sentence


def test_a_disk_that_fills_up_is_no_error_of_the_program(place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says that it is full and that the next try goes on from there; and it does."""
    reconstruct, day = PosesByPlace.reconstruct, next(DAYS)

    def full(self: PosesByPlace, *given: Any, **named: Any) -> Any:
        with no_more_than(100):
            (place.work.settings.home / "filling").write_bytes(bytes(1000))

    monkeypatch.setattr(PosesByPlace, "reconstruct", full)
    with pytest.raises(SurveyRefused, match=r"磁盘.*free some space.*goes on where it stopped"):
        ingest(place.work, folder, AREA.id, day, by="test")
    monkeypatch.setattr(PosesByPlace, "reconstruct", reconstruct)
    assert ingest(place.work, folder, AREA.id, day, by="test").survey.accepted
