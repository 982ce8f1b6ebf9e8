/** Small sums on GeoJSON. */
import type { Feature, FeatureCollection, Geometry as GeoGeometry } from "geojson";

import type { Area } from "../api/types";

/** A geometry as the wire has it. */
interface WireGeometry {
  type: string;
  coordinates: unknown[];
}

export type Bounds = [west: number, south: number, east: number, north: number];

export function feature(geometry: WireGeometry, properties: Record<string, unknown> = {}): Feature {
  return { type: "Feature", geometry: geometry as unknown as GeoGeometry, properties };
}

export function collection(features: Feature[]): FeatureCollection {
  return { type: "FeatureCollection", features };
}

function walk(coordinates: unknown, visit: (lon: number, lat: number) => void): void {
  if (!Array.isArray(coordinates)) return;
  if (typeof coordinates[0] === "number") visit(coordinates[0], Number(coordinates[1]));
  else for (const part of coordinates) walk(part, visit);
}

/** West, south, east, north of some geometries; null when they have no point. */
export function boundsOf(geometries: readonly WireGeometry[]): Bounds | null {
  const found: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const geometry of geometries)
    walk(geometry.coordinates, (lon, lat) => {
      found[0] = Math.min(found[0], lon);
      found[1] = Math.min(found[1], lat);
      found[2] = Math.max(found[2], lon);
      found[3] = Math.max(found[3], lat);
    });
  return Number.isFinite(found[0]) ? found : null;
}

/** The northernmost corner: where a mark stands without hiding what it marks. */
export function topOf(geometry: WireGeometry): [number, number] {
  let top: [number, number] = [0, -Infinity];
  walk(geometry.coordinates, (lon, lat) => {
    if (lat > top[1]) top = [lon, lat];
  });
  return top;
}

export function outlines(areas: readonly Area[]): FeatureCollection {
  return collection(areas.map((a) => feature(a.outline, { id: a.id, name: a.name, tier: a.tier })));
}
