/** A map of our own making: a plain ground and a graticule, nothing fetched from outside. */
import { Map as GlMap, NavigationControl, ScaleControl, setWorkerUrl, type LngLatBoundsLike, type StyleSpecification } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "maplibre-gl/dist/maplibre-gl.css";

import { t } from "../text";
import { addGraticule } from "./graticule";

setWorkerUrl(new URL(workerUrl, location.href).href);

/** Local fonts draw the map's labels: with no glyph address in the style the library asks the browser. */
export const LABEL_FONT = ["Noto Sans CJK SC, Noto Sans SC, Microsoft YaHei, sans-serif"];

const isDark = (): boolean => window.matchMedia("(prefers-color-scheme: dark)").matches;

export const ground = (): { fill: string; line: string; text: string; halo: string } =>
  isDark()
    ? { fill: "#10191f", line: "#23323c", text: "#c3d2dc", halo: "#0b1116" }
    : { fill: "#e6ebee", line: "#cfd8de", text: "#33454f", halo: "#ffffff" };

export function createMap(container: HTMLElement, bounds?: LngLatBoundsLike): GlMap {
  const colours = ground();
  const style: StyleSpecification = {
    version: 8,
    sources: {},
    layers: [{ id: "ground", type: "background", paint: { "background-color": colours.fill } }],
  };
  const map = new GlMap({
    container,
    style,
    ...(bounds ? { bounds, fitBoundsOptions: { padding: 40 } } : { center: [120.57, 32.38], zoom: 10 }),
    attributionControl: false,
    maxPitch: 0,
    pitchWithRotate: false,
    fadeDuration: 120,
    maxZoom: 23,
    locale: {
      "NavigationControl.ZoomIn": t("map.zoomIn"),
      "NavigationControl.ZoomOut": t("map.zoomOut"),
      "NavigationControl.ResetBearing": t("map.north"),
    },
  });
  map.touchPitch.disable();
  map.addControl(new NavigationControl({ visualizePitch: false }), "bottom-right");
  map.addControl(new ScaleControl({ maxWidth: 120 }), "bottom-left");
  // A tile that is not there is no reason to fill the console: the ground shows through.
  map.on("error", () => undefined);
  map.once("load", () => addGraticule(map, colours));
  return map;
}
