"""The catalogue (STAC 1.1): a collection per area, an item per survey, so that QGIS and other programs find what was flown.

Extensions: projection, raster, view, file. pystac ships the core schemas only, and this program never fetches one: `check` validates
against the core; the extensions' fields are set through pystac's own typed classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pystac
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterBand, RasterExtension
from pystac.extensions.view import ViewExtension
from pystac.validation import JsonSchemaSTACValidator
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from geo.area import Area
from geo.frames import LonLat
from geo.grid import Grid
from geo.sun import direction
from geo.times import LOCAL_ZONE
from imagery.errors import SurveyError

COG = pystac.MediaType.COG
LAZ = "application/vnd.laszip"
WEBP = "image/webp"
_TIFF = "image/tiff; application=geotiff"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file of a survey is, for people and for programs; `layer` is (data type, unknown value, unit) of a raster."""

    title: str
    roles: tuple[str, ...]
    media_type: str
    layer: tuple[str, float | str | None, str | None] | None = None


KINDS: Mapping[str, Kind] = {
    "ortho": Kind("正射影像 orthophoto", ("data", "visual"), COG, ("uint8", None, None)),
    "surface": Kind("数字表面模型 surface", ("data",), _TIFF, ("float32", "nan", "m")),
    "ground": Kind("数字地面模型 ground", ("data",), _TIFF, ("float32", "nan", "m")),
    "height": Kind("离地高度 height above ground", ("data",), _TIFF, ("float32", "nan", "m")),
    "ground_bridged": Kind("地面插补标记 where the ground was not seen", ("metadata",), _TIFF, ("uint8", 255, None)),
    "sigma": Kind("高程中误差 standard deviation of the surface", ("metadata",), _TIFF, ("float32", "nan", "m")),
    "confidence": Kind("高程置信度 confidence of the surface", ("metadata",), _TIFF, ("uint8", 255, "%")),
    "filled": Kind("插补标记 where the surface was bridged", ("metadata",), _TIFF, ("uint8", 255, None)),
    "flags": Kind("影像存疑标记 where the ortho may show something else", ("metadata",), _TIFF, ("uint8", 255, None)),
    "certainty": Kind("影像可信度 certainty of the ortho", ("metadata",), _TIFF, ("uint8", 255, "%")),
    "off_nadir": Kind("视线天底角 angle off the plumb line", ("metadata",), _TIFF, ("uint8", 255, "deg")),
    "source": Kind("各像元的来源照片 photo behind each cell", ("metadata",), _TIFF, ("uint16", 65535, None)),
    "residual": Kind("与基准期的残差 residual against the reference", ("metadata",), pystac.MediaType.JSON),
    "residual_map": Kind("残差图 map of the residual", ("overview",), pystac.MediaType.PNG),
    "cloud": Kind("点云 point cloud", ("data",), LAZ),
    "thumbnail": Kind("缩略图 thumbnail", ("thumbnail",), WEBP),
    "quality": Kind("质量记录 quality record", ("metadata",), pystac.MediaType.JSON),
    "photos": Kind("原始照片清单与哈希 the photos and their hashes", ("metadata",), pystac.MediaType.JSON),
    "control": Kind("像控点 ground control", ("metadata",), pystac.MediaType.JSON),
    "masks": Kind("遮蔽记录 what was burnt out", ("metadata",), pystac.MediaType.JSON),
}
_BY_SUFFIX = {".tif": _TIFF, ".json": "application/json", ".png": "image/png", ".webp": WEBP, ".laz": LAZ}


@dataclass(frozen=True, slots=True)
class File:
    """One file of a survey, below its folder."""

    role: str
    path: str
    sha256: str
    size_bytes: int

    @property
    def kind(self) -> Kind:
        """What it is; a role this table does not know goes by its suffix."""
        known = KINDS.get(self.role)
        suffix = "." + self.path.rpartition(".")[2].lower()
        media_type = _BY_SUFFIX.get(suffix, "application/octet-stream")
        if known is None:
            return Kind(self.role, ("metadata",), media_type)
        return known


@dataclass(frozen=True, slots=True)
class Entry:
    """All the catalogue says of one survey. `footprint` is WGS 84; `taken` the instants of the first and last photo, if told."""

    id: str
    area_id: str
    taken_on: date
    grid: Grid
    footprint: BaseGeometry
    made_at: datetime
    files: tuple[File, ...]
    quality: Mapping[str, Any]
    classification: str
    taken: tuple[datetime, datetime] | None = None
    reference_id: str | None = None
    flight_id: str | None = None
    photos: int = 0
    masks: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


Href = Callable[[str], str]
"""From an asset's role to where it lies: a path beside the item, or a URL."""


def item(entry: Entry, href: Href) -> pystac.Item:
    """A survey as an item, without links; the caller knows where its neighbours lie."""
    first, last = entry.taken or _day(entry.taken_on)
    middle = first + (last - first) / 2
    made = pystac.Item(
        id=entry.id,
        geometry=_plain(mapping(entry.footprint)),
        bbox=list(entry.footprint.bounds),
        datetime=middle,
        properties={
            "title": f"{entry.taken_on.isoformat()} {entry.area_id}",
            "created": _iso(entry.made_at),
            "start_datetime": _iso(first),
            "end_datetime": _iso(last),
            "gsd": entry.grid.gsd_m,
            "patrol:classification": entry.classification,
            "patrol:area_m2": round(float(entry.grid.frame.to_metres(entry.footprint).area), 1),
            "patrol:photos": entry.photos,
            "patrol:flight_id": entry.flight_id,
            "patrol:reference_id": entry.reference_id,
            "patrol:masks": list(entry.masks),
            "patrol:processing": _processing(entry.quality),
            **entry.more,
        },
        collection=entry.area_id,
    )
    g = entry.grid
    ProjectionExtension.ext(made, add_if_missing=True).apply(
        code=f"EPSG:{g.frame.epsg}", shape=[g.rows, g.cols], transform=list(g.transform)[:6], bbox=list(g.bounds_m)
    )
    if entry.taken is not None:  # a day alone does not say where the sun stood
        point = entry.footprint.centroid
        azimuth, elevation = direction(LonLat(lon_deg=point.x, lat_deg=point.y), middle)
        ViewExtension.ext(made, add_if_missing=True).apply(sun_azimuth=round(azimuth, 2), sun_elevation=round(elevation, 2))
    FileExtension.add_to(made)
    RasterExtension.add_to(made)
    for file in entry.files:
        made.add_asset(file.role, _asset(made, file, entry.grid, href(file.role)))
    return made


def _asset(owner: pystac.Item, file: File, grid: Grid, href: str) -> pystac.Asset:
    kind = file.kind
    asset = pystac.Asset(href=href, title=kind.title, media_type=kind.media_type, roles=list(kind.roles))
    asset.set_owner(owner)
    FileExtension.ext(asset).apply(checksum="1220" + file.sha256, size=file.size_bytes)  # multihash: SHA-256, 32 bytes
    if kind.layer is not None:
        dtype, unknown, unit = kind.layer
        band = RasterBand.create(nodata=unknown, data_type=dtype, spatial_resolution=grid.gsd_m, unit=unit)  # type: ignore[arg-type]
        RasterExtension.ext(asset).apply([band] * (3 if file.role == "ortho" else 1))
    return asset


def collection(area: Area, entries: Sequence[Entry], *, license_: str = "other") -> pystac.Collection:
    """An area as a collection, without items and links."""
    spans = [entry.taken or _day(entry.taken_on) for entry in entries]
    extent = pystac.Extent(
        pystac.SpatialExtent([list(area.outline.bounds)]),
        pystac.TemporalExtent([[min((s[0] for s in spans), default=None), max((s[1] for s in spans), default=None)]]),
    )
    made = pystac.Collection(
        id=area.id,
        title=area.name,
        description=f"巡查单元 {area.name}：每期正射影像与表面模型在同一格网上。 Surveys of one area, all on its own grid.",
        extent=extent,
        license=license_,
    )
    made.extra_fields["patrol:classification"] = sorted({entry.classification for entry in entries})
    return made


def check(thing: pystac.Item | pystac.Collection | pystac.Catalog | Mapping[str, Any]) -> None:
    """Validate against the STAC 1.1 core schema, offline; raises SurveyError with the place of the first mistake."""
    raw = dict(thing) if isinstance(thing, Mapping) else thing.to_dict(include_self_link=False, transform_hrefs=False)
    kind = {"Feature": pystac.STACObjectType.ITEM, "Collection": pystac.STACObjectType.COLLECTION}.get(
        str(raw["type"]), pystac.STACObjectType.CATALOG
    )
    try:
        JsonSchemaSTACValidator().validate_core(raw, kind, str(raw["stac_version"]))
    except (pystac.STACError, pystac.STACValidationError) as error:
        raise SurveyError(f"the catalogue entry {raw.get('id')} is no valid STAC: {error}") from error


def beside(files: Iterable[File]) -> Href:
    """Hrefs relative to the survey's folder, so that the folder stands alone."""
    paths = {file.role: f"./{file.path}" for file in files}
    return lambda role: paths[role]


def _processing(quality: Mapping[str, Any]) -> dict[str, Any]:
    """How it was made and how well, from the quality record."""
    wanted = (
        "method",
        "fell_back",
        "accepted",
        "given",
        "registered",
        "reprojection_px",
        "gps_residual_m",
        "tilt_deg",
        "coverage",
        "residual_median_px",
        "residual_p90_px",
    )
    return {name: quality[name] for name in wanted if name in quality}


def _day(day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(0), LOCAL_ZONE)
    return start.astimezone(UTC), (start + timedelta(days=1) - timedelta(seconds=1)).astimezone(UTC)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
