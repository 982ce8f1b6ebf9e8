/** The suitable airspace map: its first band as one filled layer under everything else. */
import type { GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { Suitable } from "../api/types";
import { collection, feature } from "./geometry";

export const SUITABLE_COLOUR = "#009e73";

export function addSuitableLayer(map: GlMap): void {
  map.addSource("suitable", { type: "geojson", data: collection([]) });
  map.addLayer({ id: "suitable-fill", type: "fill", source: "suitable", paint: { "fill-color": SUITABLE_COLOUR, "fill-opacity": 0.28 } });
  map.addLayer({ id: "suitable-line", type: "line", source: "suitable", paint: { "line-color": SUITABLE_COLOUR, "line-width": 2 } });
}

export function showSuitable(map: GlMap, suitable: Suitable | null): void {
  const layer = suitable?.layers[0];
  map.getSource<GeoJSONSource>("suitable")?.setData(collection(layer ? [feature(layer.outline)] : []));
}
