"""A refused survey asks for its gap only, and the make-up flight's photos complete it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from shapely.geometry import mapping, shape

from flight.errors import PlanningError
from geo.area import Area, AreaId
from geo.frames import Frame, LonLat, Pose
from geo.grid import Grid
from geo.progress import Progress, silent
from imagery.control import Control
from imagery.photos import Photo
from imagery.reconstruct import Block, BlockStats, Method, View
from patrol import demo, records, repositories
from patrol.pipeline import areas, makeup, planning, surveying
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.imagery import stage

START = date(2026, 3, 1)
AREA = Area(AreaId("stage"), "stage", stage.FRAME.to_degrees(stage.grid(half_m=15.0).outline_m), gsd_m=0.1, epsg=stage.FRAME.epsg)


@dataclass
class PosesByPlace:
    """A reconstructor that knows how each file was taken, by the name it was written under."""

    poses: dict[str, Pose]
    points: Block

    def reconstruct(
        self,
        photos: Sequence[Photo],
        frame: Frame,
        workdir: Path,
        *,
        reference: Block | None = None,
        control: Control | None = None,
        progress: Progress = silent,
    ) -> Block:
        views = tuple(View(p.sha256, p.path, "c", self.poses[p.path.name.split("-")[-1]], 100) for p in photos)
        stats = BlockStats(len(views), len(views), 0.4, 0.1, stage.HEIGHT_M, 0.5, Method.GIVEN)
        return replace(self.points, views=views, stats=stats, folder=workdir)


def _jpeg(pose: Pose, at: datetime) -> bytes:
    place = stage.FRAME.lonlat(pose.x_m, pose.y_m)

    def dms(degrees: float) -> tuple[float, float, float]:
        return int(degrees), int(degrees * 60) % 60, round(degrees * 3600 % 60, 5)

    exif = Image.Exif()
    exif[0x0110] = "made"
    gps = {1: "N", 2: dms(place.lat_deg), 3: "E", 4: dms(place.lon_deg), 5: 0, 6: stage.HEIGHT_M}
    exif.get_ifd(0x8825).update(gps)
    exif.get_ifd(0x8769).update({0x9003: f"{at:%Y:%m:%d %H:%M:%S}", 0x9011: "+00:00", 0xA405: 30, 0x920A: 5.0})
    out = io.BytesIO()
    Image.fromarray(stage.photograph(pose, stage.texture(), (stage.HOUSE,))).save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        areas.keep_area(made, AREA, by="test")
        yield made


def test_a_survey_with_a_gap_is_completed_by_the_photos_of_its_make_up_flight(
    work: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the photos make a refused survey with a gap over the other half; the rest of them, ingested to complete it, make it whole."""
    poses = {f"{k:03d}.jpg": pose for k, pose in enumerate(stage.poses())}
    folders = tmp_path / "first", tmp_path / "second"
    noon = datetime(2026, 3, 1, 4, tzinfo=UTC)
    for k, (name, pose) in enumerate(poses.items()):
        folder = folders[0] if pose.x_m < stage.CENTRE[0] - 6 else folders[1]
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(_jpeg(pose, noon + timedelta(seconds=3 * k)))
    engine = PosesByPlace(poses, stage.block(tmp_path / "points", at=stage.poses(1, 2)))
    monkeypatch.setattr(Workplace, "reconstructor", lambda self: engine)
    first = surveying.ingest(work, folders[0], AREA.id, START, by="test").survey
    assert not first.accepted
    gap = AREA.frame.to_metres(shape(first.quality["gap"]))
    assert 0.1 < gap.area / AREA.area_m2 < 0.8

    demand = planning.gap_demands([first], {}, [AREA], START)
    assert [d.id for d in demand] == [f"gap:{first.id}"]
    assert demand[0].not_after == START + planning.MAKE_UP_WITHIN

    with pytest.raises(makeup.SurveyRefused, match="not of area"):
        other = replace(AREA, id=AreaId("other"))
        areas.keep_area(work, other, by="test")
        surveying.ingest(work, folders[1], "other", START, by="test", completes=first.id)

    done = surveying.ingest(work, folders[1], AREA.id, START, by="test", completes=first.id).survey
    assert done.accepted, done.quality["reasons"]
    assert done.quality["given"] == len(poses)
    assert done.quality["gap"] is None
    assert surveying.ingest(work, folders[1], AREA.id, START, by="test", completes=first.id).again
    with work.database.read() as session:
        assert repositories.surveys.get(session, first.id).quality == first.quality
        last = repositories.last_accepted(session)
    assert planning.gap_demands([first], last, [AREA], START) == ()


def _refused(gap: object, day: date = START, area: str = "stage") -> records.SurveyRecord:
    quality = {"gap": gap}
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return records.SurveyRecord(f"{area}-{day}", area, day, now, AREA.outline, "s", False, quality, (), {})


def test_a_small_gap_asks_for_one_battery_and_a_large_one_for_the_area() -> None:
    """The demand's place lies in the gap; of two refusals the newer one speaks; without a gap nobody flies."""
    g = stage.grid(half_m=15.0)
    small = AREA.frame.to_degrees(Grid(g.frame, 1.0, g.west_m, g.north_m, 6, 6).outline_m)
    asked = planning.gap_demands(
        [_refused(mapping(small)), _refused(mapping(AREA.outline), START - timedelta(1))], {}, [AREA], START
    )
    assert len(asked) == 1
    assert isinstance(asked[0].place, LonLat)
    assert planning.gap_demands([_refused(mapping(AREA.outline))], {}, [AREA], START)[0].place is None
    assert planning.gap_demands([_refused(None)], {}, [AREA], START) == ()
    with pytest.raises(PlanningError, match="no gap"):
        planning.gap_of(AREA, _refused(None))
