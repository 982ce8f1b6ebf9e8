/** Triage in seconds: one key for each thing that a reviewer does all day. */
import { decide, DECISIONS, select, selected, step } from "../../state/review";
import { may } from "../../state/session";
import { flicker, view } from "../../state/view";

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Start listening; returns what stops it. */
export function listen(reject: () => void): () => void {
  const acts: Record<string, () => void> = {
    j: () => step(1),
    k: () => step(-1),
    c: () => void confirm(),
    r: () => {
      if (selected.value && DECISIONS[selected.value.state].includes("reject") && may("triage")) reject();
    },
    s: () => (view.mode = view.mode === "swipe" ? "after" : "swipe"),
    h: () => (view.height = !view.height),
    " ": flicker,
    Escape: () => select(null),
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    // Space on a button belongs to the button.
    if (event.key === " " && event.target instanceof HTMLElement && event.target.closest("button, a, summary")) return;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  window.addEventListener("keydown", onKey);
  return () => window.removeEventListener("keydown", onKey);
}

async function confirm(): Promise<void> {
  const finding = selected.value;
  if (finding && may("triage") && (await decide(finding, "confirm"))) select(finding.id);
}
