"""What a survey of real 9-Mpx photos costs, first and later, and how fast the orthophoto is painted once the poses are known.

The later survey is the same flight encoded anew, so that no keypoint is found on the shelf: it costs what a second flight would, but
its light and its content are those of the first. CPU seconds of the whole process, all threads; code compiled by earlier runs.
"""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
import rasterio.warp
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling

from benchmarks.imagery import made
from benchmarks.report import Row
from imagery import orthorectify, raster
from imagery.photos import read_pixels
from imagery.reconstruct import Block
from imagery.survey import Survey

SET = "brighton_beach"
NAME = f"{SET}, cost"


def rows(folder: Path) -> list[Row]:
    """Cost per photo of both surveys, and the speed of painting beside a general warp."""
    images = made.data("raw_surveys", SET, "images")
    first = made.survey(images, folder / "first", date(2016, 6, 23))
    later = made.survey(
        _anew(images, folder / "images"), folder / "later", date(2016, 7, 23), area=made.area(first), reference=first
    )
    found = [
        Row("first survey: cost per photo", NAME, round(_per_photo(first), 2), "cpu-s", "lower", 6.0),
        Row(
            "later survey (the same photos encoded anew): cost per photo",
            NAME,
            round(_per_photo(later), 2),
            "cpu-s",
            "lower",
            4.5,
        ),
    ]
    shutil.rmtree(folder / "painted", ignore_errors=True)
    speed, whole, peer = _painting(first, folder / "painted")
    name = "orthophoto from ready poses and decoded photos, before compression"
    found += [
        Row(name, NAME, round(speed, 1), "Mpx/cpu-s", "higher", 12.0, "rasterio.warp.reproject, bilinear", round(peer, 1)),
        Row("the same, with the decoding of all photos", NAME, round(whole, 1), "Mpx/cpu-s", "higher"),
    ]
    return found


def _per_photo(survey: Survey) -> float:
    spent = json.loads((survey.folder / "spent.json").read_text())
    return float(spent["cpu_s"] / spent["photos"])


def _anew(images: Path, folder: Path) -> Path:
    """The photos with their tags, compressed once more: other bytes, the same flight."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(images.iterdir()):
        target = folder / path.name
        if target.exists():
            continue
        with Image.open(path) as picture:
            data = io.BytesIO()
            kept = {name: picture.info[name] for name in ("exif", "xmp") if name in picture.info}
            picture.save(data, "JPEG", quality=90, subsampling="4:2:0", **kept)
        part = target.with_suffix(".part")
        part.write_bytes(data.getvalue())
        part.replace(target)
    return folder


def _painting(survey: Survey, folder: Path) -> tuple[float, float, float]:
    """Megapixels per CPU second of our tiles without and with decoding, and of a general warp of one decoded photo onto the same cells."""
    assert survey.block is not None
    assert survey.surface is not None
    block = Block.load(survey.block)
    painted = 0
    folder.mkdir(parents=True)
    rough = folder / "rough.tif"  # packed as the work file that a survey is painted over
    with raster.reading(survey.surface) as whole, raster.written(rough, survey.grid, "float32", packing="zstd") as out:
        for window in survey.grid.tiles(1024):
            out.write(window, whole.window(window))

    def paint() -> None:
        nonlocal painted
        plan = orthorectify.Plan.of(block, rough, survey.grid, folder, confidence=survey.confidence)
        shutil.rmtree(plan.folder, ignore_errors=True)
        plan.folder.mkdir()
        orthorectify.paint(plan, range(len(plan.tiles)))
        painted = sum(int((plan.labels[t.slices] != orthorectify.NOBODY).sum()) for t in plan.tiles) * plan.scene.factor**2

    ours = median(_cpu_s(paint) for _ in range(3))
    # each photo is decoded twice: small for its light, whole for its pixels
    decoding = _cpu_s(lambda: [read_pixels(v.path, reduce=r) for v in block.views for r in (8, 1)])
    photo = np.moveaxis(read_pixels(block.views[0].path), -1, 0)
    out = np.zeros((3, 2048, 2048), np.uint8)
    turned = Affine.translation(0, 0) * Affine.rotation(30) * Affine.scale(survey.grid.gsd_m, -survey.grid.gsd_m)
    onto = Affine.translation(5, -5) * Affine.scale(survey.grid.gsd_m, -survey.grid.gsd_m)
    crs = f"EPSG:{survey.grid.frame.epsg}"

    def warp() -> None:
        rasterio.warp.reproject(
            np.ascontiguousarray(photo),
            out,
            src_transform=turned,
            dst_transform=onto,
            src_crs=crs,
            dst_crs=crs,
            resampling=Resampling.bilinear,
        )

    return painted / 1e6 / (ours - decoding), painted / 1e6 / ours, out[0].size / 1e6 / median(_cpu_s(warp) for _ in range(3))


def _cpu_s(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
