/** The figures of how right the product was, and the calibrations that were learned from it. */
import { computed, reactive } from "vue";

import { get, post } from "../api/client";
import type { Calibrations, Precision } from "../api/types";
import { both } from "../text";
import { cheer, complain } from "./toasts";

export const SPANS = [3, 6, 12, 24] as const;
export type Group = "kinds" | "places" | "months";

interface State {
  months: (typeof SPANS)[number];
  kind: string;
  place: string;
  group: Group;
  figures: Precision | null;
  calibrations: Calibrations | null;
  learning: boolean;
}

export const precision = reactive<State>({
  months: 12,
  kind: "",
  place: "",
  group: "kinds",
  figures: null,
  calibrations: null,
  learning: false,
});

/** What the figures are asked for; empty filters ask nothing. */
const asked = computed(() => ({ since: monthsAgo(precision.months - 1), until: monthsAgo(0), kind: precision.kind, place: precision.place }));

/** Where a table of the same figures is. */
export const exportAddress = (format: "xlsx" | "csv"): string => {
  const given = Object.entries({ format, ...asked.value }).filter(([, value]) => value !== "");
  return `/api/precision/export?${new URLSearchParams(given).toString()}`;
};

function monthsAgo(n: number): string {
  const now = new Date();
  const month = new Date(now.getFullYear(), now.getMonth() - n, 1);
  return `${month.getFullYear()}-${String(month.getMonth() + 1).padStart(2, "0")}`;
}

let latest = 0;

export async function loadPrecision(): Promise<void> {
  const mine = ++latest;
  try {
    const figures = await get("/api/precision", { query: asked.value });
    if (mine === latest) precision.figures = figures;
  } catch (error) {
    complain(error);
  }
}

export async function loadCalibrations(): Promise<void> {
  try {
    precision.calibrations = await get("/api/calibrations");
  } catch (error) {
    complain(error);
  }
}

export async function learn(): Promise<void> {
  precision.learning = true;
  try {
    const made = await post("/api/calibrations");
    cheer(both(made.state === "declined" ? "calibration.declined" : "calibration.learned", { n: String(made.number) }));
    await loadCalibrations();
  } catch (error) {
    complain(error);
  } finally {
    precision.learning = false;
  }
}

export async function useVersion(number: number, reason: string): Promise<boolean> {
  try {
    precision.calibrations = await post("/api/calibrations/{number}/use", { path: { number }, body: { reason } });
    cheer(both("calibration.used"));
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}
