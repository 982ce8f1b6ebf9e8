/** Outlines and names of the ground under watch. */
import type { GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { Area } from "../api/types";
import { collection, outlines } from "./geometry";
import { ground, LABEL_FONT } from "./create";

export function addAreaLayers(map: GlMap): void {
  const colours = ground();
  map.addSource("areas", { type: "geojson", data: collection([]), promoteId: "id" });
  map.addLayer({
    id: "area-line",
    type: "line",
    source: "areas",
    paint: { "line-color": "#0b6a8f", "line-width": 2, "line-dasharray": [4, 2], "line-opacity": 0.9 },
  });
  map.addLayer({
    id: "area-name",
    type: "symbol",
    source: "areas",
    maxzoom: 16.5,
    layout: { "text-field": ["get", "name"], "text-font": LABEL_FONT, "text-size": 13 },
    paint: { "text-color": colours.text, "text-halo-color": colours.halo, "text-halo-width": 1.6 },
  });
}

export function showAreas(map: GlMap, areas: readonly Area[]): void {
  map.getSource<GeoJSONSource>("areas")?.setData(outlines(areas));
}
