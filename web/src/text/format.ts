/** Numbers, times and places as the reader writes them. */
import type { Height } from "../api/types";
import { language, t } from "./index";

const UNLIMITED_M = 30_000;

const locale = (): string => (language.value === "zh" ? "zh-CN" : "en-GB");

export function area(m2: number): string {
  return `${m2.toLocaleString(locale(), { maximumFractionDigits: m2 < 100 ? 1 : 0 })} ${t("unit.m2")}`;
}

export function metres(m: number, digits = 1): string {
  return `${m.toFixed(digits)} ${t("unit.m")}`;
}

/** A limit of airspace: metres over what it counts from. */
export function height(limit: Height): string {
  if (limit.datum === "ground" && limit.metres >= UNLIMITED_M) return t("height.unlimited");
  return t(`height.${limit.datum}`, { m: Math.round(limit.metres * 10) / 10 });
}

export function length(m: number): string {
  return m < 1000 ? metres(m, 0) : `${(m / 1000).toFixed(2)} ${t("unit.km")}`;
}

export function signed(m: number | null): string {
  return m === null ? t("app.none") : `${m > 0 ? "+" : ""}${m.toFixed(1)} ${t("unit.m")}`;
}

export function px(pixels: number): string {
  return `${pixels.toFixed(2)} px`;
}

export function cm(centimetres: number): string {
  return `${centimetres.toFixed(1)} cm`;
}

/** Metres of a move as centimetres with their sign, a true minus and no minus zero. */
export function signedCm(m: number): string {
  const value = Math.round(m * 1000) / 10;
  return `${value > 0 ? "+" : value < 0 ? "\u2212" : ""}${Math.abs(value).toFixed(1)} cm`;
}

export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** step;
  return `${value.toFixed(step > 0 && value < 100 ? 1 : 0)} ${units[step]}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

export function day(iso: string | null | undefined): string {
  return iso ? iso.slice(0, 10) : t("app.none");
}

export function moment(iso: string | null | undefined): string {
  if (!iso) return t("app.none");
  const at = new Date(iso);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** A span of seconds in its two largest units. */
export function span(seconds: number): string {
  const s = Math.round(Math.abs(seconds));
  const parts = [
    ["unit.days", Math.floor(s / 86400)],
    ["unit.hours", Math.floor((s % 86400) / 3600)],
    ["unit.minutes", Math.floor((s % 3600) / 60)],
    ["unit.seconds", s % 60],
  ] as const;
  const first = parts.findIndex(([, n]) => n > 0);
  if (first < 0) return t("unit.seconds", { n: 0 });
  return parts
    .slice(first, first + 2)
    .filter(([, n]) => n > 0)
    .map(([key, n]) => t(key, { n }))
    .join(language.value === "zh" ? "" : " ");
}

/** Latitude first, as people read it aloud and as map programs take it. */
export function place([lon, lat]: readonly [number, number] | readonly number[]): string {
  return `${(lat ?? 0).toFixed(6)}, ${(lon ?? 0).toFixed(6)}`;
}
