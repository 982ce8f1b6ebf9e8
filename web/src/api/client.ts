/** The one door to the server: calls typed by the OpenAPI contract; a refusal is thrown as `Refused` with its reasons. */
import type { paths } from "./schema";
import type { Problem } from "./types";
import { both } from "../text";

type Routes<M extends "get" | "post"> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];

type Operation<P extends keyof paths, M extends "get" | "post"> = paths[P] extends Record<M, infer O> ? O : never;
type Answer<O> = O extends { responses: { 200: { content: { "application/json": infer T } } } } ? T : unknown;
type InPath<O> = O extends { parameters: { path: infer T } } ? { path: T } : { path?: undefined };
type InQuery<O> = O extends { parameters: { query?: infer T } } ? { query?: T } : { query?: undefined };
type Json<T> = { content: { "application/json": T } };
type InBody<O> = O extends { requestBody: Json<infer T> }
  ? { body: T }
  : O extends { requestBody?: infer B }
    ? { body?: [B & {}] extends [Json<infer T>] ? ([B & {}] extends [never] ? undefined : T) : undefined }
    : { body?: undefined };
type Ask<O> = InPath<O> & InQuery<O> & InBody<O>;
type Rest<T> = Record<never, never> extends T ? [ask?: T] : [ask: T];

/** An answer that is not a yes: what the server said, in both languages. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    readonly offset = NaN,
  ) {
    super(problem.text.en);
  }
}

let onSignedOut = (): void => {};

/** What to do when the server no longer knows us. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

export function get<P extends Routes<"get">>(path: P, ...[ask]: Rest<Ask<Operation<P, "get">>>): Promise<Answer<Operation<P, "get">>> {
  return call("GET", path, ask) as Promise<Answer<Operation<P, "get">>>;
}

export function post<P extends Routes<"post">>(path: P, ...[ask]: Rest<Ask<Operation<P, "post">>>): Promise<Answer<Operation<P, "post">>> {
  return call("POST", path, ask) as Promise<Answer<Operation<P, "post">>>;
}

/** Send a file as the body of a post; the rest of what is asked stands in the query. */
export function postFile<P extends Routes<"post">>(path: P, query: Record<string, string>, file: Blob): Promise<Answer<Operation<P, "post">>> {
  const init: RequestInit = { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/octet-stream" }, body: file };
  return send(path, path + search(query), init) as Promise<Answer<Operation<P, "post">>>;
}

/** Send one file as a form part named `file`. */
export async function upload(path: string, values: Record<string, string>, file: File): Promise<unknown> {
  const form = new FormData();
  form.append("file", file, file.name);
  return send(path, fill(path, values), { method: "POST", credentials: "same-origin", body: form });
}

/** Send a piece of a file, telling how far it is; `fetch` cannot. A refusal carries what the server says of the right offset. */
export function sendPiece(address: string, piece: Blob, signal: AbortSignal, onSent: (bytes: number) => void): Promise<unknown> {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    const stop = (): void => request.abort();
    request.open("PUT", address);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onerror = () => failed(new Refused(0, { code: "unreachable", text: both("app.unreachable"), reasons: [] }));
    request.onabort = () => failed(new DOMException("", "AbortError"));
    request.onloadend = () => {
      signal.removeEventListener("abort", stop);
      if (request.status === 0) return;
      if (request.status < 300) return done(request.response);
      if (request.status === 401) onSignedOut();
      const text = `${request.status} ${request.statusText}`;
      const said = (request.response as Problem | null) ?? { code: `http_${request.status}`, text: { zh: text, en: text }, reasons: [] };
      failed(new Refused(request.status, said, Number(request.getResponseHeader("Upload-Offset") ?? NaN)));
    };
    signal.addEventListener("abort", stop);
    request.send(piece);
  });
}

interface Loose {
  path?: unknown;
  query?: unknown;
  body?: unknown;
}

async function call(method: string, path: string, ask: Loose = {}): Promise<unknown> {
  const address = fill(path, (ask.path ?? {}) as Record<string, unknown>) + search((ask.query ?? {}) as Record<string, unknown>);
  const init: RequestInit = { method, credentials: "same-origin", headers: { Accept: "application/json" } };
  if (method === "POST") {
    init.headers = { ...init.headers, "Content-Type": "application/json" };
    init.body = JSON.stringify(ask.body ?? {});
  }
  return send(path, address, init);
}

async function send(path: string, address: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(address, init);
  } catch {
    throw new Refused(0, { code: "unreachable", text: both("app.unreachable"), reasons: [] });
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  if (response.status === 401 && path !== "/api/login") onSignedOut();
  throw new Refused(response.status, await problemOf(response));
}

async function problemOf(response: Response): Promise<Problem> {
  const said: unknown = await response.json().catch(() => null);
  if (said && typeof said === "object" && "text" in said) return { reasons: [], ...(said as Problem) };
  const text = `${response.status} ${response.statusText}`;
  return { code: `http_${response.status}`, text: { zh: text, en: text }, reasons: [] };
}

function fill(path: string, values: Record<string, unknown>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
}

function search(values: Record<string, unknown>): string {
  const given = Object.entries(values).filter(([, v]) => v !== undefined && v !== null && v !== "");
  return given.length ? "?" + new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString() : "";
}
