/** Airspace, the 30-day plan and the missions. */
import { computed, reactive } from "vue";

import { get } from "../api/client";
import type { CalendarEntry, Mission, Zone } from "../api/types";
import { complain } from "./toasts";

interface Air {
  zones: Zone[];
  zonesLoaded: boolean;
  calendar: CalendarEntry[];
  missions: Mission[];
  loaded: boolean;
  missionId: string | null;
  entry: CalendarEntry | null;
}

export const air = reactive<Air>({ zones: [], zonesLoaded: false, calendar: [], missions: [], loaded: false, missionId: null, entry: null });

export const mission = computed(() => air.missions.find((m) => m.id === air.missionId) ?? null);

export async function loadZones(anew = false): Promise<void> {
  if (air.zonesLoaded && !anew) return;
  try {
    air.zones = await get("/api/zones");
    air.zonesLoaded = true;
  } catch (error) {
    complain(error);
  }
}

export async function loadFlight(): Promise<void> {
  try {
    [air.calendar, air.missions] = await Promise.all([get("/api/calendar"), get("/api/missions")]);
    air.loaded = true;
    if (!mission.value) air.missionId = air.missions[0]?.id ?? null;
  } catch (error) {
    complain(error);
  }
}

/** Choose a cell of the plan, and with it its mission. */
export function choose(entry: CalendarEntry): void {
  air.entry = entry;
  if (entry.mission_id && air.missions.some((m) => m.id === entry.mission_id)) air.missionId = entry.mission_id;
}
