"""What the two files of a `.kmz` are called, and the limits that DJI sets."""

from __future__ import annotations

TEMPLATE, WAYLINES = "wpmz/template.kml", "wpmz/waylines.wpml"
SECURITY_M = (1.2, 1500.0)
"""Limits of `takeOffSecurityHeight`."""
RELATIVE = "relativeToStartPoint"
LABEL = "dronePatrol:"
"""How the names of our own ExtendedData begin."""
