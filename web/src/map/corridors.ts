/** Pipelines under watch: the axis, the prohibited band and the controlled one around it. */
import type { GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { Corridor } from "../api/types";
import { LABEL_FONT, ground } from "./create";
import { collection, feature } from "./geometry";

const SOURCE = "corridors";
const COLOUR = "#8e24aa";

export function addCorridorLayers(map: GlMap): void {
  const colours = ground();
  map.addSource(SOURCE, { type: "geojson", data: collection([]) });
  map.addLayer({
    id: "corridor-outer",
    type: "line",
    source: SOURCE,
    filter: ["==", ["get", "part"], "outer"],
    paint: { "line-color": COLOUR, "line-width": 1.4, "line-dasharray": [4, 3], "line-opacity": 0.8 },
  });
  map.addLayer({
    id: "corridor-inner",
    type: "fill",
    source: SOURCE,
    filter: ["==", ["get", "part"], "inner"],
    paint: { "fill-color": COLOUR, "fill-opacity": 0.14 },
  });
  map.addLayer({
    id: "corridor-axis",
    type: "line",
    source: SOURCE,
    filter: ["==", ["get", "part"], "axis"],
    paint: { "line-color": COLOUR, "line-width": 2.4 },
  });
  map.addLayer({
    id: "corridor-name",
    type: "symbol",
    source: SOURCE,
    filter: ["==", ["get", "part"], "axis"],
    layout: { "symbol-placement": "line", "text-field": ["get", "name"], "text-font": LABEL_FONT, "text-size": 12 },
    paint: { "text-color": COLOUR, "text-halo-color": colours.halo, "text-halo-width": 1.6 },
  });
}

export function showCorridors(map: GlMap, corridors: readonly Corridor[]): void {
  const features = corridors.flatMap((c) =>
    (["outer", "inner", "axis"] as const).map((part) => feature(c[part], { part, name: c.name || c.number })),
  );
  map.getSource<GeoJSONSource>(SOURCE)?.setData(collection(features));
}
