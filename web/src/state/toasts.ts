/** Short messages in the corner. Errors stay until they are read; the others leave by themselves. */
import { reactive } from "vue";

import { Refused } from "../api/client";
import type { Problem, Reason, Text2 } from "../api/types";
import { both } from "../text";

export interface Toast {
  id: number;
  tone: "good" | "bad";
  text: Text2;
  reasons: Reason[];
}

export const toasts = reactive<Toast[]>([]);
let last = 0;

export function dismiss(id: number): void {
  const at = toasts.findIndex((t) => t.id === id);
  if (at >= 0) toasts.splice(at, 1);
}

export function cheer(text: Text2): void {
  show({ id: ++last, tone: "good", text, reasons: [] }, 3500);
}

/** Tell the reader what went wrong. Being signed out is told by the login page itself. */
export function complain(error: unknown): void {
  if (error instanceof Refused && error.status === 401) return;
  if (error instanceof Refused) warn(headline(error.problem), error.problem.reasons ?? []);
  else warn(both("app.failed", { what: error instanceof Error ? error.message : String(error) }));
}

/** What stands above the reasons; the server's text may be the reasons themselves once more. */
export function headline(problem: Problem): Text2 {
  const first = problem.reasons?.[0];
  return first && problem.text.zh.includes(first.text.zh) ? both("app.refused") : problem.text;
}

export function warn(text: Text2, reasons: Reason[] = []): void {
  if (toasts.some((t) => t.tone === "bad" && t.text.en === text.en && t.reasons.length === reasons.length)) return;
  show({ id: ++last, tone: "bad", text, reasons }, 12000);
}

function show(toast: Toast, stay_ms: number): void {
  toasts.push(toast);
  if (toasts.length > 4) toasts.shift();
  setTimeout(() => dismiss(toast.id), stay_ms);
}
