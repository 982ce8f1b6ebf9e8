/** Where the aircraft are, as the server says it several times a second. */
import { reactive } from "vue";

import { get } from "../api/client";
import type { Aircraft } from "../api/types";
import { complain } from "./toasts";

const RETRY_MS = 3000;

export const live = reactive<{ aircraft: Aircraft[]; connected: boolean; heard_ms: number }>({ aircraft: [], connected: false, heard_ms: 0 });

type Listener = (aircraft: readonly Aircraft[], at_ms: number) => void;
const listeners = new Set<Listener>();
let source: EventSource | null = null;
let users = 0;
let timer = 0;

/** Listen while a page shows aircraft; returns what ends it. The stream is shared and closed with its last listener. */
export function follow(listener?: Listener): () => void {
  if (listener) listeners.add(listener);
  users += 1;
  if (users === 1) open();
  return () => {
    if (listener) listeners.delete(listener);
    users -= 1;
    if (users === 0) shut();
  };
}

function open(): void {
  get("/api/aircraft")
    .then((found) => {
      if (!live.aircraft.length) live.aircraft = found;
    })
    .catch(complain);
  source = new EventSource("/api/live");
  source.onopen = () => (live.connected = true);
  source.onmessage = (event: MessageEvent<string>) => {
    live.aircraft = JSON.parse(event.data) as Aircraft[];
    live.connected = true;
    live.heard_ms = performance.now();
    for (const listener of listeners) listener(live.aircraft, live.heard_ms);
  };
  source.onerror = () => {
    live.connected = false;
    // The browser tries again by itself, except when it was refused outright.
    if (source?.readyState === EventSource.CLOSED && users > 0) {
      window.clearTimeout(timer);
      timer = window.setTimeout(() => {
        shut();
        if (users > 0) open();
      }, RETRY_MS);
    }
  };
}

function shut(): void {
  window.clearTimeout(timer);
  source?.close();
  source = null;
  live.connected = false;
}
