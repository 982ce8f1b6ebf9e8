"""DJI WPML (`.kmz` with `wpmz/template.kml` and `wpmz/waylines.wpml`), written for one model of aircraft and read back.

A wayline is waypoints and groups of actions that span them: photos by distance from one waypoint to another, a gimbal turned at one. Fences
and rally points have no place in it (a DJI aircraft keeps its own), nor have orbits; a mission with those is refused, one with a fence
carries a note. Coordinates are WGS 84, longitude first in `coordinates` and latitude first in `takeOffRefPoint`; heights count over the
take-off place. Name, version and hash stand in the template as KML's ExtendedData, which DJI's programs pass over.
"""

from flight.formats.wpml.reading import read
from flight.formats.wpml.writing import write

__all__ = ["read", "write"]
