/** What an act asks for, as inputs of a form: one table from the fact's name to how it is asked. */
import type { Fact } from "../../api/types";
import type { Key } from "../../text";

export type Kind = "line" | "text" | "names" | "moment" | "yes" | "choice" | "truth" | "photos";

export interface Ask {
  name: string;
  kind: Kind;
  label: Key | null;
  required: boolean;
  choices?: readonly string[];
  family?: string;
}

const VERDICTS = ["illegal_building", "illegal_built", "legal", "historic", "temporary_legal", "not_a_structure", "gone", "no_entry"];

const CAUSES = ["pile", "vehicle", "vegetation", "renovation", "shadow", "nothing", "other"];

/** Facts that are asked for only where another one has a certain answer. */
export const WHERE: Record<string, { name: string; is: string }> = { cause: { name: "verdict", is: "not_a_structure" } };

const KNOWN: Record<string, Omit<Ask, "name" | "required">> = {
  reason: { kind: "text", label: "fact.reason" },
  assignee: { kind: "line", label: "fact.assignee" },
  unit: { kind: "line", label: "fact.unit" },
  verdict: { kind: "choice", label: "fact.verdict", choices: VERDICTS, family: "verdict" },
  cause: { kind: "choice", label: "fact.cause", choices: CAUSES, family: "cause" },
  officers: { kind: "names", label: "fact.officers" },
  photos: { kind: "photos", label: "fact.photos" },
  document: { kind: "line", label: "fact.document" },
  served_at: { kind: "moment", label: "fact.served_at" },
  comply_by: { kind: "moment", label: "fact.comply_by" },
  outcome: { kind: "choice", label: "fact.outcome", choices: ["self_done", "enforced"], family: "outcome" },
  gone: { kind: "truth", label: "fact.gone", choices: ["true", "false"], family: "gone" },
  to_whom: { kind: "line", label: "fact.to_whom" },
  merged_into: { kind: "line", label: "fact.merged_into" },
  defence_heard: { kind: "text", label: "fact.defence_heard" },
  approval: { kind: "line", label: "fact.approval" },
  dispute_pending: { kind: "yes", label: "fact.dispute_pending" },
  urgent: { kind: "yes", label: "fact.urgent" },
};

/** Facts that an act may be told though it does not ask: they answer a guard of the law. */
const MAY: Record<string, readonly string[]> = {
  dispatch: ["unit"],
  decide: ["approval"],
  make_ready: ["dispute_pending"],
  enforce: ["urgent"],
};

/** A recheck may have been done by a survey already; then nothing of this needs to be told again. */
const OPTIONAL_ON: Record<string, readonly string[]> = {
  close: ["gone", "officers"],
  handle: ["gone", "officers"],
};

/** The inputs for an act; a fact that this page does not know yet is asked for as one line under its own name. */
export function asksOf(act: string, fields: readonly string[]): Ask[] {
  const optional = OPTIONAL_ON[act] ?? [];
  const ask = (name: string, required: boolean): Ask => ({ name, required, ...(KNOWN[name] ?? { kind: "line", label: null }) });
  const asked = fields.filter((f) => f !== "note");
  const more = (MAY[act] ?? []).filter((f) => !asked.includes(f));
  return [...asked.map((f) => ask(f, !optional.includes(f) && f !== "photos")), ...more.map((f) => ask(f, false))];
}

/** From what stands in the input to what goes over the wire; undefined when there is nothing to say. */
export function factOf(ask: Ask, said: string | boolean): Fact | undefined {
  if (ask.kind === "yes") return said === true ? true : undefined;
  const text = String(said).trim();
  if (!text) return undefined;
  if (ask.kind === "names") return text.split(/[,\uff0c\u3001;\uff1b\n]+/).map((n) => n.trim()).filter(Boolean);
  if (ask.kind === "moment") return new Date(text).toISOString();
  if (ask.kind === "truth") return text === "true";
  return text;
}
