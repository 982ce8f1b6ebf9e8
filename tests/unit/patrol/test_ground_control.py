"""Ground control reaches a survey from the command line, a job, or the photos' own folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from geo.area import Area, AreaId
from geo.frames import LonLat, metric_frame
from geo.grid import Grid
from patrol import demo
from patrol.pipeline import groundcontrol, surveying
from patrol.pipeline.areas import keep_area
from patrol.pipeline.surveying import SurveyRefused
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace

DAY = date(2026, 10, 8)
LINES = "EPSG:4549\n{x} {y} 5.1 10 20 IMG_0.png A\n{x} {north} 6.3 30 40 IMG_1.png B\n"


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    """An empty store."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        yield made


@pytest.fixture
def area(work: Workplace) -> Area:
    """A hundred metres of Rugao."""
    place = LonLat(lon_deg=120.56, lat_deg=32.39)
    frame = metric_frame(place)
    at = frame.xy(place)
    outline = frame.to_degrees(Grid.over(frame, (at.x_m, at.y_m, at.x_m + 100, at.y_m + 100), 1.0).outline_m)
    return keep_area(work, Area(AreaId("u1"), "一号", outline, gsd_m=0.1, epsg=frame.epsg), by="test")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures that know no place."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3):
        Image.effect_noise((320, 240), 60 + n).convert("RGB").save(folder / f"IMG_{n}.png")
    return folder


def lines(area: Area) -> str:
    at = area.frame.xy(area.centre)
    return LINES.format(x=at.x_m, y=at.y_m, north=at.y_m + 20)


def test_control_among_the_photos_is_used_and_said(area: Area, photos: Path) -> None:
    """Nobody has to name a gcp_list.txt that lies in the folder, and nobody is left guessing that it was used."""
    (photos / "gcp_list.txt").write_text(lines(area))
    found = groundcontrol.chosen(None, photos, area, ["B"])
    assert found is not None
    assert [n.code for n in found.notes] == ["control_found"]
    assert [str(p.role) for p in found.points] == ["control", "check"]


def test_a_broken_line_stops_before_any_work(work: Workplace, area: Area, photos: Path) -> None:
    """The refusal names the line, and nothing is stored."""
    (photos / "gcp_list.txt").write_text(lines(area) + "1 2 3\n")
    with pytest.raises(SurveyRefused, match="line 4"):
        surveying.ingest(work, photos, area.id, DAY, by="test")
    assert not list((work.settings.home / "photos").glob("*"))


def test_photos_without_gps_go_on_with_control(work: Workplace, area: Area, photos: Path) -> None:
    """They are not set aside for their missing place: what stops these is that they show no common ground."""
    (photos / "gcp_list.txt").write_text(lines(area))
    with pytest.raises(SurveyRefused, match=r"tied together|solved together"):
        surveying.ingest(work, photos, area.id, DAY, by="test")
    (photos / "gcp_list.txt").unlink()
    with pytest.raises(SurveyRefused, match="像控点"):
        surveying.ingest(work, photos, area.id, DAY, by="test")


def test_checks_without_control_are_refused(work: Workplace, area: Area, photos: Path) -> None:
    """A check point needs a file that says where it is; a misspelt one is named."""
    with pytest.raises(SurveyRefused, match="no control file"):
        surveying.ingest(work, photos, area.id, DAY, by="test", checks=["A"])
    path = photos.parent / "points.txt"
    path.write_text(lines(area))
    with pytest.raises(SurveyRefused, match="No point is called Z"):
        surveying.ingest(work, photos, area.id, DAY, by="test", control=path, checks=["Z"])
    with pytest.raises(SurveyRefused, match="cannot be read"):
        surveying.ingest(work, photos, area.id, DAY, by="test", control=photos.parent / "none.txt")
