"""Frozen dataclasses to plain JSON and back, by their own type hints: the one codec between the inside and what is stored."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

T = TypeVar("T")


class ValuesError(ValueError):
    """Stored JSON does not fit the type it should become."""


def dump(value: Any) -> Any:
    """Plain JSON of a value: dataclasses become objects, tuples lists, times ISO 8601, shapes GeoJSON, enums their words."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, BaseGeometry):
        return _listed(mapping(value))
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: dump(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(dump(key)): dump(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(dump(item) for item in value)
    if isinstance(value, list | tuple):
        return [dump(item) for item in value]
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=256)
def hints(kind: type) -> Mapping[str, Any]:
    """The resolved type hints of a dataclass."""
    return typing.get_type_hints(kind)


def load(kind: Any, raw: Any) -> Any:
    """The value of a type from plain JSON; what already has the type passes. Raises ValuesError naming type and cause."""
    try:
        return _load(kind, raw)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise ValuesError(f"stored value does not fit {getattr(kind, '__name__', kind)}: {err}") from err


def _load(kind: Any, raw: Any) -> Any:
    if kind is Any:
        return raw
    if hasattr(kind, "__supertype__"):  # NewType
        return _load(kind.__supertype__, raw)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return _load_union(inner, raw)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_load(inner[0], item) for item in raw)
        return tuple(_load(part, item) for part, item in zip(inner, raw, strict=True))
    if origin in {frozenset, set}:
        return frozenset(_load(inner[0], item) for item in raw)
    if origin is list:
        return [_load(inner[0], item) for item in raw]
    if origin is not None and issubclass(origin, Mapping):
        return {_load(inner[0], key): _load(inner[1], item) for key, item in raw.items()}
    return _load_class(kind, raw) if isinstance(kind, type) else raw


def _load_union(inner: tuple[Any, ...], raw: Any) -> Any:
    if raw is None and type(None) in inner:
        return None
    choices = [kind for kind in inner if kind is not type(None)]
    for kind in choices:
        if isinstance(kind, type) and isinstance(raw, kind):
            return raw
    return _load(choices[0], raw)


def _load_class(kind: type, raw: Any) -> Any:
    if issubclass(kind, BaseGeometry):
        return raw if isinstance(raw, BaseGeometry) else shape(raw)
    if isinstance(raw, kind) and not issubclass(kind, Mapping):
        return raw
    if issubclass(kind, Enum) or kind is Path:
        return kind(raw)
    if kind in {datetime, date, time}:
        return kind.fromisoformat(raw)
    if kind is timedelta:
        return timedelta(seconds=raw)
    if is_dataclass(kind):
        known = hints(kind)
        return kind(**{f.name: _load(known[f.name], raw[f.name]) for f in fields(kind) if f.init and f.name in raw})
    return float(raw) if kind is float else raw
