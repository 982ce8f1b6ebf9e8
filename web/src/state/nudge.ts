/** Moving the later survey by hand: how far it was moved on the screen, and the job that moves it for good. */
import { computed, reactive } from "vue";

import { get, post } from "../api/client";
import type { Look, Metres } from "../map/ghost";
import { both } from "../text";
import { jobOf, pollJobs } from "./jobs";
import { after, before, openArea, review } from "./review";
import { may } from "./session";
import { cheer, complain } from "./toasts";

export const STEPS_M = [0.01, 0.1, 1] as const;
const COARSER = 10;
const MOST_M = 20;

interface State {
  on: boolean;
  east_m: number;
  north_m: number;
  step_m: number;
  look: Look;
  drag: boolean;
  reason: string;
  jobId: string | null;
  sending: boolean;
}

const nothing = { east_m: 0, north_m: 0, drag: false, reason: "", jobId: null, sending: false };
export const nudge = reactive<State>({ on: false, step_m: 0.1, look: "swipe", ...nothing });

/** Why it cannot be moved now; null when it can. */
export const barred = computed(() => {
  if (!may("nudge")) return both("nudge.noPermission");
  if (!before.value || !after.value) return both("nudge.noPair");
  const resting = review.surveys.filter((s) => s.reference_id === after.value?.id).length;
  return resting ? both("nudge.isReference", { n: String(resting) }) : null;
});
export const nudgeJob = computed(() => jobOf(nudge.jobId));
export const nudgeBusy = computed(() => nudge.sending || (nudge.jobId !== null && (!nudgeJob.value || ["queued", "running", "waiting"].includes(nudgeJob.value.state))));
export const isMoved = computed(() => Math.abs(nudge.east_m) >= 5e-4 || Math.abs(nudge.north_m) >= 5e-4);
/** Where the survey lies already, counted from where it was built. */
export const lies = computed(() => after.value?.nudges.at(-1) ?? { east_m: 0, north_m: 0 });

export function startNudge(): void {
  if (barred.value) return;
  Object.assign(nudge, nothing, { on: true });
}

export function stopNudge(): void {
  Object.assign(nudge, nothing, { on: false });
}

/** Move on by metres; the whole way from where it was built has a limit. */
export function shift([east, north]: Metres): void {
  if (nudgeBusy.value) return;
  const within = (moved: number, there: number): number => Math.min(MOST_M - there, Math.max(-MOST_M - there, moved));
  // To a tenth of a millimetre, as the server keeps it: a hundred steps of a centimetre are a metre.
  const exact = (m: number): number => Math.round(m * 1e4) / 1e4;
  nudge.east_m = exact(within(nudge.east_m + east, lies.value.east_m));
  nudge.north_m = exact(within(nudge.north_m + north, lies.value.north_m));
}

/** One step of the present width, or ten times as far. */
export function stepBy(east: -1 | 0 | 1, north: -1 | 0 | 1, far = false): void {
  const m = nudge.step_m * (far ? COARSER : 1);
  shift([east * m, north * m]);
}

export function home(): void {
  if (!nudgeBusy.value) Object.assign(nudge, { east_m: 0, north_m: 0 });
}

/** Have the server do it, or take the last move back, and follow it to its end. */
export async function sendNudge(undo = false): Promise<void> {
  const survey = after.value;
  const reason = nudge.reason.trim();
  if (!survey || !reason || nudgeBusy.value || (!undo && !isMoved.value)) return;
  nudge.sending = true;
  try {
    const body = { east_m: undo ? 0 : nudge.east_m, north_m: undo ? 0 : nudge.north_m, up_m: 0, reason, undo };
    nudge.jobId = (await post("/api/surveys/{survey_id}/nudge", { path: { survey_id: survey.id }, body })).id;
    await pollJobs();
  } catch (error) {
    complain(error);
  } finally {
    nudge.sending = false;
  }
}

/** The job is done: show what is there now, then let go of the sheet. */
export async function nudgeDone(): Promise<void> {
  if (review.areaId) await openArea(review.areaId, { pair: review.comparisonId ?? undefined, finding: review.selectedId ?? undefined });
  const id = after.value?.id;
  const found = id ? await get("/api/surveys/{survey_id}/quality", { path: { survey_id: id } }).catch(() => null) : null;
  const { median_px, median_cm } = found?.residual ?? { median_px: null, median_cm: null };
  const now = median_px === null || median_cm === null ? { zh: "", en: "" } : both("nudge.residualNow", { px: median_px.toFixed(2), cm: median_cm.toFixed(1) });
  stopNudge();
  const said = both("nudge.done");
  cheer({ zh: said.zh + now.zh, en: `${said.en} ${now.en}` });
}
