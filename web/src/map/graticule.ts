/** Meridians and parallels in round steps, so that an empty map still says where one is. */
import type { Feature } from "geojson";
import type { GeoJSONSource, Map as GlMap } from "maplibre-gl";

import { collection, feature } from "./geometry";

const STEPS_DEG = [10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const LINES_WANTED = 5;

function lines(map: GlMap): Feature[] {
  const view = map.getBounds();
  const [west, south, east, north] = [view.getWest(), view.getSouth(), view.getEast(), view.getNorth()];
  const step = STEPS_DEG.find((s) => (east - west) / s >= LINES_WANTED) ?? 0.001;
  const found: Feature[] = [];
  const line = (from: number[], to: number[]): void => void found.push(feature({ type: "LineString", coordinates: [from, to] }));
  if ((east - west) / step > 40 || (north - south) / step > 40) return found;
  for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) line([lon, south], [lon, north]);
  for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) line([west, lat], [east, lat]);
  return found;
}

export function addGraticule(map: GlMap, colours: { line: string }): void {
  map.addSource("graticule", { type: "geojson", data: collection(lines(map)) });
  const above = map.getStyle().layers[1]?.id;
  map.addLayer({ id: "graticule", type: "line", source: "graticule", paint: { "line-color": colours.line, "line-width": 1 } }, above);
  map.on("moveend", () => {
    map.getSource<GeoJSONSource>("graticule")?.setData(collection(lines(map)));
  });
}
