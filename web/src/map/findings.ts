/** Findings on the map: outlines in their state's colour, a mark at the top corner, hover and selection as feature states. */
import type { GeoJSONSource, Map as GlMap, MapGeoJSONFeature } from "maplibre-gl";

import type { Finding } from "../api/types";
import { collection, feature, topOf } from "./geometry";
import { addMarks, stateColour } from "./marks";

const SOURCE = "findings";
const TOPS = "finding-tops";

export function addFindingLayers(map: GlMap): void {
  addMarks(map);
  map.addSource(SOURCE, { type: "geojson", data: collection([]), promoteId: "id" });
  map.addSource(TOPS, { type: "geojson", data: collection([]), promoteId: "id" });
  const chosen = ["boolean", ["feature-state", "selected"], false] as const;
  const touched = ["boolean", ["feature-state", "hovered"], false] as const;
  map.addLayer({
    id: "finding-fill",
    type: "fill",
    source: SOURCE,
    paint: { "fill-color": stateColour, "fill-opacity": ["case", [...chosen], 0.04, [...touched], 0.32, 0.14] },
  });
  map.addLayer({
    id: "finding-halo",
    type: "line",
    source: SOURCE,
    layout: { "line-join": "round" },
    paint: { "line-color": "#ffffff", "line-width": ["case", [...chosen], 7, [...touched], 5.5, 4], "line-opacity": 0.85 },
  });
  map.addLayer({
    id: "finding-line",
    type: "line",
    source: SOURCE,
    layout: { "line-join": "round" },
    paint: { "line-color": stateColour, "line-width": ["case", [...chosen], 3.5, [...touched], 3, 2] },
  });
  map.addLayer({
    id: "finding-mark",
    type: "symbol",
    source: TOPS,
    layout: {
      "icon-image": ["concat", "mark-", ["get", "state"]],
      "icon-size": ["interpolate", ["linear"], ["zoom"], 13, 0.6, 18, 0.85],
      "icon-anchor": "bottom",
      "icon-offset": [0, -2],
      "icon-allow-overlap": true,
      "symbol-sort-key": ["get", "score"],
    },
  });
}

export function showFindings(map: GlMap, findings: readonly Finding[]): void {
  const about = (f: Finding): Record<string, unknown> => ({ id: f.id, state: f.state, score: f.score });
  map.getSource<GeoJSONSource>(SOURCE)?.setData(collection(findings.map((f) => feature(f.outline, about(f)))));
  const tops = findings.map((f) => feature({ type: "Point", coordinates: topOf(f.outline) }, about(f)));
  map.getSource<GeoJSONSource>(TOPS)?.setData(collection(tops));
}

export function markFinding(map: GlMap, id: string | null, what: "selected" | "hovered", on: boolean): void {
  if (id && map.getSource(SOURCE)) map.setFeatureState({ source: SOURCE, id }, { [what]: on });
}

/** The finding under the pointer, with a few pixels of grace for small outlines. */
export function findingAt(map: GlMap, point: { x: number; y: number }): string | null {
  const layers = ["finding-mark", "finding-fill"].filter((l) => map.getLayer(l));
  const reach = 4;
  const hits: MapGeoJSONFeature[] = map.queryRenderedFeatures(
    [
      [point.x - reach, point.y - reach],
      [point.x + reach, point.y + reach],
    ],
    { layers },
  );
  const id: unknown = hits[0]?.properties["id"];
  return typeof id === "string" ? id : null;
}
