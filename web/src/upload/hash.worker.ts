/** Hashes files away from the page, so that it stays quick while gigabytes are read. */
import { Sha256 } from "./sha256";

export interface Ask {
  id: number;
  file: File;
}
export interface Told {
  id: number;
  sha256?: string;
  error?: string;
}

const WHOLE_BYTES = 64 * 1024 * 1024;

async function hash(file: File): Promise<string> {
  // The browser's own hash is ten times as fast, but takes the file in one piece and is there under HTTPS only.
  if (isSecureContext && file.size <= WHOLE_BYTES) {
    const made = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    return Array.from(made, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  const sha = new Sha256();
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return sha.digest();
    sha.update(value);
  }
}

self.onmessage = async ({ data }: MessageEvent<Ask>): Promise<void> => {
  try {
    self.postMessage({ id: data.id, sha256: await hash(data.file) } satisfies Told);
  } catch (error) {
    self.postMessage({ id: data.id, error: error instanceof Error ? error.message : String(error) } satisfies Told);
  }
};
