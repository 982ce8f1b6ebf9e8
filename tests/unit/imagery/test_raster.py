from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geo.frames import Frame
from geo.grid import Grid, Window
from imagery import raster
from imagery.errors import SurveyError

GRID = Grid(Frame(32651), 0.1, 300_000.0, 3_000_000.0, 700, 900)


def _colours() -> np.ndarray:
    y, x = np.indices(GRID.shape)
    return np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)


def test_a_lossless_ortho_reads_back_as_written_mask_and_all(tmp_path: Path) -> None:
    """What goes into an ortho comes out of any window of it."""
    colours, known = _colours(), np.ones(GRID.shape, bool)
    known[:200, :300] = False
    tiles = ((w, colours[w.slices], known[w.slices]) for w in GRID.tiles(256))
    path = raster.write_cog(tmp_path / "o.tif", GRID, tiles, compression="lossless")
    window = Window(150, 250, 333, 444)
    assert np.array_equal(raster.read_window(path, window)[known[window.slices]], colours[window.slices][known[window.slices]])
    assert np.array_equal(raster.read_mask(path, window), known[window.slices])
    assert raster.grid_of(path) == GRID


def test_an_ortho_has_overviews_and_is_laid_out_for_the_cloud(tmp_path: Path) -> None:
    """Map tiles are read from overviews, not from millions of pixels."""
    colours = _colours()
    path = raster.write_cog(tmp_path / "o.tif", GRID, [(Window(0, 0, *GRID.shape), colours, np.ones(GRID.shape, bool))])
    with rasterio.open(path) as file:
        assert file.overviews(1)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.compression.value == "JPEG"
    assert np.abs(raster.read_window(path).astype(int) - colours)[1:-1, 1:-1].mean() < 25


def test_cells_no_tile_covers_are_unknown(tmp_path: Path) -> None:
    """An ortho never shows black where nothing was seen."""
    window = Window(0, 0, 256, 256)
    path = raster.write_cog(tmp_path / "o.tif", GRID, [(window, _colours()[window.slices], np.ones((256, 256), bool))])
    known = raster.read_mask(path)
    assert known[:256, :256].all()
    assert not known[256:].any()
    assert not known[:, 256:].any()


def test_heights_keep_their_unknown_cells(tmp_path: Path) -> None:
    """NaN is NaN after the file."""
    heights = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    heights[10:20] = np.nan
    path = raster.write_float(tmp_path / "z.tif", GRID, heights)
    assert np.array_equal(raster.read_window(path), heights, equal_nan=True)
    assert np.array_equal(raster.read_mask(path), np.isfinite(heights))


@pytest.mark.parametrize("name", ["trick.tif", "trick.png"])
def test_a_vrt_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    """A few hundred bytes of VRT would read any file of the machine."""
    secret = tmp_path / "secret.tif"
    raster.write_float(secret, GRID, np.zeros(GRID.shape, np.float32))
    path = tmp_path / name
    path.write_text(
        '<VRTDataset rasterXSize="10" rasterYSize="10"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(SurveyError, match="no GeoTIFF, JPEG or PNG"):
        raster.read_window(path)


def test_a_side_file_is_never_followed(tmp_path: Path) -> None:
    """An .ovr or .msk beside a picture may be of any format: it is not looked at."""
    path = raster.write_float(tmp_path / "z.tif", GRID, np.ones(GRID.shape, np.float32))
    (tmp_path / "z.tif.msk").write_text("<VRTDataset/>")
    (tmp_path / "z.tif.aux.xml").write_text("<PAMDataset><Metadata domain='x'/></PAMDataset>")
    assert raster.read_mask(path).all()


def test_a_missing_or_broken_file_says_so(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(SurveyError, match=r"nowhere\.tif"):
        raster.info(tmp_path / "nowhere.tif")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\x00" + b"\x00" * 40)
    with pytest.raises(SurveyError, match=r"broken\.tif"):
        raster.info(broken)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """No half file is ever visible, and an earlier one stays."""
    path = tmp_path / "z.tif"
    raster.write_float(path, GRID, np.ones(GRID.shape, np.float32))
    with pytest.raises(RuntimeError, match="stop"), raster.written(path, GRID, "float32") as out:
        out.write(Window(0, 0, 10, 10), np.zeros((10, 10), np.float32))
        raise RuntimeError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["z.tif"]
    assert (raster.read_window(path) == 1).all()


def test_an_ortho_of_nothing_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """An empty ortho is no ortho."""
    with pytest.raises(SurveyError, match="no picture covers"):
        raster.write_cog(tmp_path / "o.tif", GRID, [])
    assert list(tmp_path.iterdir()) == []


def test_a_window_over_the_edge_is_refused(tmp_path: Path) -> None:
    """A window must lie in the file: a short answer would shift everything after it."""
    path = raster.write_float(tmp_path / "z.tif", GRID, np.ones(GRID.shape, np.float32))
    with pytest.raises(SurveyError, match="reaches over"):
        raster.read_window(path, Window(600, 0, 101, 10))


def test_inside_counts_cell_centres() -> None:
    """The cells of an outline have its area, to a cell's width of border."""
    outline = GRID.outline_m.buffer(-20.0)
    cells = raster.inside(outline, GRID)
    assert cells.sum() * GRID.gsd_m**2 == pytest.approx(outline.area, rel=0.01)
