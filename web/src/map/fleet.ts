/** Aircraft on the map: a marker that glides between two messages, its heading, and where it has been. */
import { Marker, type GeoJSONSource, type Map as GlMap } from "maplibre-gl";

import type { Aircraft } from "../api/types";
import { collection, feature } from "./geometry";

const TRAIL_MOST = 900;
const GLIDE_MS = 300;
const SVG = "http://www.w3.org/2000/svg";

interface Track {
  marker: Marker;
  from: [number, number];
  to: [number, number];
  since_ms: number;
  trail: [number, number][];
  aloft: boolean;
}

export class Fleet {
  private readonly tracks = new Map<string, Track>();
  private frame = 0;

  constructor(private readonly map: GlMap) {
    map.addSource("trails", { type: "geojson", data: collection([]) });
    map.addLayer({
      id: "trails",
      type: "line",
      source: "trails",
      layout: { "line-join": "round", "line-cap": "round" },
      paint: { "line-color": "#ff6a13", "line-width": 3.5, "line-opacity": 0.85 },
    });
  }

  show(aircraft: readonly Aircraft[]): void {
    const now = performance.now();
    for (const craft of aircraft) {
      const place = craft.place ?? craft.home;
      const track = this.tracks.get(craft.id) ?? this.born(craft, place);
      track.from = this.between(track, now);
      track.to = place;
      track.since_ms = now;
      const aloft = craft.state === "flying" || craft.state === "returning";
      if (aloft && !track.aloft) track.trail = []; // a new flight draws a new trail
      if (aloft) follow(track.trail, place);
      track.aloft = aloft;
      dress(track.marker, craft);
    }
    this.map.getSource<GeoJSONSource>("trails")?.setData(
      collection([...this.tracks.values()].filter((t) => t.trail.length > 1).map((t) => feature({ type: "LineString", coordinates: t.trail }))),
    );
    if (!this.frame) this.frame = requestAnimationFrame(this.glide);
  }

  place(id: string): [number, number] | null {
    return this.tracks.get(id)?.to ?? null;
  }

  remove(): void {
    cancelAnimationFrame(this.frame);
    for (const track of this.tracks.values()) track.marker.remove();
    this.tracks.clear();
  }

  private readonly glide = (now: number): void => {
    let moving = false;
    for (const track of this.tracks.values()) {
      track.marker.setLngLat(this.between(track, now));
      moving ||= now - track.since_ms < GLIDE_MS;
    }
    this.frame = moving ? requestAnimationFrame(this.glide) : 0;
  };

  private between(track: Track, now: number): [number, number] {
    const share = Math.min(1, Math.max(0, (now - track.since_ms) / GLIDE_MS));
    return [track.from[0] + (track.to[0] - track.from[0]) * share, track.from[1] + (track.to[1] - track.from[1]) * share];
  }

  private born(craft: Aircraft, place: [number, number]): Track {
    const marker = new Marker({ element: figure(craft.name), rotationAlignment: "map" }).setLngLat(place).addTo(this.map);
    const track: Track = { marker, from: place, to: place, since_ms: 0, trail: [], aloft: false };
    this.tracks.set(craft.id, track);
    return track;
  }
}

function follow(trail: [number, number][], place: [number, number]): void {
  const last = trail.at(-1);
  if (!last || last[0] !== place[0] || last[1] !== place[1]) trail.push(place);
  if (trail.length > TRAIL_MOST) trail.shift();
}

function figure(name: string): HTMLElement {
  const box = document.createElement("div");
  box.className = "craft";
  box.dataset["testid"] = "craft";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 40 40");
  svg.setAttribute("width", "40");
  svg.setAttribute("height", "40");
  for (const [d, name] of [
    ["M20 3L33 35L20 28L7 35z", "body"],
    ["M20 3L20 28", "spine"],
  ] as const) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.setAttribute("class", name);
    svg.append(path);
  }
  box.append(svg);
  box.title = name;
  return box;
}

function dress(marker: Marker, craft: Aircraft): void {
  marker.setRotation(craft.yaw_deg ?? 0);
  const box = marker.getElement();
  box.dataset["state"] = craft.link_fresh ? craft.state : "offline";
}
