/** Whether the server and its parts answer. */
import { ref } from "vue";

import { get } from "../api/client";
import type { Health } from "../api/types";

const EVERY_MS = 15000;

export type LinkState = "ok" | "noWorker" | "noDatabase" | "lost";

export const link = ref<LinkState>("ok");
export const version = ref("");

function judge(health: Health): LinkState {
  if (!health.database) return "noDatabase";
  return health.worker ? "ok" : "noWorker";
}

export async function watchLink(): Promise<void> {
  try {
    const health = await get("/api/health");
    link.value = judge(health);
    version.value = health.version;
  } catch {
    link.value = "lost";
  }
  window.setTimeout(() => void watchLink(), EVERY_MS);
}
