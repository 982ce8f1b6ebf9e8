/** The upload in hand: what was chosen, how far it is, and what became of it. Leaving the page does not stop it; closing the browser does. */
import { computed, reactive, ref, shallowRef } from "vue";

import { get, post } from "../api/client";
import type { Survey, Text2, Upload } from "../api/types";
import { isTaken, PHOTO, type Picked } from "../upload/pick";
import { sendAll, type Item, type Listener } from "../upload/sending";
import { pollJobs } from "./jobs";
import { complain } from "./toasts";

const WINDOW_MS = 10_000;
const TICK_MS = 250;
const POLL_MS = 1500;

export type Phase = "choose" | "sending" | "paused" | "ask" | "over";

interface State {
  areaId: string;
  day: string;
  lossless: boolean;
  phase: Phase;
  offline: boolean;
  files: number;
  bytes: number;
  hashed: number;
  stored: number;
  before: number;
  sent: number;
  skipped: number;
  speed: number;
  refused: { name: string; why: Text2 }[];
}

const nothing = { offline: false, files: 0, bytes: 0, hashed: 0, stored: 0, before: 0, sent: 0, skipped: 0, speed: 0 };

export const upload = reactive<State>({ areaId: "", day: "", lossless: false, phase: "choose", ...nothing, refused: [] });
export const recent = ref<Upload[]>([]);
export const current = shallowRef<Upload | null>(null);
export const made = shallowRef<Survey | null>(null);

/** Uploads of this person that were begun and not finished: choosing the same folder goes on with them. */
export const unfinished = computed(() => recent.value.filter((u) => u.state === "open" && u.files > 0 && u.id !== current.value?.id));
export const secondsLeft = computed(() => (upload.speed > 0 ? (upload.bytes - upload.sent) / upload.speed : null));

// Thousands of files are no matter for a page to watch one by one: they are counted, and the counts are shown.
let items: Item[] = [];
let count = { ...nothing };
let abort: AbortController | null = null;
let ticking = 0;
let polling = 0;
let past: { at: number; sent: number }[] = [];

export async function loadRecent(): Promise<void> {
  try {
    recent.value = await get("/api/uploads");
    const running = recent.value.find((u) => u.job && ["queued", "running"].includes(u.job.state));
    if (upload.phase === "choose" && running) show(running);
  } catch (error) {
    complain(error);
  }
}

/** Take files in hand and begin. Choosing the same folder again goes on with what is there. */
export async function begin(picked: readonly Picked[]): Promise<void> {
  const taken = picked.filter(({ name }) => isTaken(name));
  items = taken.map((p) => ({ ...p, sha256: null, state: "waiting", sent: 0 }));
  count = { ...nothing, files: items.length, bytes: items.reduce((sum, i) => sum + i.file.size, 0), skipped: picked.length - taken.length };
  Object.assign(upload, count, { refused: [] });
  made.value = null;
  current.value = null;
  await run();
}

export const photosAmong = (picked: readonly Picked[]): number => picked.filter(({ name }) => isTaken(name) && PHOTO.test(name)).length;

export function pause(): void {
  abort?.abort();
}

export async function run(): Promise<void> {
  upload.phase = "sending";
  abort = new AbortController();
  window.addEventListener("beforeunload", hold);
  past = [];
  ticking = window.setInterval(tick, TICK_MS);
  try {
    current.value = await post("/api/uploads", { body: { area_id: upload.areaId, taken_on: upload.day } });
    await sendAll(current.value.id, items, listener, abort.signal);
    tick();
    if (upload.refused.length && count.stored) upload.phase = "ask";
    else if (count.stored) await finish();
    else upload.phase = "paused";
  } catch (error) {
    upload.phase = "paused";
    if (!(error instanceof DOMException && error.name === "AbortError")) complain(error);
  } finally {
    window.clearInterval(ticking);
    window.removeEventListener("beforeunload", hold);
    tick();
    upload.speed = 0;
  }
}

/** All is there: the server makes a survey of it. */
export async function finish(): Promise<void> {
  if (!current.value) return;
  try {
    // Said only where it is asked for: a job that failed is tried again as it was asked for the first time.
    const body = upload.lossless ? { lossless: true } : undefined;
    show(await post("/api/uploads/{upload_id}/finish", { path: { upload_id: current.value.id }, body }));
    items = [];
    await pollJobs();
  } catch (error) {
    upload.phase = "paused";
    complain(error);
  }
}

/** Look at an upload that is finished, until its survey is there. */
export function show(found: Upload): void {
  current.value = found;
  Object.assign(upload, { areaId: found.area_id, day: found.taken_on, phase: "over", files: found.files, bytes: found.size_bytes });
  made.value = null;
  void follow(found.id);
}

async function follow(id: string): Promise<void> {
  window.clearTimeout(polling);
  if (current.value?.id !== id || upload.phase !== "over") return;
  try {
    const told = await get("/api/uploads/{upload_id}", { path: { upload_id: id } });
    current.value = told;
    if (told.survey_id) {
      const surveys = await get("/api/areas/{area_id}/surveys", { path: { area_id: told.area_id } });
      made.value = surveys.find((s) => s.id === told.survey_id) ?? null;
    }
    if (!told.job || !["queued", "running"].includes(told.job.state)) return void loadRecent();
  } catch {
    // The link light says that the server is away; asking goes on.
  }
  polling = window.setTimeout(() => void follow(id), POLL_MS);
}

/** Put the upload in hand away and choose anew. One that is not finished stays on the server for its days. */
export function reset(): void {
  abort?.abort();
  items = [];
  current.value = null;
  made.value = null;
  Object.assign(upload, nothing, { phase: "choose", refused: [] });
  void loadRecent();
}

/** Give an unfinished upload up; what the store has of it need not be sent again. */
export async function giveUp(id: string): Promise<void> {
  try {
    await post("/api/uploads/{upload_id}/drop", { path: { upload_id: id } });
  } catch (error) {
    complain(error);
  }
  await loadRecent();
}

const listener: Listener = {
  hashed: () => void count.hashed++,
  moved: (_, bytes) => void (count.sent += bytes),
  stored: (_, before) => {
    count.stored++;
    if (before) count.before++;
  },
  refused: (item, why) => void upload.refused.push({ name: item.name, why }),
  offline: (is) => void (count.offline = is),
};

function tick(): void {
  const now = performance.now();
  past.push({ at: now, sent: count.sent });
  while (past.length > 2 && now - past[0]!.at > WINDOW_MS) past.shift();
  const first = past[0]!;
  const seconds = (now - first.at) / 1000;
  Object.assign(upload, count, { speed: seconds > 0.5 ? Math.max(0, (count.sent - first.sent) / seconds) : 0 });
}

function hold(event: BeforeUnloadEvent): void {
  event.preventDefault();
}
