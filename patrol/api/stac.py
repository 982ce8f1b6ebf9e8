"""Routes of the catalogue: a STAC API (core, collections, item search) over the store, and the files behind its assets by range.

An asset is named by its survey and role, never by a path. Reading a file's bytes is an export: it is logged, and much ground in one
piece needs a second person's approval (`pipeline.exporting`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement

from geo.times import local_day
from patrol import records, repositories
from patrol.api import exports, rim
from patrol.api.desk import Exporter, Viewer, Work
from patrol.pipeline import cataloguing, exporting
from patrol.tables import SurveyRow
from patrol.wiring import Workplace

router = APIRouter(prefix="/api/stac", tags=["catalogue"])

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
_PAGE, _MOST = 50, 500
_GEOJSON = "application/geo+json"
Json = dict[str, Any]


class Search(BaseModel):
    """What is looked for: STAC API item search by box, time, collections and ids."""

    model_config = ConfigDict(extra="forbid")

    bbox: list[float] | None = Field(default=None, min_length=4, max_length=6)
    datetime: str | None = Field(default=None, max_length=100)
    collections: list[str] | None = None
    ids: list[str] | None = None
    limit: int = Field(default=_PAGE, ge=1, le=_MOST)
    offset: int = Field(default=0, ge=0)


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/") + "/api/stac"


@router.get("", operation_id="stac_catalog")
def catalog(request: Request, work: Work, _: Viewer) -> Json:
    """The landing page: where the collections and the search are."""
    root = _root(request)
    with work.database.read() as session:
        areas = repositories.areas.where(session)
    return {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "drone-patrol",
        "title": "空中巡查成果目录 Drone Patrol",
        "description": "各巡查单元的每期成果。 The surveys of all areas.",
        "conformsTo": CONFORMS,
        "links": [
            _link("self", root),
            _link("root", root),
            _link("conformance", f"{root}/conformance"),
            _link("data", f"{root}/collections"),
            _link("service-desc", root.removesuffix("/stac") + "/openapi.json", "application/vnd.oai.openapi+json;version=3.1"),
            _link("search", f"{root}/search", _GEOJSON, method="GET"),
            _link("search", f"{root}/search", _GEOJSON, method="POST"),
            *(_link("child", f"{root}/collections/{area.id}", title=area.name) for area in areas),
        ],
    }


@router.get("/conformance", operation_id="stac_conformance")
def conformance(_: Viewer) -> Json:
    """The classes of the STAC API that are kept."""
    return {"conformsTo": CONFORMS}


@router.get("/collections", operation_id="stac_collections")
def collections(request: Request, work: Work, _: Viewer) -> Json:
    """One collection per area."""
    root = _root(request)
    with work.database.read() as session:
        areas = repositories.areas.where(session)
    found = [_collection(request, work, area.id) for area in areas]
    return {"collections": found, "links": [_link("self", f"{root}/collections"), _link("root", root)]}


@router.get("/collections/{area_id}", operation_id="stac_collection")
def collection(request: Request, area_id: str, work: Work, _: Viewer) -> Json:
    """An area as a collection."""
    return _collection(request, work, area_id)


@router.get("/collections/{area_id}/items", operation_id="stac_items")
def items(
    request: Request, area_id: str, work: Work, _: Viewer, limit: int = _PAGE, offset: int = 0, bbox: str | None = None
) -> Json:
    """The surveys of an area, oldest first."""
    with work.database.read() as session:
        repositories.areas.get(session, area_id)
    asked = Search(collections=[area_id], bbox=_box(bbox), limit=max(1, min(limit, _MOST)), offset=max(0, offset))
    return _found(request, work, asked, f"/collections/{area_id}/items")


@router.get("/collections/{area_id}/items/{survey_id}", operation_id="stac_item")
def item(request: Request, area_id: str, survey_id: str, work: Work, _: Viewer) -> Json:
    """One survey as an item."""
    with work.database.read() as session:
        record = repositories.surveys.get(session, survey_id)
    if record.area_id != area_id:
        raise rim.Problem(404, "no_item", "该单元没有这期成果。", "This collection has no such item.")
    return _item(request, work, record)


@router.get("/search", operation_id="stac_search")
def search(
    request: Request,
    work: Work,
    _: Viewer,
    bbox: str | None = None,
    datetime: str | None = None,
    collections: str | None = None,
    ids: str | None = None,
    limit: int = _PAGE,
    offset: int = 0,
) -> Json:
    """Surveys by box, time, area and id."""
    asked = Search(
        bbox=_box(bbox),
        datetime=datetime,
        collections=collections.split(",") if collections else None,
        ids=ids.split(",") if ids else None,
        limit=max(1, min(limit, _MOST)),
        offset=max(0, offset),
    )
    return _found(request, work, asked, "/search")


@router.post("/search", operation_id="stac_search_post")
def search_post(request: Request, body: Search, work: Work, _: Viewer) -> Json:
    """Surveys by box, time, area and id."""
    return _found(request, work, body, "/search")


@router.get("/assets/{survey_id}/{role}", operation_id="stac_asset", response_class=FileResponse)
@router.head("/assets/{survey_id}/{role}", include_in_schema=False)
def asset(survey_id: str, role: str, work: Work, user: Exporter) -> FileResponse:
    """A file of a survey, whole or by range; 403 with the article where a second person must approve first."""
    with work.database.read() as session:
        record = repositories.surveys.get(session, survey_id)
    found = record.asset(role)
    path = work.settings.home / record.folder / found.path if found is not None else None
    if found is None or path is None or not path.is_file():
        raise rim.Problem(
            404, "no_asset", f"该期成果没有{role}文件（或已按期限清理）。", f"This survey has no {role} (any more)."
        )
    leave = exporting.take(work, survey_id, role, by=user.id)
    if isinstance(leave, exporting.ExportRefused):
        raise exports.refused(leave)
    name = f"{survey_id}-{path.name}"
    tag = {"ETag": f'"{found.sha256}"', "Cache-Control": "private, no-cache", "X-Content-SHA256": found.sha256}
    return FileResponse(path, media_type=found.media_type, filename=name, headers=tag)


def _link(rel: str, href: str, type_: str = "application/json", **more: str) -> Json:
    return {"rel": rel, "href": href, "type": type_, **more}


def _box(said: str | None) -> list[float] | None:
    if said is None:
        return None
    try:
        box = [float(v) for v in said.split(",")]
    except ValueError:
        box = []
    if len(box) not in {4, 6}:
        raise rim.Problem(422, "bbox", "bbox 须为 西,南,东,北（度）。", "bbox is west,south,east,north in degrees.")
    return box


def _days(said: str | None) -> tuple[date | None, date | None]:
    """The local days that an RFC 3339 instant or interval touches; None is open."""
    if said is None:
        return None, None
    first, slash, last = said.partition("/")
    try:
        ends = [None if end in {"", ".."} else _day(end) for end in ((first, last) if slash else (first, first))]
    except ValueError as err:
        raise rim.Problem(
            422,
            "datetime",
            "datetime 须为 RFC 3339 时刻或区间（如 2026-11-01T00:00:00Z/..）。",
            "datetime is an RFC 3339 instant or interval.",
        ) from err
    return ends[0], ends[1]


def _day(said: str) -> date:
    at = datetime.fromisoformat(said)
    return local_day(at if at.tzinfo else at.replace(tzinfo=UTC))


def _found(request: Request, work: Workplace, asked: Search, path: str) -> Json:
    first, last = _days(asked.datetime)
    conditions: list[ColumnElement[bool]] = []
    if asked.collections is not None:
        conditions.append(SurveyRow.area_id.in_(asked.collections))
    if asked.ids is not None:
        conditions.append(SurveyRow.id.in_(asked.ids))
    if first is not None:
        conditions.append(SurveyRow.taken_on >= first)
    if last is not None:
        conditions.append(SurveyRow.taken_on <= last)
    box = None
    if asked.bbox is not None:
        half = len(asked.bbox) // 2
        box = (asked.bbox[0], asked.bbox[1], asked.bbox[half], asked.bbox[half + 1])
    with work.database.read() as session:
        order = (SurveyRow.taken_on, SurveyRow.made_at)
        found = repositories.surveys.where(session, *conditions, box=box, order=order, limit=asked.limit, offset=asked.offset)
        matched = repositories.surveys.count(session, *conditions, box=box)
    root = _root(request)
    links = [_link("self", str(request.url), _GEOJSON), _link("root", root)]
    after = asked.offset + len(found)
    if after < matched and request.method == "POST":
        body = asked.model_dump(exclude_none=True) | {"offset": after}
        links.append({"rel": "next", "href": root + path, "type": _GEOJSON, "method": "POST", "body": body})
    elif after < matched:
        links.append(_link("next", str(request.url.include_query_params(offset=after, limit=asked.limit)), _GEOJSON))
    return {
        "type": "FeatureCollection",
        "features": [_item(request, work, record) for record in found],
        "links": links,
        "numberMatched": matched,
        "numberReturned": len(found),
    }


def _collection(request: Request, work: Workplace, area_id: str) -> Json:
    with work.database.read() as session:
        area = repositories.areas.get(session, area_id)
        surveys = repositories.surveys_of(session, area_id)
    root = _root(request)
    made = cataloguing.collection(work, area, surveys)
    here = f"{root}/collections/{area.id}"
    made["links"] = [
        _link("self", here),
        _link("root", root),
        _link("parent", root),
        _link("items", f"{here}/items", _GEOJSON),
    ]
    return made


def _item(request: Request, work: Workplace, record: records.SurveyRecord) -> Json:
    root = _root(request)
    made = cataloguing.item(work, record, lambda role: f"{root}/assets/{record.id}/{role}")
    here = f"{root}/collections/{record.area_id}"
    made["links"] = [
        _link("self", f"{here}/items/{record.id}", _GEOJSON),
        _link("root", root),
        _link("parent", here),
        _link("collection", here),
        *_related(root, here, record),
    ]
    return made


def _related(root: str, here: str, record: records.SurveyRecord) -> Iterable[Json]:
    if record.reference_id is not None:
        yield _link(
            "derived_from", f"{here}/items/{record.reference_id}", _GEOJSON, title="配准基准期 the survey it is laid onto"
        )
