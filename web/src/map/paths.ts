/** The path of a mission, with its direction. */
import type { GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { Mission } from "../api/types";
import { collection, feature } from "./geometry";

export function addPathLayers(map: GlMap): void {
  map.addImage("chevron", chevron(), { pixelRatio: 2 });
  map.addSource("path", { type: "geojson", data: collection([]) });
  const layout = { "line-join": "round", "line-cap": "round" } as const;
  map.addLayer({ id: "path-halo", type: "line", source: "path", layout, paint: { "line-color": "#ffffff", "line-width": 5, "line-opacity": 0.9 } });
  map.addLayer({ id: "path-line", type: "line", source: "path", layout, paint: { "line-color": "#0b6a8f", "line-width": 2.5 } });
  map.addLayer({
    id: "path-way",
    type: "symbol",
    source: "path",
    layout: { "symbol-placement": "line", "symbol-spacing": 90, "icon-image": "chevron", "icon-allow-overlap": true, "icon-rotation-alignment": "map" },
  });
}

export function showPath(map: GlMap, mission: Mission | null): void {
  map.getSource<GeoJSONSource>("path")?.setData(collection(mission ? [feature(mission.path)] : []));
}

function chevron(): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 28;
  const pen = canvas.getContext("2d");
  if (!pen) return new ImageData(28, 28);
  pen.lineCap = pen.lineJoin = "round";
  for (const [colour, width] of [
    ["#ffffff", 9],
    ["#0b6a8f", 4.5],
  ] as const) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke(new Path2D("M9 6l9 8l-9 8"));
  }
  return pen.getImageData(0, 0, 28, 28);
}
