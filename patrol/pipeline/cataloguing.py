"""The catalogue of what is in the store: each survey's files with their hashes, its photos, and its STAC item beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geo.area import Area
from imagery import masks
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.survey import RECORD, Survey
from imagery.thumbnail import thumbnail
from patrol import records
from patrol.pipeline import groundcontrol, sorting
from patrol.values import dump
from patrol.wiring import Workplace

if TYPE_CHECKING:
    from imagery.catalog import Entry

ITEM = "item.json"
PHOTOS = "photos.json"
THUMBNAIL = "thumbnail.webp"
_SIDE_FILES = {
    "quality": RECORD,
    "photos": PHOTOS,
    "screening": sorting.RECORD,
    "control": groundcontrol.RECORD,
    "masks": masks.RECORD,
    "thumbnail": THUMBNAIL,
    "cloud": "cloud.laz",
}
_MEDIA = {
    ".tif": "image/tiff; application=geotiff",
    ".json": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
    ".laz": "application/vnd.laszip",
}


@dataclass(frozen=True, slots=True)
class Original:
    """A photo behind a survey: it is known by its hash after the file itself was let go (`removed_at`)."""

    sha256: str
    name: str
    path: str
    size_bytes: int
    taken_at: datetime | None = None
    removed_at: datetime | None = None


def write_originals(folder: Path, photos: Iterable[Photo]) -> None:
    """Keep the list of a survey's photos and their hashes beside it."""
    save_originals(folder, [Original(p.sha256, p.name, str(p.path), p.path.stat().st_size, p.taken_at) for p in photos])


def save_originals(folder: Path, originals: Iterable[Original]) -> None:
    """Write the list anew."""
    temporary = folder / f".{PHOTOS}.part"
    temporary.write_text(json.dumps({"photos": dump(list(originals))}, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(folder / PHOTOS)


def originals_of(folder: Path) -> tuple[Original, ...]:
    """The photos a survey was made of; those of its block where an older survey has no list."""
    path = folder / PHOTOS
    if path.is_file():
        from patrol.values import load

        return tuple(load(Original, raw) for raw in json.loads(path.read_text(encoding="utf-8"))["photos"])
    block = folder / "block" / "block.json"
    if not block.is_file():
        return ()
    try:
        views = json.loads(block.read_text(encoding="utf-8"))["views"]
    except (OSError, ValueError, KeyError) as error:
        raise ReconstructionError(f"{block}: cannot be read ({error}); build the survey again") from error
    return tuple(Original(v["photo_sha256"], Path(v["path"]).name, v["path"], 0) for v in views)


def make_thumbnail(work: Workplace, folder: Path, survey: Survey) -> None:
    """The small picture of a survey, into its folder (so that the folder stands alone) and into the blobs (for lists)."""
    picture = thumbnail(survey)
    work.blobs.put(picture)
    temporary = folder / f".{THUMBNAIL}.part"
    temporary.write_bytes(picture)
    temporary.replace(folder / THUMBNAIL)


def assets(folder: Path, survey: Survey) -> Iterator[records.Asset]:
    """Every file of a survey that others may ask for, with its hash: whatever imagery names, and what lies beside it."""
    named: dict[str, Path] = {}
    for field in fields(survey):
        value = getattr(survey, field.name)
        if isinstance(value, Path) and field.name != "folder" and value.is_file():
            named[field.name] = value
    named |= {role: folder / name for role, name in _SIDE_FILES.items() if (folder / name).is_file()}
    for role, path in named.items():
        yield asset(folder, role, path)


def asset(folder: Path, role: str, path: Path) -> records.Asset:
    """One file of a survey as a record."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    media = _MEDIA.get(path.suffix.lower(), "application/octet-stream")
    return records.Asset(role, str(path.relative_to(folder)), sha256, path.stat().st_size, media)


def entry(work: Workplace, record: records.SurveyRecord) -> Entry:
    """What the catalogue says of a survey."""
    from imagery import catalog

    folder = work.settings.home / record.folder
    survey = Survey.load(folder)
    originals = originals_of(folder)
    times = [o.taken_at for o in originals if o.taken_at is not None]
    return catalog.Entry(
        id=record.id,
        area_id=record.area_id,
        taken_on=record.taken_on,
        grid=survey.grid,
        footprint=record.outline,
        made_at=record.made_at,
        files=tuple(catalog.File(a.role, a.path, a.sha256, a.size_bytes) for a in record.assets),
        quality=record.quality,
        classification=record.classification,
        taken=(min(times), max(times)) if times else None,
        reference_id=record.reference_id,
        flight_id=record.flight_id,
        photos=len(originals),
        masks=tuple(b.mask_id for b in masks.read(folder)),
        more={"patrol:engine": _engine(folder)},
    )


def _engine(folder: Path) -> Mapping[str, Any] | None:
    """What the engine said of the block: who made it, how long it took, what to watch."""
    block = folder / "block" / "block.json"
    if not block.is_file():
        return None
    stats = json.loads(block.read_text(encoding="utf-8"))["stats"]
    return {name: stats.get(name) for name in ("engine", "method", "tie_points", "tie_residual_px", "cpu_s", "notes")}


def item(work: Workplace, record: records.SurveyRecord, href: Callable[[str], str] | None = None) -> dict[str, Any]:
    """A survey's STAC item as JSON; hrefs lie beside it unless `href` says where."""
    from imagery import catalog

    about = entry(work, record)
    made = catalog.item(about, href or catalog.beside(about.files))
    return made.to_dict(include_self_link=False, transform_hrefs=False)


def collection(work: Workplace, area: Area, surveys: Sequence[records.SurveyRecord]) -> dict[str, Any]:
    """An area's STAC collection as JSON, without links."""
    from imagery import catalog

    made = catalog.collection(area, [entry(work, record) for record in surveys])
    return made.to_dict(include_self_link=False, transform_hrefs=False)


def write_item(work: Workplace, record: records.SurveyRecord) -> Path:
    """`item.json` into the survey's folder, checked against the schema: any STAC program can open the folder alone.

    Its links say what the survey was laid onto; both names are relative, so a folder of surveys can be carried away whole.
    """
    from imagery import catalog

    folder = work.settings.home / record.folder
    made = item(work, record)
    made["links"] = [{"rel": "self", "href": f"./{ITEM}", "type": "application/geo+json"}]
    if record.reference_id is not None:
        made["links"].append({"rel": "derived_from", "href": f"../{record.reference_id}/{ITEM}", "type": "application/geo+json"})
    # the collection is the area; it has no file here, and a name without a link would not be valid
    made["properties"]["patrol:area_id"] = made.pop("collection", None)
    catalog.check(made)
    temporary = folder / f".{ITEM}.part"
    temporary.write_text(json.dumps(made, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(folder / ITEM)
    return folder / ITEM
