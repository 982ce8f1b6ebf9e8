/** A hand that moves the picture instead of the map: with Shift held, or always while `always` says so. */
import type { Map as GlMap, MapMouseEvent, MapTouchEvent } from "maplibre-gl";

/** Start listening; `moved` is told each step in screen pixels. Returns what stops it. */
export function grab(map: GlMap, always: () => boolean, moved: (right_px: number, down_px: number) => void): () => void {
  let last: { x: number; y: number } | null = null;
  const down = (event: MapMouseEvent | MapTouchEvent): void => {
    if (!always() && !event.originalEvent.shiftKey) return;
    event.preventDefault(); // the map neither pans nor draws a box
    last = event.point;
  };
  const move = (event: MapMouseEvent | MapTouchEvent): void => {
    if (!last) return;
    moved(event.point.x - last.x, event.point.y - last.y);
    last = event.point;
  };
  const up = (): void => void (last = null);
  map.on("mousedown", down);
  map.on("touchstart", down);
  map.on("mousemove", move);
  map.on("touchmove", move);
  window.addEventListener("mouseup", up);
  window.addEventListener("touchend", up);
  return () => {
    map.off("mousedown", down);
    map.off("touchstart", down);
    map.off("mousemove", move);
    map.off("touchmove", move);
    window.removeEventListener("mouseup", up);
    window.removeEventListener("touchend", up);
  };
}
