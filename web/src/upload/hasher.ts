/** The SHA-256 of files: two workers, and a memory across reloads, so that a folder chosen again is known at once. */
import type { Ask, Told } from "./hash.worker";

const WORKERS = 2;
const STORE = "hashes";

const workers: Worker[] = [];
const waiting = new Map<number, { done: (sha256: string) => void; failed: (error: Error) => void }>();
let last = 0;

function worker(): Worker {
  if (workers.length < WORKERS) {
    const made = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
    made.onmessage = ({ data }: MessageEvent<Told>) => {
      const asked = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.sha256) asked?.done(data.sha256);
      else asked?.failed(new Error(data.error ?? "worker"));
    };
    workers.push(made);
    return made;
  }
  return workers[last % WORKERS]!;
}

/** The hash of a file; raises when the file cannot be read (the card was pulled, the file was changed). */
export async function hashOf(name: string, file: File): Promise<string> {
  const key = `${name}|${file.size}|${file.lastModified}`;
  const known = await recall(key);
  if (known) return known;
  const sha256 = await new Promise<string>((done, failed) => {
    const ask: Ask = { id: ++last, file };
    waiting.set(ask.id, { done, failed });
    worker().postMessage(ask);
  });
  void keep(key, sha256);
  return sha256;
}

// Forgetting is no fault: in a private window there may be no such memory, and the file is simply read again.
let opened: Promise<IDBDatabase | null> | null = null;

function open(): Promise<IDBDatabase | null> {
  opened ??= new Promise((done) => {
    const asked = indexedDB.open("patrol", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE);
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => done(null);
  });
  return opened.catch(() => null);
}

async function recall(key: string): Promise<string | null> {
  const base = await open();
  if (!base) return null;
  return new Promise((done) => {
    const asked = base.transaction(STORE).objectStore(STORE).get(key);
    asked.onsuccess = () => done(typeof asked.result === "string" ? asked.result : null);
    asked.onerror = () => done(null);
  });
}

async function keep(key: string, sha256: string): Promise<void> {
  const base = await open();
  base?.transaction(STORE, "readwrite").objectStore(STORE).put(sha256, key);
}
