from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from geo.area import Area, AreaId
from geo.frames import LonLat, metric_frame
from imagery import raster, survey
from imagery.errors import SurveyError
from imagery.survey import Survey
from tests.unit.imagery import conftest as made
from tests.unit.imagery import stage

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "repeat_ortho" / "fort_collins"


def _other_program(folder: Path, *, east: float, north: float, turn_deg: float, gsd_m: float = 0.08) -> tuple[Path, Path]:
    """A georeferenced ortho and surface of the place, made elsewhere: moved, turned and counted from another height."""
    grid = stage.grid(gsd_m)
    angle = np.radians(turn_deg)
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    middle = np.array(grid.shape[::-1]) / 2
    matrix[:, 2] = middle - matrix[:, :2] @ middle
    colours = cv2.warpAffine(stage.seen_from_above(grid), matrix, grid.shape[::-1], flags=cv2.INTER_CUBIC)
    heights = cv2.warpAffine(stage.true_heights(grid) + 100, matrix, grid.shape[::-1], borderValue=np.nan)
    place = Affine(gsd_m, 0, grid.west_m + east, 0, -gsd_m, grid.north_m + north)
    profile = {"driver": "GTiff", "height": grid.rows, "width": grid.cols, "crs": f"EPSG:{grid.frame.epsg}", "transform": place}
    with rasterio.open(folder / "ortho.tif", "w", count=3, dtype="uint8", **profile) as file:
        file.write(np.moveaxis(colours, -1, 0))
    with rasterio.open(folder / "dsm.tif", "w", count=1, dtype="float32", nodata=-9999.0, **profile) as file:
        file.write(np.nan_to_num(heights, nan=-9999.0), 1)
    return folder / "ortho.tif", folder / "dsm.tif"


def test_an_ortho_of_another_program_is_brought_home(before: Survey, tmp_path: Path) -> None:
    """Three metres off, a degree turned, a hundred metres up: registered to the reference all of it is gone, roofs stay where they are."""
    ortho, dsm = _other_program(tmp_path, east=2.4, north=-1.8, turn_deg=1.0)
    found = survey.adopt(ortho, dsm, made.area(), date(2026, 2, 1), tmp_path / "s", reference=before)
    assert found.grid == before.grid
    assert found.quality.accepted
    assert found.quality.method == "registered"
    assert found.quality.residual_median_px is not None and found.quality.residual_median_px < 0.3
    assert found.surface is not None
    error = raster.read_window(found.surface) - stage.true_heights(found.grid)
    assert abs(float(np.nanmedian(error))) < 0.05
    assert np.nanmean(np.abs(error) > 0.5) < 0.03


def test_the_first_georeferenced_ortho_stays_where_it_says_it_is(tmp_path: Path) -> None:
    """Without a reference a file's own place is taken, cell by cell."""
    ortho, dsm = _other_program(tmp_path, east=0.0, north=0.0, turn_deg=0.0, gsd_m=0.1)
    found = survey.adopt(ortho, dsm, made.area(), date(2026, 2, 1), tmp_path / "s")
    true = stage.seen_from_above(found.grid)
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(int) for p in (raster.read_window(found.ortho), true)]
    assert np.abs(grey[0] - grey[1]).mean() < 4  # JPEG
    assert found.quality.method == "georeference"
    assert found.surface is not None
    assert np.allclose(raster.read_window(found.surface), stage.true_heights(found.grid) + 100, atol=1e-3)


def test_a_picture_without_a_place_needs_its_ground_sampling(tmp_path: Path) -> None:
    """The first picture of an area must say how wide its pixels are; then it lies at the area's centre."""
    grid = stage.grid(0.1, half_m=18.0)
    path = tmp_path / "site.png"
    cv2.imwrite(str(path), stage.seen_from_above(grid)[..., ::-1])
    with pytest.raises(SurveyError, match="gsd_m"):
        survey.adopt(path, None, made.area(), date(2026, 2, 1), tmp_path / "s")
    found = survey.adopt(path, None, made.area(), date(2026, 2, 1), tmp_path / "t", gsd_m=0.1)
    true = stage.seen_from_above(found.grid)
    middle = np.s_[50:-50, 50:-50]
    assert np.abs(raster.read_window(found.ortho).astype(int)[middle] - true[middle]).mean() < 20
    assert any(r.code == "no_place" for r in found.quality.reasons)


def test_a_picture_of_another_place_is_refused_with_numbers(before: Survey, tmp_path: Path) -> None:
    """What does not match is not laid anywhere, and nothing is left behind as a survey."""
    path = tmp_path / "other.png"
    cv2.imwrite(str(path), stage.seen_from_above(stage.grid(0.1), seed=7)[..., ::-1])
    with pytest.raises(SurveyError, match=r"cannot be registered.*at least") as refused:
        survey.adopt(path, None, made.area(), date(2026, 2, 1), tmp_path / "s", reference=before)
    assert "other.png" in str(refused.value)
    with pytest.raises(SurveyError):
        Survey.load(tmp_path / "s")


def test_a_wrong_ground_sampling_is_named(before: Survey, tmp_path: Path) -> None:
    """A gsd that is half of the truth is refused, with the factor or the numbers."""
    path = tmp_path / "site.png"
    cv2.imwrite(str(path), stage.seen_from_above(stage.grid(0.1))[..., ::-1])
    with pytest.raises(SurveyError, match="ground sampling"):
        survey.adopt(path, None, made.area(), date(2026, 2, 1), tmp_path / "s", reference=before, gsd_m=0.05)


def test_a_surface_is_no_ortho(before: Survey, tmp_path: Path) -> None:
    """Heights given as a picture are refused by what they are."""
    _, dsm = _other_program(tmp_path, east=0, north=0, turn_deg=0)
    with pytest.raises(SurveyError, match="8 bits"):
        survey.adopt(dsm, None, made.area(), date(2026, 2, 1), tmp_path / "s", reference=before)


def test_a_real_site_is_found_again_after_three_months_of_digging(tmp_path: Path) -> None:
    """Two maps of a building site without georeference, most of it changed: what stayed (roads, neighbours) lies on itself."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: the real building site is not tested")
    centre = LonLat(lon_deg=-105.08, lat_deg=40.55)
    frame = metric_frame(centre)
    m = frame.xy(centre)
    outline = frame.to_degrees(box(m.x_m - 150, m.y_m - 160, m.x_m + 150, m.y_m + 160))
    area = Area(AreaId("site"), "site", outline, gsd_m=0.146, epsg=frame.epsg)
    first = survey.adopt(SHARED / "2023-12-08.jpg", None, area, date(2023, 12, 8), tmp_path / "a", gsd_m=0.146)
    second = survey.adopt(SHARED / "2024-03-12.jpg", None, area, date(2024, 3, 12), tmp_path / "b", reference=first)
    assert second.quality.accepted
    assert second.quality.residual_median_px is not None and second.quality.residual_median_px < 0.6
    assert second.quality.coverage > 0.99
