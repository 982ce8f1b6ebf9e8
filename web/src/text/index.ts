/** What the page says, in the reader's language. */
import { ref, watchEffect } from "vue";

import type { Text2 } from "../api/types";
import { en } from "./en";
import { zh } from "./zh";

export type Key = keyof typeof zh;
export type Language = "zh" | "en";

const BOOKS: Record<Language, Record<Key, string>> = { zh, en };
const KEPT = "patrol.language";

export const language = ref<Language>(localStorage.getItem(KEPT) === "en" ? "en" : "zh");

watchEffect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
  document.title = BOOKS[language.value]["app.name"];
  localStorage.setItem(KEPT, language.value);
});

/** The text under a key, its `{names}` filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return BOOKS[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The text under a key that is made at run time, or the plain word where the dictionary has none. */
export function word(family: string, name: string): string {
  const key = `${family}.${name}`;
  return key in zh ? t(key as Key) : name;
}

/** A sentence of the server in the reader's language. */
export function say(text: Text2): string {
  return text[language.value] || text.zh || text.en;
}

/** A word of the server at the head of a line. */
export function head(text: Text2): string {
  const said = say(text);
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** A sentence of the page in both languages, for errors that are kept while the language may change. */
export function both(key: Key, values: Record<string, string> = {}): Text2 {
  const fill = (said: string): string => said.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  return { zh: fill(zh[key]), en: fill(en[key]) };
}
