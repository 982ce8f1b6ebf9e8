"""Column types that mean the same on SQLite and on PostgreSQL: shapes, instants, plain JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry
from sqlalchemy import JSON, DateTime, Dialect, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from geo.times import utc


class PostgisGeometry(UserDefinedType[str]):
    """PostGIS's own geometry column, WGS 84; speaks hexadecimal EWKB, which is how PostGIS reads and writes a bare literal."""

    cache_ok = True

    def __init__(self, kind: str = "Geometry", srid: int = 4326) -> None:
        self.kind, self.srid = kind, int(srid)

    def get_col_spec(self, **_: Any) -> str:
        """The type as DDL says it."""
        return f"geometry({self.kind},{self.srid})"


ischema_names["geometry"] = PostgisGeometry


class Shape(TypeDecorator[BaseGeometry]):
    """A shapely geometry in WGS 84 degrees: a geometry on PostGIS, WKB bytes on SQLite (its bounds stand beside it)."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Each dialect's own column."""
        return dialect.type_descriptor(PostgisGeometry() if dialect.name == "postgresql" else LargeBinary())

    def process_bind_param(self, value: BaseGeometry | None, dialect: Dialect) -> Any:
        """Shapely to the database."""
        if value is None:
            return None
        flat = shapely.force_2d(value)
        if dialect.name == "postgresql":
            return shapely.to_wkb(shapely.set_srid(flat, 4326), hex=True, include_srid=True)
        return shapely.to_wkb(flat)

    def process_result_value(self, value: Any, dialect: Dialect) -> BaseGeometry | None:
        """The database to shapely."""
        return None if value is None else shapely.set_srid(shapely.from_wkb(value), 0)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant; a time without zone is refused before it is stored."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to the database; SQLite keeps it as naive UTC."""
        if value is None:
            return None
        return utc(value) if dialect.name == "postgresql" else utc(value).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The database to aware UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Plain(TypeDecorator[Any]):
    """Plain JSON; `patrol.values` turns dataclasses into it and back."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """JSONB where there is one."""
        return dialect.type_descriptor(JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True))
