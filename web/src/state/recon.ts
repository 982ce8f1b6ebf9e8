/** A fire team's flight: tap, look, confirm, watch. Nothing arms before a person has confirmed. */
import { computed, reactive } from "vue";

import { get, post } from "../api/client";
import type { Recon } from "../api/types";
import { note } from "./route";
import { complain } from "./toasts";

const EVERY_MS = 1000;

interface Desk {
  current: Recon | null;
  point: [number, number] | null;
  busy: boolean;
  radius_m: number;
  height_m: number;
}

export const recon = reactive<Desk>({ current: null, point: null, busy: false, radius_m: 30, height_m: 40 });
export const isUnderWay = computed(() => recon.current?.state === "flying");

let timer = 0;

export async function ask(lon: number, lat: number): Promise<void> {
  if (recon.busy || isUnderWay.value) return;
  recon.busy = true;
  recon.point = [lon, lat];
  recon.current = null;
  try {
    keep(await post("/api/recon", { body: { lon, lat, radius_m: recon.radius_m, height_m: recon.height_m } }));
  } catch (error) {
    recon.point = null;
    complain(error);
  } finally {
    recon.busy = false;
  }
}

export const confirm = (): Promise<void> => command("/api/recon/{recon_id}/confirm");
export const abort = (): Promise<void> => command("/api/recon/{recon_id}/abort");

async function command(path: "/api/recon/{recon_id}/confirm" | "/api/recon/{recon_id}/abort"): Promise<void> {
  const id = recon.current?.id;
  if (!id || recon.busy) return;
  recon.busy = true;
  try {
    keep(await post(path, { path: { recon_id: id } }));
  } catch (error) {
    complain(error);
  } finally {
    recon.busy = false;
  }
}

/** Take up a flight that the address names: a phone that was locked finds its flight again. */
export async function takeUp(id: string | undefined): Promise<void> {
  if (!id || recon.current?.id === id) return watch();
  try {
    keep(await get("/api/recon/{recon_id}", { path: { recon_id: id } }));
  } catch {
    note({ flight: null });
  }
}

export function clear(): void {
  stop();
  recon.current = null;
  recon.point = null;
  note({ flight: null });
}

export function stop(): void {
  window.clearTimeout(timer);
}

function keep(found: Recon): void {
  recon.current = found;
  recon.point = found.point;
  note({ flight: found.id });
  watch();
}

function watch(): void {
  stop();
  const now = recon.current;
  if (!now || (now.state !== "flying" && now.state !== "ready")) return;
  timer = window.setTimeout(() => void look(now.id), EVERY_MS);
}

async function look(id: string): Promise<void> {
  try {
    const found = await get("/api/recon/{recon_id}", { path: { recon_id: id } });
    if (recon.current?.id === id && !recon.busy) recon.current = found;
  } catch {
    // The live light says that the link is away; the next look is a second off.
  }
  watch();
}
