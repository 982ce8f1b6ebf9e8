/** One upload on its way: hash, declare, send, several files at once, through broken lines. Stopping it loses nothing. */
import { post, Refused, sendPiece } from "../api/client";
import type { Text2, UploadAnswer } from "../api/types";
import { both } from "../text";
import { hashOf } from "./hasher";
import type { Picked } from "./pick";

const PIECE_BYTES = 8 * 1024 * 1024;
const SENDERS = 3;
const BATCH = 40;
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15000];
const TRIES = 3;

export interface Item extends Picked {
  sha256: string | null;
  state: "waiting" | "stored" | "refused";
  sent: number;
}

/** What the page is told while an upload runs. */
export interface Listener {
  hashed(item: Item): void;
  moved(item: Item, bytes: number): void;
  stored(item: Item, before: boolean): void;
  refused(item: Item, why: Text2): void;
  offline(is: boolean): void;
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done, failed) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), failed(new DOMException("", "AbortError"))), { once: true });
  });

/** Send all items that are still waiting. Raises AbortError when stopped, Refused when the server will not go on. */
export async function sendAll(uploadId: string, items: readonly Item[], listener: Listener, signal: AbortSignal): Promise<void> {
  const ready: Item[] = [];
  const wake: (() => void)[] = [];
  let hashing = true;
  const stir = (): void => wake.splice(0).forEach((go) => go());
  const inner = new AbortController();
  const stop = inner.signal;
  const pass = (): void => inner.abort();
  signal.addEventListener("abort", pass);
  stop.addEventListener("abort", stir);

  async function hashAll(): Promise<void> {
    const waiting = items.filter((item) => item.state === "waiting");
    for (let at = 0; at < waiting.length; at += BATCH) {
      const batch = waiting.slice(at, at + BATCH);
      await Promise.all(batch.map((item) => hashOne(item, listener)));
      stop.throwIfAborted();
      const fit = batch.filter((item) => item.sha256 && item.state === "waiting");
      if (fit.length) ready.push(...(await declare(uploadId, fit, listener, stop)));
      stir();
    }
    hashing = false;
    stir();
  }

  async function sendSome(): Promise<void> {
    for (;;) {
      stop.throwIfAborted();
      const item = ready.shift();
      if (item) await sendOne(uploadId, item, listener, stop);
      else if (!hashing) return;
      else await new Promise<void>((go) => wake.push(go));
    }
  }

  const all = [hashAll(), ...Array.from({ length: SENDERS }, sendSome)];
  try {
    await Promise.all(all);
  } catch (error) {
    inner.abort();
    await Promise.allSettled(all);
    throw error;
  } finally {
    signal.removeEventListener("abort", pass);
  }
}

async function hashOne(item: Item, listener: Listener): Promise<void> {
  if (item.sha256) return;
  try {
    item.sha256 = await hashOf(item.name, item.file);
    listener.hashed(item);
  } catch (error) {
    item.state = "refused";
    listener.refused(item, both("upload.unreadable", { name: item.name, why: error instanceof Error ? error.message : "" }));
  }
}

async function declare(uploadId: string, batch: readonly Item[], listener: Listener, signal: AbortSignal): Promise<Item[]> {
  const answers = await insist(() => ask(uploadId, batch), listener, signal);
  return batch.filter((item, i) => {
    const answer = answers[i]!;
    if (answer.state === "wanted") {
      move(item, answer.received, listener);
      return true;
    }
    settle(item, answer, listener, true);
    return false;
  });
}

function ask(uploadId: string, batch: readonly Item[]): Promise<UploadAnswer[]> {
  const files = batch.map((item) => ({ name: item.name, size_bytes: item.file.size, sha256: item.sha256 ?? "" }));
  return post("/api/uploads/{upload_id}/files", { path: { upload_id: uploadId }, body: { files } });
}

async function sendOne(uploadId: string, item: Item, listener: Listener, signal: AbortSignal): Promise<void> {
  const path = `/api/uploads/${encodeURIComponent(uploadId)}/contents/${item.sha256}`;
  let damaged = 0;
  for (;;) {
    signal.throwIfAborted();
    const offset = item.sent;
    const piece = item.file.slice(offset, offset + PIECE_BYTES);
    try {
      const answer = (await sendPiece(`${path}?offset=${offset}`, piece, signal, (bytes) => move(item, offset + Math.min(bytes, piece.size), listener))) as { received: number; stored: boolean };
      listener.offline(false);
      move(item, answer.received, listener);
      if (answer.stored) return settle(item, { state: "stored" }, listener, false);
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) throw error;
      if (error.status === 409 && Number.isFinite(error.offset)) move(item, error.offset, listener);
      else if (error.problem.code === "damaged" && ++damaged < TRIES) move(item, 0, listener);
      else if (error.status === 413 || error.status === 422) return settle(item, { state: "refused", reason: error.problem.text }, listener, false);
      else if (passes(error) || error.problem.code === "busy") {
        listener.offline(passes(error));
        await sleep(PAUSES_MS[0]!, signal);
        const answer = (await insist(() => ask(uploadId, [item]), listener, signal))[0]!;
        if (answer.state !== "wanted") return settle(item, answer, listener, false);
        move(item, answer.received, listener);
      } else throw error;
    }
  }
}

function move(item: Item, sent: number, listener: Listener): void {
  listener.moved(item, sent - item.sent);
  item.sent = sent;
}

function settle(item: Item, answer: { state: UploadAnswer["state"]; reason?: Text2 | null }, listener: Listener, before: boolean): void {
  move(item, item.file.size, listener);
  if (answer.state === "refused") {
    item.state = "refused";
    listener.refused(item, answer.reason ?? both("app.refused"));
  } else {
    item.state = "stored";
    listener.stored(item, before);
  }
}

/** Whether an error may pass by itself: the line broke, the server restarts. */
function passes(error: unknown): boolean {
  return error instanceof Refused && [0, 502, 503, 504].includes(error.status);
}

async function insist<T>(call: () => Promise<T>, listener: Listener, signal: AbortSignal): Promise<T> {
  for (let tries = 0; ; tries++) {
    signal.throwIfAborted();
    try {
      const answer = await call();
      listener.offline(false);
      return answer;
    } catch (error) {
      if (!passes(error)) throw error;
      listener.offline(true);
      await sleep(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]!, signal);
    }
  }
}
