/** The case desk: the list, the case in hand, and its acts. */
import { computed, reactive } from "vue";

import { get, post, Refused, upload } from "../api/client";
import type { CaseDetail, CaseRow, Evidence, Fact, Problem } from "../api/types";
import { complain } from "./toasts";

export type Group = "running" | "overdue" | "closed" | "all";

const OVER = new Set(["closed", "ledgered", "merged", "transferred"]);

interface Desk {
  rows: CaseRow[];
  loaded: boolean;
  group: Group;
  areaId: string;
  open: CaseDetail | null;
  opening: boolean;
  acting: boolean;
  refusal: Problem | null;
}

export const desk = reactive<Desk>({
  rows: [],
  loaded: false,
  group: "running",
  areaId: "",
  open: null,
  opening: false,
  acting: false,
  refusal: null,
});

export const isOver = (row: CaseRow): boolean => OVER.has(row.state);

const IN_GROUP: Record<Group, (row: CaseRow) => boolean> = {
  running: (row) => !isOver(row),
  overdue: (row) => row.overdue,
  closed: isOver,
  all: () => true,
};

export const groupCounts = computed(() => {
  const count = (g: Group): number => desk.rows.filter((r) => IN_GROUP[g](r) && inArea(r)).length;
  return { running: count("running"), overdue: count("overdue"), closed: count("closed"), all: count("all") };
});

/** Overdue first, then by what is due next; what has no limit comes last. */
export const shownCases = computed(() =>
  desk.rows
    .filter((r) => IN_GROUP[desk.group](r) && inArea(r))
    .sort((a, b) => Number(b.overdue) - Number(a.overdue) || due(a) - due(b) || a.number.localeCompare(b.number)),
);

const inArea = (row: CaseRow): boolean => !desk.areaId || row.area_id === desk.areaId;
const due = (row: CaseRow): number => (row.due_at && !isOver(row) ? Date.parse(row.due_at) : Infinity);

export async function loadCases(): Promise<void> {
  try {
    desk.rows = await get("/api/cases");
    desk.loaded = true;
  } catch (error) {
    complain(error);
  }
}

export async function openCase(id: string | null): Promise<void> {
  desk.refusal = null;
  if (!id) {
    desk.open = null;
    return;
  }
  desk.opening = true;
  try {
    desk.open = await get("/api/cases/{case_id}", { path: { case_id: id } });
  } catch (error) {
    desk.open = null;
    complain(error);
  } finally {
    desk.opening = false;
  }
}

/** Carry out one act; a refusal is kept beside the form, where it is needed. */
export async function act(name: string, note: string, facts: Record<string, Fact>): Promise<boolean> {
  if (!desk.open || desk.acting) return false;
  desk.acting = true;
  desk.refusal = null;
  try {
    keep(await post("/api/cases/{case_id}/acts", { path: { case_id: desk.open.id }, body: { act: name, note, facts } }));
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status !== 401) desk.refusal = error.problem;
    else complain(error);
    return false;
  } finally {
    desk.acting = false;
  }
}

/** Keep field photos with the case on the server; the act that follows finds them there. */
export async function addPhotos(files: readonly File[]): Promise<void> {
  if (!desk.open) return;
  desk.acting = true;
  try {
    for (const file of files) {
      const kept = (await upload("/api/cases/{case_id}/photos", { case_id: desk.open.id }, file)) as Evidence;
      if (!desk.open.evidence.some((e) => e.id === kept.id)) desk.open.evidence.push(kept);
    }
  } catch (error) {
    complain(error);
  } finally {
    desk.acting = false;
  }
}

function keep(detail: CaseDetail): void {
  desk.open = detail;
  const at = desk.rows.findIndex((r) => r.id === detail.id);
  if (at >= 0) desk.rows[at] = detail;
  else desk.rows.push(detail);
}
