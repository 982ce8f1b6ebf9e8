/** Where the reader is: `#/page/id?query`. A hash needs nothing of the server and survives being mailed to a colleague. */
import { reactive } from "vue";

export const PAGES = ["review", "cases", "flight", "upload", "precision", "recon"] as const;
export type Page = (typeof PAGES)[number];

interface Route {
  page: Page;
  id: string | null;
  query: Record<string, string>;
}

export const route = reactive<Route>(read());

window.addEventListener("hashchange", () => Object.assign(route, read()));

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", id = ""] = path.split("/");
  return {
    page: PAGES.find((p) => p === page) ?? "review",
    id: id ? decodeURIComponent(id) : null,
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

export function address(page: Page, id?: string | null, query: Record<string, string | null | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = given.length ? `?${new URLSearchParams(given).toString()}` : "";
  return `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${search}`;
}

export function go(page: Page, id?: string | null, query: Record<string, string | null | undefined> = {}): void {
  location.hash = address(page, id, query);
}

/** Write the query of the present page without leaving a step in the history for every click in a list. */
export function note(query: Record<string, string | null | undefined>): void {
  history.replaceState(null, "", address(route.page, route.id, { ...route.query, ...query }));
  Object.assign(route, read());
}
