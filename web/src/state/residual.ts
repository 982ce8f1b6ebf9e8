/** How the later survey lies on its reference, fetched when somebody wants to see it. */
import { computed, ref, shallowRef, watch } from "vue";

import { get } from "../api/client";
import type { Residual, Survey } from "../api/types";
import { after, review } from "./review";
import { complain } from "./toasts";
import { view } from "./view";

export const residual = shallowRef<Residual | null>(null);
export const residualLoading = ref(false);

/** Whether there is anything to show: a first survey lies on nothing. */
export const hasResidual = computed(() => Boolean(after.value?.reference_id) && after.value?.quality.residual_median_px !== null);
export const residualOf = computed<Survey | null>(() => review.surveys.find((s) => s.id === after.value?.reference_id) ?? null);
export const refusedCells = computed(() => residual.value?.cells.filter((c) => c.state === "refused").length ?? 0);
export const unknownCells = computed(() => residual.value?.cells.filter((c) => c.state === "unknown").length ?? 0);

// The address of the tiles is another one once the survey was moved: its residual is another one then, too.
watch(
  () => (view.residual && hasResidual.value ? `${after.value?.id} ${after.value?.tiles["ortho"]}` : null),
  async (wanted, _, onCleanup) => {
    let late = false;
    onCleanup(() => (late = true));
    residual.value = null;
    const survey = after.value;
    if (!wanted || !survey) return;
    residualLoading.value = true;
    try {
      const found = await get("/api/surveys/{survey_id}/residual", { path: { survey_id: survey.id } });
      if (!late) residual.value = found;
    } catch (error) {
      if (!late) complain(error);
    } finally {
      if (!late) residualLoading.value = false;
    }
  },
);
