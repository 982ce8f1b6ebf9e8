/** The present moment, told anew twice a minute: time limits run while the page stands open. */
import { ref } from "vue";

export const now = ref(Date.now());

window.setInterval(() => (now.value = Date.now()), 30_000);
