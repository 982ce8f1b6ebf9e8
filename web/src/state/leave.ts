/** Leave to fly: the applications and checks of the mission in hand, and the suitable airspace map. */
import { reactive } from "vue";

import { get, post } from "../api/client";
import type { AirCheck, Application, Suitable } from "../api/types";
import { air } from "./air";
import { complain } from "./toasts";

export const ACTS = ["relay", "drop", "crowd", "moving", "swarm"] as const;
export type Flag = (typeof ACTS)[number];

interface Leave {
  missionId: string | null;
  applications: Application[];
  checks: AirCheck[];
  nothing: boolean;
  busy: boolean;
  suitable: Suitable | null;
}

export const leave = reactive<Leave>({ missionId: null, applications: [], checks: [], nothing: false, busy: false, suitable: null });

export async function loadLeave(missionId: string): Promise<void> {
  if (leave.missionId !== missionId) Object.assign(leave, { missionId, applications: [], checks: [], nothing: false });
  try {
    const [applications, checks] = await Promise.all([
      get("/api/applications", { query: { mission: missionId } }),
      get("/api/air-checks", { query: { mission: missionId } }),
    ]);
    if (leave.missionId === missionId) Object.assign(leave, { applications, checks });
  } catch (error) {
    complain(error);
  }
}

/** Do one thing and show what came of it. */
async function act(missionId: string, deed: () => Promise<unknown>): Promise<void> {
  leave.busy = true;
  try {
    await deed();
  } catch (error) {
    complain(error);
  } finally {
    leave.busy = false;
    await loadLeave(missionId);
  }
}

export const draft = (missionId: string, flags: Flag[], purpose: Application["purpose"]): Promise<void> =>
  act(missionId, async () => {
    const made = await post("/api/applications", { body: { mission_ids: [missionId], flags, purpose } });
    leave.nothing = made.length === 0;
  });

export const move = (missionId: string, id: string, body: { act: "submit" | "approve" | "reject"; number: string; note: string }): Promise<void> =>
  act(missionId, () => post("/api/applications/{application_id}/act", { path: { application_id: id }, body: { ...body, decided_by: "" } }));

export const writeItem = (missionId: string, id: string, number: number, text: string): Promise<void> =>
  act(missionId, () => post("/api/applications/{application_id}/item", { path: { application_id: id }, body: { number, text } }));

export const acknowledge = (missionId: string): Promise<void> =>
  act(missionId, () => post("/api/missions/{mission_id}/acknowledge", { path: { mission_id: missionId } }));

export const report = (missionId: string): Promise<void> => act(missionId, () => post("/api/missions/{mission_id}/report", { path: { mission_id: missionId } }));

export const confirmReport = (missionId: string, id: string, number: string): Promise<void> =>
  act(missionId, () => post("/api/air-checks/{check_id}/confirm", { path: { check_id: id }, body: { number } }));

/** Show the suitable airspace map, or put it away. */
export async function toggleSuitable(): Promise<void> {
  if (leave.suitable) {
    leave.suitable = null;
    return;
  }
  try {
    leave.suitable = await get("/api/airspace/suitable", { query: { day: air.entry?.day } });
  } catch (error) {
    complain(error);
  }
}
