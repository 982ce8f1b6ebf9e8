/** Orthophotos and the height change as raster layers of the map. */
import type { Map as GlMap } from "maplibre-gl";

import type { Comparison, Survey } from "../api/types";
import { LEFT_OF, RIGHT_OF } from "./swipe";

function put(map: GlMap, id: string, tiles: string | null, survey: Survey | null, below: string, opacity = 1): void {
  const known = map.getSource(id) as { tiles?: string[] } | undefined;
  const address = tiles ? location.origin + tiles : null;
  if (known?.tiles?.[0] === address) return;
  if (map.getLayer(id)) map.removeLayer(id);
  if (known) map.removeSource(id);
  if (!address || !survey) return;
  map.addSource(id, { type: "raster", tiles: [address], tileSize: 256, bounds: survey.bounds, minzoom: survey.minzoom, maxzoom: survey.maxzoom });
  map.addLayer({ id, type: "raster", source: id, paint: { "raster-fade-duration": 120, "raster-opacity": opacity } }, below);
}

/** The server's own address, which is another one once the pixels changed: nobody is shown old ones out of a cache. */
const ortho = (survey: Survey | null): string | null => survey?.tiles["ortho"] ?? null;

export function showOrthos(map: GlMap, before: Survey | null, after: Survey | null): void {
  put(map, "before", ortho(before), before, LEFT_OF);
  put(map, "after", ortho(after), after, RIGHT_OF);
}

/** The height change lies over both sides, under the outlines. */
export function showHeight(map: GlMap, comparison: Comparison | null, after: Survey | null, opacity: number): void {
  put(map, "height", comparison?.height_tiles ?? null, after, "area-line", opacity);
  if (!map.getLayer("height")) return;
  map.setLayoutProperty("height", "visibility", opacity > 0 ? "visible" : "none");
  map.setPaintProperty("height", "raster-opacity", opacity);
}

/** Newest orthophotos as the ground under paths and taps. */
export function addGroundRaster(map: GlMap, surveys: readonly Survey[]): void {
  for (const survey of surveys) put(map, `ground-${survey.id}`, ortho(survey), survey, map.getLayer("zone-fill-suitable") ? "zone-fill-suitable" : "area-line");
}
