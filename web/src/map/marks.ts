/** How a finding's state looks: a colour and a shape, the same on the map, in the list and in the legend. */
import type { ExpressionSpecification, Map as GlMap } from "maplibre-gl";

import type { FindingState } from "../api/types";

interface Mark {
  colour: string;
  /** SVG path in a 24 x 24 box. */
  path: string;
  hollow?: boolean;
}

export const MARKS: Record<FindingState, Mark> = {
  detected: { colour: "#56b4e9", path: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16z" },
  triage: { colour: "#e69f00", path: "M12 2.5L21.5 12L12 21.5L2.5 12z" },
  confirmed: { colour: "#d55e00", path: "M4.5 4.5h15v15h-15z" },
  rejected: { colour: "#7d8a95", path: "M7.2 4L12 8.8L16.8 4L20 7.2L15.2 12L20 16.8L16.8 20L12 15.2L7.2 20L4 16.8L8.8 12L4 7.2z" },
  suppressed: { colour: "#a3aeb8", path: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16z", hollow: true },
  needs_imagery: { colour: "#cc79a7", path: "M12 3L22 20.5H2z" },
  duplicate: { colour: "#009e73", path: "M7.5 4h9L21 12l-4.5 8h-9L3 12z" },
};

export const STATES = Object.keys(MARKS) as FindingState[];

/** A style expression that picks the state's colour. */
export const stateColour = [
  "match",
  ["get", "state"],
  ...STATES.flatMap((s) => [s, MARKS[s].colour]),
  "#888888",
] as unknown as ExpressionSpecification;

/** Draw every mark once as a picture of the map; no sprite sheet to fetch. */
export function addMarks(map: GlMap): void {
  const side = 48;
  for (const state of STATES) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    if (!pen) continue;
    pen.scale(side / 24, side / 24);
    draw(pen, MARKS[state]);
    map.addImage(`mark-${state}`, pen.getImageData(0, 0, side, side), { pixelRatio: 2 });
  }
}

function draw(pen: CanvasRenderingContext2D, mark: Mark): void {
  const shape = new Path2D(mark.path);
  pen.lineJoin = "round";
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = 4;
  pen.stroke(shape);
  pen.fillStyle = mark.hollow ? "#ffffff" : mark.colour;
  pen.fill(shape);
  pen.strokeStyle = mark.hollow ? mark.colour : "#0b1a24";
  pen.lineWidth = mark.hollow ? 2.6 : 1.1;
  pen.stroke(shape);
}
