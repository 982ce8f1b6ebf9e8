/** What a refused survey lacks and a make-up flight has to see. */
import type { GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { Survey } from "../api/types";
import { collection, feature } from "./geometry";

const GAP = "gap";

export function addGapLayers(map: GlMap): void {
  map.addSource(GAP, { type: "geojson", data: collection([]) });
  map.addLayer({ id: "gap-fill", type: "fill", source: GAP, paint: { "fill-color": "#b3261e", "fill-opacity": 0.22 } }, "area-line");
  map.addLayer({ id: "gap-line", type: "line", source: GAP, paint: { "line-color": "#b3261e", "line-width": 2.5, "line-dasharray": [3, 2] } }, "area-line");
}

export function showGap(map: GlMap, gap: Survey["quality"]["gap"]): void {
  map.getSource<GeoJSONSource>(GAP)?.setData(collection(gap ? [feature(gap)] : []));
}
