/** How far each part of the later survey lies off its reference: coloured cells, refused ones hatched, and an arrow a tile. */
import type { Feature } from "geojson";
import type { ExpressionSpecification, GeoJSONSource, Map as GlMap } from "maplibre-gl";

import type { Residual } from "../api/types";
import { collection, feature } from "./geometry";

const CELLS = "residual-cells";
const ARROWS = "residual-arrows";
const BARB = 0.32;
export const REFUSED = "#7a0019";

/** Put the layers in, below the outlines of areas and findings. */
export function addResidualLayers(map: GlMap): void {
  map.addImage("hatch", hatch(), { pixelRatio: 2 });
  map.addSource(CELLS, { type: "geojson", data: collection([]) });
  map.addSource(ARROWS, { type: "geojson", data: collection([]) });
  const refused: ExpressionSpecification = ["==", ["get", "state"], "refused"];
  const below = "area-line";
  map.addLayer({ id: "residual-fill", type: "fill", source: CELLS, paint: { "fill-color": ["get", "colour"], "fill-opacity": 0.46, "fill-antialias": false } }, below);
  map.addLayer({ id: "residual-edge", type: "line", source: CELLS, paint: { "line-color": "#ffffff", "line-width": 1, "line-opacity": 0.8 } }, below);
  map.addLayer({ id: "residual-hatch", type: "fill", source: CELLS, filter: refused, paint: { "fill-pattern": "hatch" } }, below);
  map.addLayer({ id: "residual-refused", type: "line", source: CELLS, filter: refused, paint: { "line-color": REFUSED, "line-width": 2.5 } }, below);
  const round = { "line-cap": "round", "line-join": "round" } as const;
  map.addLayer({ id: "residual-arrow-halo", type: "line", source: ARROWS, layout: round, paint: { "line-color": "#ffffff", "line-width": 3.6, "line-opacity": 0.9 } }, below);
  map.addLayer({ id: "residual-arrow", type: "line", source: ARROWS, layout: round, paint: { "line-color": "#0b1a24", "line-width": 1.5 } }, below);
}

/** Show a survey's residual, or with null nothing. */
export function showResidual(map: GlMap, residual: Residual | null): void {
  const cells = residual?.cells.map((c) => feature(c.outline, { state: c.state, colour: c.colour })) ?? [];
  map.getSource<GeoJSONSource>(CELLS)?.setData(collection(cells));
  map.getSource<GeoJSONSource>(ARROWS)?.setData(collection(residual?.arrows.map(arrow) ?? []));
}

/** A shaft with two barbs, drawn on the ground so that it grows with the map. */
function arrow({ start, end }: Residual["arrows"][number]): Feature {
  const flat = Math.cos((start[1] * Math.PI) / 180);
  const [x, y] = [(end[0] - start[0]) * flat, end[1] - start[1]];
  const barb = (side: 1 | -1): [number, number] => [end[0] - (BARB * (x - side * 0.6 * y)) / flat, end[1] - BARB * (y + side * 0.6 * x)];
  return feature({ type: "MultiLineString", coordinates: [[start, end], [barb(1), end, barb(-1)]] });
}

function hatch(): ImageData {
  const side = 24;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d");
  if (!pen) return new ImageData(side, side);
  pen.strokeStyle = REFUSED;
  pen.lineWidth = 4;
  for (const shift of [-side, 0, side]) {
    pen.beginPath();
    pen.moveTo(shift - 4, side + 4);
    pen.lineTo(shift + side + 4, -4);
    pen.stroke();
  }
  return pen.getImageData(0, 0, side, side);
}
