/** Long work that runs on the server: polled fast while something runs, slowly otherwise. */
import { computed, reactive } from "vue";

import { get, post } from "../api/client";
import type { Job } from "../api/types";
import { both, word } from "../text";
import { cheer, complain, warn } from "./toasts";

const FAST_MS = 1500;
const SLOW_MS = 15000;

const state = reactive<{ jobs: Job[]; finished: number }>({ jobs: [], finished: 0 });
const seen = new Map<string, Job["state"]>();
let timer = 0;

const isActive = (job: Job): boolean => job.state === "queued" || job.state === "running" || job.state === "waiting";

export const activeJobs = computed(() => state.jobs.filter(isActive));

/** Counts jobs that came to an end while the page was open: watch it to load results anew. */
export const finishedJobs = computed(() => state.finished);

export const jobOf = (id: string | null): Job | null => state.jobs.find((j) => j.id === id) ?? null;

export async function pollJobs(): Promise<void> {
  window.clearTimeout(timer);
  try {
    const first = seen.size === 0;
    state.jobs = await get("/api/jobs");
    for (const job of state.jobs) tell(job, first);
  } catch {
    // The link light in the bar says that the server is away; a message every few seconds would only be noise.
  }
  timer = window.setTimeout(() => void pollJobs(), activeJobs.value.length ? FAST_MS : SLOW_MS);
}

export function stopPolling(): void {
  window.clearTimeout(timer);
  seen.clear();
  state.jobs = [];
}

export async function cancelJob(id: string): Promise<void> {
  try {
    await post("/api/jobs/{job_id}/cancel", { path: { job_id: id } });
    cheer(both("jobs.cancelled"));
  } catch (error) {
    complain(error);
  }
  await pollJobs();
}

function tell(job: Job, first: boolean): void {
  const before = seen.get(job.id);
  seen.set(job.id, job.state);
  if (first || before === job.state || isActive(job)) return;
  // Somebody else's short work, begun and ended between two looks, may have changed what the page shows: it counts, without a word.
  state.finished += 1;
  if (before === undefined) return;
  const kind = word("jobKind", job.kind);
  if (job.state === "done") cheer(both("jobs.done", { kind }));
  if (job.state === "failed") warn(both("jobs.failed", { kind, error: job.error ?? "" }));
}
