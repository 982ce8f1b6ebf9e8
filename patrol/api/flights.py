"""Routes of the flight desk."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/api", tags=["flight"])
