/** The ground under watch, loaded once and shared by all pages. */
import { ref } from "vue";

import { get } from "../api/client";
import type { Area } from "../api/types";
import { complain } from "./toasts";

export const areas = ref<Area[]>([]);
export const areasLoaded = ref(false);

export async function loadAreas(): Promise<void> {
  try {
    areas.value = await get("/api/areas");
  } catch (error) {
    complain(error);
  } finally {
    areasLoaded.value = true;
  }
}

export function areaName(id: string | null | undefined): string {
  return areas.value.find((a) => a.id === id)?.name ?? id ?? "";
}
