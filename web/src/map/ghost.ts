/** The later survey as a sheet of its own over the map, which a hand can move against the ground below by less than a pixel.
 *
 * The library cannot shift a raster layer. So a second map with the very same camera holds the survey alone, and the sheet it is drawn
 * on is moved by a CSS transform: the compositor resamples it, every fraction of a pixel counts, and nothing is fetched again. As a
 * sheet it can also be cut at the divider, made half transparent, or subtracted from what lies below.
 */
import { Map as GlMap } from "maplibre-gl";

import type { Survey } from "../api/types";

export type Look = "swipe" | "blend" | "difference";
/** Metres east and north, along the axes of the survey's own grid. */
export type Metres = readonly [east: number, north: number];

export class Ghost {
  private readonly frame = document.createElement("div");
  private readonly sheet = document.createElement("div");
  private readonly above: GlMap;
  private readonly follow = (): void => this.settle();
  private readonly fit = (): void => void this.above.resize();
  private moved: Metres = [0, 0];

  constructor(
    private readonly map: GlMap,
    private readonly survey: Survey,
  ) {
    this.frame.className = "moved-frame";
    this.frame.dataset["testid"] = "ghost";
    this.sheet.className = "moved-sheet";
    this.frame.append(this.sheet);
    map.getCanvasContainer().append(this.frame);
    this.above = new GlMap({
      container: this.sheet,
      interactive: false,
      attributionControl: false,
      fadeDuration: 0,
      maxPitch: 0,
      maxZoom: map.getMaxZoom(),
      center: map.getCenter(),
      zoom: map.getZoom(),
      bearing: map.getBearing(),
      style: {
        version: 8,
        sources: {
          ortho: {
            type: "raster",
            tiles: [location.origin + (survey.tiles["ortho"] ?? "")],
            tileSize: 256,
            bounds: survey.bounds,
            minzoom: survey.minzoom,
            maxzoom: survey.maxzoom,
          },
        },
        layers: [{ id: "ortho", type: "raster", source: "ortho", paint: { "raster-fade-duration": 0 } }],
      },
    });
    this.above.on("error", () => undefined);
    this.above.once("idle", () => (this.frame.dataset["ready"] = "true"));
    map.on("move", this.follow);
    map.on("resize", this.fit);
    this.settle();
  }

  /** Lay the sheet so many metres off where the survey lies. */
  place(moved: Metres): void {
    this.moved = moved;
    this.settle();
  }

  /** How it lies over the ground: cut at the divider, half transparent, or subtracted. */
  look(look: Look, share: number): void {
    this.frame.style.clipPath = look === "swipe" ? `inset(0 0 0 ${share * 100}%)` : "none";
    this.frame.style.opacity = look === "blend" ? "0.5" : "1";
    this.frame.style.mixBlendMode = look === "difference" ? "difference" : "normal";
  }

  /** Metres on the ground of a way on the screen. */
  metres(right_px: number, down_px: number): Metres {
    const [east, north] = this.metre();
    const area = east[0] * north[1] - east[1] * north[0];
    return [(right_px * north[1] - down_px * north[0]) / area, (down_px * east[0] - right_px * east[1]) / area];
  }

  remove(): void {
    this.map.off("move", this.follow);
    this.map.off("resize", this.fit);
    this.above.remove();
    this.frame.remove();
  }

  /** Pixels right and down of one metre east and of one metre north. */
  private metre(): [[number, number], [number, number]] {
    const middle = this.map.getCenter();
    const from = this.map.project(middle);
    // A hundred metres and a division: one alone would be lost among the digits of a projected place.
    const way = ([lon, lat]: readonly [number, number]): [number, number] => {
      const to = this.map.project([middle.lng + 100 * lon, middle.lat + 100 * lat]);
      return [(to.x - from.x) / 100, (to.y - from.y) / 100];
    };
    return [way(this.survey.metre.east), way(this.survey.metre.north)];
  }

  private settle(): void {
    this.above.jumpTo({ center: this.map.getCenter(), zoom: this.map.getZoom(), bearing: this.map.getBearing() });
    const [east, north] = this.metre();
    const [e, n] = this.moved;
    this.sheet.style.transform = `translate(${e * east[0] + n * north[0]}px, ${e * east[1] + n * north[1]}px)`;
  }
}
