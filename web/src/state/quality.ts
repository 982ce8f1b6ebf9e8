/** The quality record of one survey, opened beside the map. */
import { reactive } from "vue";

import { get } from "../api/client";
import type { QualityDetail } from "../api/types";
import { review } from "./review";
import { note } from "./route";
import { complain } from "./toasts";

export const quality = reactive<{ id: string | null; detail: QualityDetail | null }>({ id: null, detail: null });

export async function openQuality(id: string): Promise<void> {
  if (quality.id !== id) quality.detail = null;
  quality.id = id;
  note({ area: review.areaId, quality: id });
  try {
    const found = await get("/api/surveys/{survey_id}/quality", { path: { survey_id: id } });
    if (quality.id === id) quality.detail = found;
  } catch (error) {
    complain(error);
    if (quality.id === id) closeQuality();
  }
}

export function closeQuality(): void {
  quality.id = quality.detail = null;
  note({ quality: null });
}
