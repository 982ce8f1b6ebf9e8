/** A file of zones on its way in: dropped, looked at by the server, shown with its changes, accepted. */
import { computed, reactive } from "vue";

import { postFile, Refused } from "../api/client";
import type { Problem, ZoneReview } from "../api/types";
import { both } from "../text";
import { loadZones } from "./air";
import { cheer, complain } from "./toasts";

export const DATUMS = ["", "wgs84", "gcj02", "bd09", "EPSG:4549"] as const;

interface ZoneImport {
  open: boolean;
  phase: "choose" | "looking" | "looked" | "taking";
  file: File | null;
  source: string;
  datum: (typeof DATUMS)[number];
  kind: NonNullable<Query["kind"]> | "";
  authority: string;
  edition: string;
  review: ZoneReview | null;
  refused: Problem | null;
}

interface Query {
  kind?: "suitable" | "controlled" | "prohibited" | "restricted" | "temporary" | null;
}

const EMPTY = { phase: "choose", file: null, source: "", datum: "", kind: "", authority: "", edition: "", review: null, refused: null } as const;

export const zoneImport = reactive<ZoneImport>({ open: false, ...EMPTY });

export const zonesBusy = computed(() => zoneImport.phase === "looking" || zoneImport.phase === "taking");

export function openImport(): void {
  Object.assign(zoneImport, { open: true, ...EMPTY });
}

export function closeImport(): void {
  Object.assign(zoneImport, { open: false, ...EMPTY });
}

const series = (file: File | null): string => file?.name.replace(/\.[^.]*$/, "") ?? "";

/** A file was dropped or chosen; its name without suffix is the series it belongs to, until the reader says another. */
export function take(file: File): Promise<void> {
  if (zoneImport.source === series(zoneImport.file)) zoneImport.source = series(file);
  zoneImport.file = file;
  return look();
}

function asked(): Record<string, string> {
  return { name: zoneImport.file?.name ?? "", source: zoneImport.source, datum: zoneImport.datum, kind: zoneImport.kind };
}

/** Let the server look; nothing is stored. A refusal stays in the panel, since it says what to change. */
export async function look(): Promise<void> {
  if (!zoneImport.file || zonesBusy.value) return;
  Object.assign(zoneImport, { phase: "looking", review: null, refused: null });
  try {
    const review = await postFile("/api/zones/review", asked(), zoneImport.file);
    Object.assign(zoneImport, { review, phase: "looked", authority: zoneImport.authority || review.authority, edition: zoneImport.edition || review.edition });
  } catch (error) {
    zoneImport.phase = "choose";
    if (error instanceof Refused && error.status === 422) zoneImport.refused = error.problem;
    else complain(error);
  }
}

/** Take what was looked at. */
export async function accept(): Promise<void> {
  const { file, review, authority, edition } = zoneImport;
  if (!file || !review) return;
  zoneImport.phase = "taking";
  try {
    const made = await postFile("/api/zones/versions", { ...asked(), seen: review.seen, authority, edition }, file);
    cheer(both("zones.taken", { source: made.source, n: String(made.zones), number: String(made.number) }));
    closeImport();
    await loadZones(true);
  } catch (error) {
    zoneImport.phase = "looked";
    complain(error);
    if (error instanceof Refused && error.status === 409) await look();
  }
}
