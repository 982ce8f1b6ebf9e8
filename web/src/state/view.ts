/** How the review map is looked at: swipe, one side only, flicker, the height change, the misalignment. */
import { reactive } from "vue";

export type Mode = "swipe" | "before" | "after";

export const view = reactive<{ mode: Mode; share: number; height: boolean; heightOpacity: number; residual: boolean }>({
  mode: "swipe",
  share: 0.5,
  height: false,
  heightOpacity: 0.7,
  residual: false,
});

/** What share of the map shows the earlier survey, for the mode of looking. */
export function beforeShare(hasBefore: boolean): number {
  if (!hasBefore || view.mode === "after") return 0;
  return view.mode === "before" ? 1 : view.share;
}

/** Eyes see a change best when two pictures swap on the spot. */
export function flicker(): void {
  view.mode = view.mode === "before" ? "after" : "before";
}
