/** Triage in seconds: one key for each thing that a reviewer does all day. */
import { after, decide, DECISIONS, select, selected, step } from "../../state/review";
import { nudge, startNudge } from "../../state/nudge";
import { closeQuality, openQuality, quality } from "../../state/quality";
import { hasResidual } from "../../state/residual";
import { may } from "../../state/session";
import { flicker, view } from "../../state/view";

export function isTyping(target: EventTarget | null): boolean {
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
    m: () => (view.residual = hasResidual.value && !view.residual),
    n: startNudge,
    q: () => {
      if (quality.id) closeQuality();
      else if (after.value) void openQuality(after.value.id);
    },
    " ": flicker,
    Escape: () => (quality.id ? closeQuality() : select(null)),
  };
  const onKey = (event: KeyboardEvent): void => {
    if (nudge.on || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
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
