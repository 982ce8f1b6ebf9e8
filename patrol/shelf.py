"""A shelf: one table seen as a collection of frozen values. Rows never leave this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Generic, TypeVar

from shapely.geometry import Point
from sqlalchemy import ColumnElement, and_, func, select, text
from sqlalchemy import inspect as inspect_row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from geo.frames import LonLat
from patrol.columns import Plain, Shape
from patrol.tables import Base, Shaped
from patrol.values import dump, hints, load

V = TypeVar("V")
Bounds = tuple[float, float, float, float]


class StoreError(RuntimeError):
    """What was asked of the store cannot be: base of the three below."""


class NotFound(StoreError):
    """There is no such thing."""


class Taken(StoreError):
    """There is one of that id or number already, or it points at something that is not there."""


class Conflict(StoreError):
    """Somebody else changed it in the meantime: read it anew and decide again."""


class Shelf(Generic[V]):
    """Values of one type in one table. `names` maps a field to its column where the two differ; `whole` names a column that keeps
    the whole value as JSON, beside columns for those of its fields that have one.
    """

    def __init__(
        self, row: type[Base], value: type[V], noun: str, names: Mapping[str, str] | None = None, *, whole: str | None = None
    ) -> None:
        self.row, self.value, self.noun, self.whole = row, value, noun, whole
        self._names = {f.name: (names or {}).get(f.name, f.name) for f in fields(value)}  # type: ignore[arg-type]
        if whole is not None:
            self._names = {name: column for name, column in self._names.items() if column in inspect_row(row).columns}
        self._columns = {name: inspect_row(row).columns[column].type for name, column in self._names.items()}

    def add(self, session: Session, value: V) -> V:
        """Put in a new value; raises Taken when its id or number is there already."""
        session.add(self.row(**self._row(value)))
        self._flush(session, value)
        return value

    def put(self, session: Session, value: V) -> V:
        """Put in a value, new or in place of the one with its id."""
        row = session.get(self.row, value.id)  # type: ignore[attr-defined]
        if row is None:
            return self.add(session, value)
        for column, item in self._row(value).items():
            setattr(row, column, item)
        self._flush(session, value)
        return value

    def replace(self, session: Session, value: V, *, seen_version: int) -> V:
        """Put a value in place of the version that was read; raises Conflict when it is another by now."""
        row = session.get(self.row, value.id, with_for_update=True, populate_existing=True)  # type: ignore[attr-defined]
        if row is None:
            raise NotFound(f"there is no {self.noun} {value.id}")  # type: ignore[attr-defined]
        if row.version != seen_version:  # type: ignore[attr-defined]
            raise Conflict(f"{self.noun} {value.id} was changed by somebody else in the meantime")  # type: ignore[attr-defined]
        return self.put(session, value)

    def find(self, session: Session, id: str) -> V | None:
        """The value of an id, or None."""
        row = session.get(self.row, id)
        return None if row is None else self._value(row)

    def get(self, session: Session, id: str) -> V:
        """The value of an id; raises NotFound."""
        found = self.find(session, id)
        if found is None:
            raise NotFound(f"there is no {self.noun} {id}")
        return found

    def where(
        self,
        session: Session,
        *conditions: ColumnElement[bool],
        box: Bounds | None = None,
        order: tuple[Any, ...] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[V, ...]:
        """Values that fit; `box` is (west, south, east, north) in degrees and asks whose bounds touch it."""
        query = select(self.row).where(*conditions).order_by(*order, inspect_row(self.row).primary_key[0])
        if box is not None:
            query = query.where(self.in_box(session, box))
        query = query.limit(limit).offset(offset) if limit is not None or offset else query
        return tuple(self._value(row) for row in session.scalars(query))

    def count(self, session: Session, *conditions: ColumnElement[bool], box: Bounds | None = None) -> int:
        """How many fit."""
        query = select(func.count()).select_from(self.row).where(*conditions)
        return session.scalar(query.where(self.in_box(session, box)) if box is not None else query) or 0

    def remove(self, session: Session, id: str) -> None:
        """Take a value out; raises NotFound, or Taken when something still points at it."""
        row = session.get(self.row, id)
        if row is None:
            raise NotFound(f"there is no {self.noun} {id}")
        session.delete(row)
        try:
            session.flush()
        except IntegrityError as err:
            raise Taken(f"{self.noun} {id} is still in use and cannot be removed") from err

    def in_box(self, session: Session, box: Bounds) -> ColumnElement[bool]:
        """The condition "its bounds touch the box"."""
        if not issubclass(self.row, Shaped):
            raise TypeError(f"{self.noun} has no shape")
        return in_box(self.row, session, box)

    def _flush(self, session: Session, value: V) -> None:
        try:
            session.flush()
        except IntegrityError as err:
            cause = str(err.orig).strip().split("\n", maxsplit=1)[0]
            raise Taken(f"{self.noun} {value.id} cannot be stored: {cause}") from err  # type: ignore[attr-defined]

    def _row(self, value: V) -> dict[str, Any]:
        made = {self._names[name]: self._in(kind, getattr(value, name)) for name, kind in self._columns.items()}
        return made if self.whole is None else {**made, self.whole: dump(value)}

    @staticmethod
    def _in(kind: Any, item: Any) -> Any:
        if isinstance(kind, Plain):
            return dump(item)
        if isinstance(kind, Shape) and isinstance(item, LonLat):
            return Point(item.lon_deg, item.lat_deg)
        return item.value if isinstance(item, Enum) else item

    def _value(self, row: Base) -> V:
        if self.whole is not None:
            loaded: V = load(self.value, getattr(row, self.whole))
            return loaded
        known: Mapping[str, Any] = hints(self.value)  # type: ignore[arg-type]
        given: dict[str, Any] = {}
        for name, column in self._names.items():
            item = getattr(row, column)
            if isinstance(item, Point) and isinstance(self._columns[name], Shape):
                item = LonLat(lon_deg=item.x, lat_deg=item.y)
            given[name] = load(known[name], item)
        return self.value(**given)


def in_box(row: type[Shaped], session: Session, box: Bounds) -> ColumnElement[bool]:
    """The condition "its bounds touch the box", by GiST on PostGIS and by the bounds columns elsewhere."""
    west, south, east, north = (float(edge) for edge in box)
    if session.get_bind().dialect.name == "postgresql":
        envelope = func.ST_MakeEnvelope(west, south, east, north, 4326)
        touches: ColumnElement[bool] = text_op(row.shape, envelope)
        return touches
    return and_(row.min_x <= east, row.max_x >= west, row.min_y <= north, row.max_y >= south)


def text_op(column: Any, envelope: Any) -> Any:
    """PostGIS's box operator, which uses the GiST index."""
    return column.op("&&", is_comparison=True)(envelope)


def next_number(session: Session, name: str) -> int:
    """The next number of a series, from 1; two transactions never get the same one."""
    made = session.execute(
        text(
            "INSERT INTO counters (name, value) VALUES (:name, 1) "
            "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value"
        ),
        {"name": name},
    )
    return int(made.scalar_one())
