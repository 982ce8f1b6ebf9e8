/** What a file of zones would change: new, gone, and changed outlines over the zones of today. */
import type { ExpressionSpecification, GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { ZoneReview } from "../api/types";
import { boundsOf, collection, feature } from "./geometry";

const SOURCE = "zone-changes";
type What = ZoneReview["changes"][number]["what"];

/** A colour and a line of its own for each kind of change. */
export const CHANGES: Record<What, { colour: string; dash?: number[] }> = {
  added: { colour: "#00805d" },
  removed: { colour: "#c1272d", dash: [2, 2] },
  changed: { colour: "#b35c00", dash: [5, 2] },
};
export const CHANGE_KINDS = Object.keys(CHANGES) as What[];

export function addChangeLayers(map: GlMap): void {
  map.addSource(SOURCE, { type: "geojson", data: collection([]) });
  for (const what of CHANGE_KINDS) {
    const { colour, dash } = CHANGES[what];
    const filter: ExpressionSpecification = ["==", ["get", "what"], what];
    map.addLayer({ id: `change-fill-${what}`, type: "fill", source: SOURCE, filter, paint: { "fill-color": colour, "fill-opacity": 0.15 } });
    map.addLayer({ id: `change-line-${what}`, type: "line", source: SOURCE, filter, paint: { "line-color": colour, "line-width": 3, ...(dash ? { "line-dasharray": dash } : {}) } });
  }
}

export function showChanges(map: GlMap, review: ZoneReview | null): void {
  const features = (review?.changes ?? []).flatMap((c) => (c.after ?? c.before)?.parts.map((p) => feature(p.outline, { what: c.what })) ?? []);
  map.getSource<GeoJSONSource>(SOURCE)?.setData(collection(features));
  const bounds = boundsOf((review?.changes ?? []).flatMap((c) => (c.after ?? c.before)?.parts.map((p) => p.outline) ?? []));
  if (bounds) map.fitBounds(bounds, { padding: { top: 60, bottom: 60, left: 60, right: 480 }, maxZoom: 15, duration: 500 });
}
