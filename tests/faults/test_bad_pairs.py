"""Pairs of surveys that cannot be compared: each is refused in a sentence of both languages, and what was compared before stays as it was."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import Resampling, reproject
from shapely.geometry import mapping

from change_detect import units
from change_detect.candidate import Kind
from change_detect.errors import AlignError
from geo.datums import gcj02
from geo.frames import LonLat
from patrol import demo, registry, repositories
from patrol.pipeline import areas, comparing, registering, surveying
from patrol.pipeline.comparing import ComparisonRefused
from patrol.registercolumns import RegisterRefused
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.change_detect import graphs
from tests.unit.patrol.built import Block, adopted, area

HOUSES = (Block(10, 10, 9, 7, 5.0), Block(55, 12, 8, 10, 6.5), Block(14, 55, 12, 8, 4.0))
NEW = Block(45, 48, 9, 7, 4.0)
DAYS = (date(2026, 9, 20), date(2026, 10, 20), date(2026, 11, 20))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which two good surveys were compared and a third, good one waits."""
    home = tmp_path_factory.mktemp("pairs")
    settings = Settings(home=home / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        areas.keep_area(work, area(), by="test")
        for number, (day, things) in enumerate(zip(DAYS, (HOUSES, (*HOUSES, NEW), (*HOUSES, NEW)), strict=True)):
            adopted(work, home / str(number), day, things)
        before, after, _ = surveys(work)
        comparing.compare(work, "a1", before, after, by="test")
    return settings.home


@pytest.fixture
def work(compared: Path, tmp_path: Path) -> Iterator[Workplace]:
    """A copy of that home, to spoil."""
    shutil.copytree(compared, tmp_path / "store")
    with workplace(Settings(home=tmp_path / "store", database_url="", broker_url="")) as made:
        yield made


def surveys(work: Workplace) -> tuple[str, str, str]:
    with work.database.read() as session:
        first, second, third = sorted(repositories.surveys_of(session, "a1"), key=lambda s: s.taken_on)
    return first.id, second.id, third.id


def told(work: Workplace) -> Mapping[str, Any]:
    """Everything that comparisons have said so far."""
    with work.database.read() as session:
        return {
            "comparisons": repositories.comparisons_of(session, "a1"),
            "candidates": tuple(repositories.candidates.where(session)),
            "findings": tuple(repositories.findings.where(session)),
            "sightings": tuple(repositories.sightings.where(session)),
        }


def layer(work: Workplace, survey_id: str, role: str) -> Path:
    with work.database.read() as session:
        record = repositories.surveys.get(session, survey_id)
    asset = record.asset(role)
    assert asset is not None
    return work.settings.home / record.folder / asset.path


def rewritten(path: Path, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], **profile: Any) -> None:
    """The file again with other values and another mask; `profile` says what else of it is other."""
    with rasterio.open(path) as file:
        old, mask = file.profile, file.dataset_mask()
        values, mask = change(file.read(), mask)
    rows, cols = values.shape[1:]
    kept = {k: old[k] for k in ("dtype", "count", "crs", "transform", "nodata")}
    path.unlink()
    with rasterio.open(path, "w", driver="GTiff", height=rows, width=cols, **{**kept, **profile}) as out:
        out.write(values)
        if kept["nodata"] is None:
            out.write_mask(mask)


def all_invalid(work: Workplace, survey_id: str) -> None:
    rewritten(layer(work, survey_id, "ortho"), lambda values, mask: (values, np.zeros_like(mask)))


def nan_surface(work: Workplace, survey_id: str) -> None:
    rewritten(layer(work, survey_id, "surface"), lambda values, mask: (np.full_like(values, np.nan), mask), nodata=np.nan)


def times(factor: float) -> Callable[[Workplace, str], None]:
    def spoil(work: Workplace, survey_id: str) -> None:
        rewritten(layer(work, survey_id, "surface"), lambda values, mask: (values * np.float32(factor), mask))

    return spoil


def elsewhere(work: Workplace, survey_id: str) -> None:
    for role in ("ortho", "surface"):
        path = layer(work, survey_id, role)
        with rasterio.open(path) as file:
            moved = rasterio.Affine.translation(5000.0, 0.0) @ file.transform
        rewritten(path, lambda values, mask: (values, mask), transform=moved)


def without_place(work: Workplace, survey_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # which is the point
        rewritten(layer(work, survey_id, "ortho"), lambda v, m: (v, m), crs=None, transform=rasterio.Affine.identity())


def another_frame(work: Workplace, survey_id: str) -> None:
    """Only the surface: as when a layer was exchanged by hand for one out of another program."""
    rewritten(layer(work, survey_id, "surface"), lambda values, mask: (values, mask), crs="EPSG:32651")


def torn(work: Workplace, survey_id: str) -> None:
    path = layer(work, survey_id, "ortho")
    path.write_bytes(path.read_bytes()[:300])


BAD: tuple[tuple[str, Callable[[Workplace, str], None], str, str], ...] = (
    ("all invalid", all_invalid, "重合", "share 0.0% of the area"),
    ("a surface of NaN", nan_surface, "平坦地面", "compare the orthos alone"),
    ("a surface in feet", times(3.28084), "英尺", "in feet"),
    ("a surface in centimetres", times(100.0), "厘米", "in centimetres"),
    ("a surface in millimetres", times(1000.0), "毫米", "in millimetres"),
    ("a surface in no known unit", times(5.0), "单位不是米", "not in metres"),
    ("no overlap", elsewhere, "重合", "they show different places"),
    ("no georeference", without_place, "没有坐标信息", "has no georeference"),
    ("a surface in another frame", another_frame, "EPSG:32651", "the area works in"),
    ("a torn file", torn, "无法作为带坐标的影像读取", "cannot be read"),
)


@pytest.mark.parametrize(("spoil", "zh", "en"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_pair_that_cannot_be_compared_says_so_and_leaves_all_else(
    work: Workplace, spoil: Callable[[Workplace, str], None], zh: str, en: str
) -> None:
    """Which surveys, what is wrong, what to do, in both languages; comparisons, findings and sightings before it are untouched."""
    _, second, third = surveys(work)
    spoil(work, third)
    before = told(work)
    with pytest.raises(ComparisonRefused) as refused:
        comparing.compare(work, "a1", second, third, by="test")
    said = str(refused.value)
    chinese, _, english = said.partition(" / ")
    assert zh in chinese
    assert en in english
    assert second in chinese
    assert third in english
    assert told(work) == before


@pytest.mark.parametrize("spoil", [times(1 / 3.28084), times(0.01)], ids=["feet", "centimetres"])
def test_the_earlier_surface_in_another_unit_is_named_as_the_odd_one(
    work: Workplace, spoil: Callable[[Workplace, str], None]
) -> None:
    """The larger relief is in the smaller unit, whichever date it is."""
    _, second, third = surveys(work)
    spoil(work, third)
    with pytest.raises(ComparisonRefused, match=r"2026-10-20 surface\.tif"):
        comparing.compare(work, "a1", second, third, by="test")


def test_surveys_on_different_grids_are_compared_all_the_same(work: Workplace, tmp_path: Path) -> None:
    """Other cells, shifted by a part of one, show the same new building and no more: a grid is no reason to refuse."""
    first, _, third = surveys(work)
    given = {}
    for role, fill in (("ortho", None), ("surface", np.nan)):
        given[role] = tmp_path / f"{role}.tif"
        with rasterio.open(layer(work, third, role)) as file:
            transform = rasterio.Affine(0.25, 0, file.transform.c - 1.13, 0, -0.25, file.transform.f + 0.87)
            rows, cols = int(file.height * 0.8) + 8, int(file.width * 0.8) + 10
            bands = (
                np.zeros((file.count, rows, cols), file.dtypes[0]) if fill is None else np.full((1, rows, cols), fill, np.float32)
            )
            there = {"src_transform": file.transform, "src_crs": file.crs, "dst_transform": transform, "dst_crs": file.crs}
            reproject(file.read(), bands, resampling=Resampling.bilinear, dst_nodata=fill, **there)
            like = {"dtype": file.dtypes[0], "count": file.count, "crs": file.crs, "transform": transform, "nodata": fill}
        with rasterio.open(given[role], "w", driver="GTiff", height=rows, width=cols, **like) as out:
            out.write(bands)
    made = surveying.adopt(work, given["ortho"], "a1", date(2026, 12, 20), by="test", surface=given["surface"])
    done = comparing.compare(work, "a1", first, made.id, by="test")
    with work.database.read() as session:
        shown = [c for c in repositories.candidates_of(session, done.id) if c.suppressed is None]
    assert len(shown) == 1
    assert shown[0].kind in {Kind.NEW_BUILDING, Kind.SHED_OR_CONTAINER}
    assert area().frame.to_metres(shown[0].outline).intersection(NEW.outline_m()).area > 0.85 * 63


def test_a_model_that_answers_nan_compares_nothing(work: Workplace, tmp_path: Path) -> None:
    """Said before any survey is judged, with what to change."""
    settings = work.settings.model_copy(update={"change_model": str(graphs.write(tmp_path, spoil="Log"))})
    before = told(work)
    _, second, third = surveys(work)
    with (
        workplace(settings) as odd,
        pytest.raises(ComparisonRefused, match=r"NaN 或无穷，请更换模型.*NaN or infinity.*unset PATROL_CHANGE_MODEL"),
    ):
        comparing.compare(odd, "a1", second, third, by="test")
    assert told(work) == before


def test_a_permit_file_in_another_datum_is_refused_by_name_and_the_version_before_stays(work: Workplace, tmp_path: Path) -> None:
    """Coordinates of a street map in a file that says CGCS2000 lie half a kilometre off: the file is not taken, the old one holds."""

    def permits(name: str, *, shifted: bool) -> Path:
        def moved(x: float, y: float) -> tuple[float, float]:
            there = gcj02(LonLat(lon_deg=x, lat_deg=y))
            return there.lon_deg, there.lat_deg

        outline = mapping(area().frame.to_degrees(NEW.outline_m().buffer(1)))
        if shifted:
            outline["coordinates"] = [[moved(*xy) for xy in ring] for ring in outline["coordinates"]]
        feature = {"type": "Feature", "properties": {"编号": "建字9号", "类型": "建设工程规划许可证"}, "geometry": outline}
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4490"}}
        path = tmp_path / name
        path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}), encoding="utf-8")
        return path

    version = registering.import_file(work, permits("right.geojson", shifted=False), by="test", source="许可")
    with pytest.raises(RegisterRefused) as refused:
        registering.import_file(work, permits("wrong.geojson", shifted=True), by="test", source="许可")
    assert "gcj02" in refused.value.zh
    assert "--datum gcj02" in refused.value.en
    with work.database.read() as session:
        assert [v.id for v in registry.versions_of(session, source="许可")] == [version.id]


def test_level_ground_says_nothing_of_units() -> None:
    """Where all relief is noise no unit is guessed: a field is not refused."""
    rng = np.random.default_rng(3)
    tiles = [units.relief(*(rng.normal(4, 0.03, (120, 120)).astype(np.float32) for _ in range(2))) for _ in range(5)]
    assert units.ratio(tiles) is None
    units.check(tiles, "a", "b")


def test_a_block_of_new_houses_is_no_unit() -> None:
    """A third of the ground built over by houses twice as high does not pass for another unit."""
    rng = np.random.default_rng(4)
    before = rng.normal(4, 0.03, (240, 240)).astype(np.float32)
    before[40:80, 40:80] += 6
    after = before + rng.normal(0, 0.03, before.shape).astype(np.float32)
    after[100:230, 20:220] += 12
    units.check([units.relief(before, after)], "a", "b")
    with pytest.raises(AlignError, match="centimetres"):
        units.check([units.relief(before, 100 * before)] * 2, "a", "b")
