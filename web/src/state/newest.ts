/** The newest survey of every area: the picture under paths and taps. */
import { ref, watch } from "vue";

import { get } from "../api/client";
import type { Survey } from "../api/types";
import { areas } from "./areas";
import { complain } from "./toasts";

export const newest = ref<Survey[]>([]);
const MOST = 12;

async function load(): Promise<void> {
  const seen = areas.value.filter((a) => a.surveys > 0).slice(0, MOST);
  try {
    const found = await Promise.all(seen.map((a) => get("/api/areas/{area_id}/surveys", { path: { area_id: a.id } })));
    newest.value = found.flatMap((surveys) => [...surveys].sort((a, b) => b.taken_on.localeCompare(a.taken_on)).slice(0, 1));
  } catch (error) {
    complain(error);
  }
}

watch(areas, (now) => now.length && load(), { immediate: true });
