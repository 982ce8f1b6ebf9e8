/** The work of the review page: which area, which pair, which findings, and what is decided of them. */
import { computed, reactive } from "vue";

import { get, post } from "../api/client";
import type { Cause, Comparison, Corridor, Decision, Evidence, Finding, FindingState, Survey } from "../api/types";
import { both, type Key } from "../text";
import { areas } from "./areas";
import { note, route } from "./route";
import { cheer, complain } from "./toasts";

const OPEN: readonly FindingState[] = ["detected", "triage", "needs_imagery"];

interface Review {
  areaId: string | null;
  surveys: Survey[];
  comparisons: Comparison[];
  comparisonId: string | null;
  findings: Finding[];
  loading: boolean;
  selectedId: string | null;
  hoveredId: string | null;
  evidence: Evidence[];
  corridors: Corridor[];
  stateFilter: FindingState | "open" | "all";
  pipelineOnly: boolean;
  minArea_m2: number;
  minScore: number;
  showSuppressed: boolean;
  deciding: boolean;
}

export const review = reactive<Review>({
  areaId: null,
  surveys: [],
  comparisons: [],
  comparisonId: null,
  findings: [],
  loading: false,
  selectedId: null,
  hoveredId: null,
  evidence: [],
  corridors: [],
  stateFilter: "all",
  pipelineOnly: false,
  minArea_m2: 0,
  minScore: 0,
  showSuppressed: false,
  deciding: false,
});

export const comparison = computed(() => review.comparisons.find((c) => c.id === review.comparisonId) ?? null);
const surveyOf = (id: string | undefined): Survey | null => review.surveys.find((s) => s.id === id) ?? null;
export const before = computed(() => surveyOf(comparison.value?.before_id));
export const after = computed(() => surveyOf(comparison.value?.after_id) ?? review.surveys[0] ?? null);
export const selected = computed(() => review.findings.find((f) => f.id === review.selectedId) ?? null);
export const suppressedCount = computed(() => review.findings.filter((f) => f.state === "suppressed").length);

/** What list and map show: works near pipelines first, then by score. */
export const shown = computed(() =>
  review.findings
    .filter((f) => f.area_m2 >= review.minArea_m2 && f.score >= review.minScore)
    .filter((f) => (f.state === "suppressed" ? review.showSuppressed || review.stateFilter === "suppressed" : true))
    .filter((f) => passes(f.state))
    .filter((f) => !review.pipelineOnly || f.watch !== null)
    .sort((a, b) => b.urgency - a.urgency || b.score - a.score || b.area_m2 - a.area_m2),
);

function passes(state: FindingState): boolean {
  if (review.stateFilter === "all") return true;
  if (review.stateFilter === "open") return OPEN.includes(state) || (state === "suppressed" && review.showSuppressed);
  return state === review.stateFilter;
}

export async function openArea(id: string, wanted: { pair?: string | undefined; finding?: string | undefined } = {}): Promise<void> {
  review.areaId = id;
  review.loading = true;
  review.selectedId = null;
  try {
    const path = { area_id: id };
    const [surveys, comparisons, corridors] = await Promise.all([
      get("/api/areas/{area_id}/surveys", { path }),
      get("/api/areas/{area_id}/comparisons", { path }),
      get("/api/areas/{area_id}/corridors", { path }),
    ]);
    if (review.areaId !== id) return;
    review.corridors = corridors;
    review.pipelineOnly &&= corridors.length > 0;
    review.surveys = surveys.sort((a, b) => b.taken_on.localeCompare(a.taken_on));
    review.comparisons = comparisons.sort((a, b) => b.after_on.localeCompare(a.after_on) || b.made_at.localeCompare(a.made_at));
    const first = review.comparisons.find((c) => c.id === wanted.pair) ?? review.comparisons[0];
    await openComparison(first?.id ?? null, wanted.finding);
  } catch (error) {
    complain(error);
  } finally {
    review.loading = false;
  }
}

export async function openComparison(id: string | null, finding?: string): Promise<void> {
  review.comparisonId = id;
  await loadFindings();
  select(finding && review.findings.some((f) => f.id === finding) ? finding : null);
}

export async function loadFindings(): Promise<void> {
  const { areaId, comparisonId } = review;
  if (!areaId) return;
  try {
    const found = await get("/api/findings", { query: comparisonId ? { comparison: comparisonId } : { area: areaId } });
    if (review.areaId === areaId && review.comparisonId === comparisonId) review.findings = found;
  } catch (error) {
    complain(error);
  }
}

/** Open the area that the address names, or the one with most to do. */
export async function openFromAddress(): Promise<void> {
  const wanted = areas.value.find((a) => a.id === route.query["area"]) ?? [...areas.value].sort((a, b) => b.surveys - a.surveys)[0];
  if (wanted) await openArea(wanted.id, { pair: route.query["pair"], finding: route.query["finding"] });
}

export function select(id: string | null): void {
  review.selectedId = id;
  review.evidence = [];
  note({ area: review.areaId, pair: review.comparisonId, finding: id });
  if (id) void loadEvidence(id);
}

async function loadEvidence(id: string): Promise<void> {
  try {
    const found = await get("/api/findings/{finding_id}/evidence", { path: { finding_id: id } });
    if (review.selectedId === id) review.evidence = found;
  } catch (error) {
    complain(error);
  }
}

/** Move the selection along the list; from nowhere it starts at either end. */
export function step(by: 1 | -1): void {
  const list = shown.value;
  if (!list.length) return;
  const at = list.findIndex((f) => f.id === review.selectedId);
  const next = at < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, at + by));
  select(list[next]?.id ?? null);
}

const SAID: Record<Decision, Key> = {
  confirm: "finding.confirmed",
  reject: "finding.rejected",
  restore: "finding.restored",
  needs_imagery: "finding.imageryAsked",
};

/** Which decisions a state allows: the page offers these, the server has the last word. */
export const DECISIONS: Record<FindingState, readonly Decision[]> = {
  detected: ["restore"],
  triage: ["confirm", "reject", "needs_imagery"],
  needs_imagery: ["restore"],
  suppressed: ["restore"],
  rejected: ["restore"],
  duplicate: ["restore"],
  confirmed: [],
};

export async function decide(finding: Finding, decision: Decision, text = "", cause: Cause | null = null): Promise<boolean> {
  if (review.deciding || !DECISIONS[finding.state].includes(decision)) return false;
  review.deciding = true;
  try {
    const decided = await post("/api/findings/{finding_id}/decision", { path: { finding_id: finding.id }, body: { decision, note: text, cause } });
    const at = review.findings.findIndex((f) => f.id === decided.id);
    if (at >= 0) review.findings[at] = decided;
    cheer(both(SAID[decision], { number: finding.number }));
    return true;
  } catch (error) {
    complain(error);
    return false;
  } finally {
    review.deciding = false;
  }
}
