/** Air with rules: a colour and a line of its own for each kind, so that neither is needed alone. */
import { Popup, type GeoJSONSource, type Map as GlMap } from "maplibre-gl";

import type { Zone } from "../api/types";
import { say, t, word } from "../text";
import { height } from "../text/format";
import { ground, LABEL_FONT } from "./create";
import { collection, feature } from "./geometry";

interface Look {
  colour: string;
  fill: number;
  width: number;
  dash?: number[];
}

export const ZONES: Record<Zone["kind"], Look> = {
  suitable: { colour: "#009e73", fill: 0.07, width: 1.5 },
  controlled: { colour: "#0072b2", fill: 0.1, width: 1.8, dash: [6, 3] },
  temporary: { colour: "#cc79a7", fill: 0.18, width: 2.2, dash: [1, 1.6] },
  restricted: { colour: "#e69f00", fill: 0.2, width: 2.2, dash: [3, 2] },
  prohibited: { colour: "#c1272d", fill: 0.22, width: 3 },
};

export const ZONE_KINDS = Object.keys(ZONES) as Zone["kind"][];

export function addZoneLayers(map: GlMap): void {
  const colours = ground();
  map.addSource("zones", { type: "geojson", data: collection([]) });
  for (const kind of ZONE_KINDS) {
    const look = ZONES[kind];
    const filter = ["==", ["get", "kind"], kind] as ["==", ["get", string], string];
    map.addLayer({ id: `zone-fill-${kind}`, type: "fill", source: "zones", filter, paint: { "fill-color": look.colour, "fill-opacity": look.fill } });
    map.addLayer({
      id: `zone-line-${kind}`,
      type: "line",
      source: "zones",
      filter,
      paint: { "line-color": look.colour, "line-width": look.width, ...(look.dash ? { "line-dasharray": look.dash } : {}) },
    });
  }
  map.addLayer({
    id: "zone-name",
    type: "symbol",
    source: "zones",
    filter: ["!=", ["get", "kind"], "suitable"],
    minzoom: 11,
    layout: { "text-field": ["get", "name"], "text-font": LABEL_FONT, "text-size": 12 },
    paint: { "text-color": colours.text, "text-halo-color": colours.halo, "text-halo-width": 1.5 },
  });
}

export function showZones(map: GlMap, zones: readonly Zone[]): void {
  const features = zones.flatMap((z) => z.parts.map((p) => feature(p.outline, { id: z.id, kind: z.kind, name: z.name })));
  map.getSource<GeoJSONSource>("zones")?.setData(collection(features));
}

/** Say on a click what the air there is; `zonesNow` is asked at the click, for zones may change. */
export function tellZones(map: GlMap, zonesNow: () => readonly Zone[]): void {
  map.on("click", (event) => {
    const layers = ZONE_KINDS.map((k) => `zone-fill-${k}`);
    const ids = new Set(map.queryRenderedFeatures(event.point, { layers }).map((f) => String(f.properties["id"])));
    const here = zonesNow().filter((z) => ids.has(z.id));
    if (here.length) new Popup({ closeButton: false, maxWidth: "300px" }).setLngLat(event.lngLat).setDOMContent(card(here)).addTo(map);
  });
}

function card(zones: readonly Zone[]): HTMLElement {
  const box = document.createElement("ul");
  for (const zone of zones) {
    const line = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = zone.name;
    const about = document.createElement("div");
    about.className = "small quiet";
    about.textContent = [
      word("zone", zone.kind),
      ...(zone.article_text ? [`${say(zone.article_text)} ${zone.article}`] : []),
      ...zone.parts.map((p) => t("flight.heights", { floor: height(p.floor), ceiling: height(p.ceiling) })),
      zone.buffer_m ? t("zones.buffer", { m: zone.buffer_m }) : "",
      zone.timed ? t("zones.timed") : "",
      [zone.authority, zone.version].filter(Boolean).join(" "),
      zone.synthetic ? t("flight.synthetic") : "",
    ]
      .filter(Boolean)
      .join(" · ");
    line.append(name, about);
    box.append(line);
  }
  return box;
}
