// The house rules that the compiler does not know: small files, and no text for the reader outside the two dictionaries.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const LINES = 300;
const wrong = [];

for (const entry of readdirSync("src", { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(ts|vue|css)$/.test(entry.name) || entry.name.endsWith(".d.ts")) continue;
  const path = join(entry.parentPath, entry.name);
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n");
  const dictionary = path.startsWith(join("src", "text"));
  if (!dictionary && lines.length > LINES) wrong.push(`${path}: ${lines.length} lines; split it (at most ${LINES})`);
  if (dictionary) continue;
  lines.forEach((line, i) => {
    const said = line.replace(/\/\/.*|<!--.*?-->|\/\*.*?\*\//g, "");
    if (/[\u4e00-\u9fff]/.test(said)) wrong.push(`${path}:${i + 1}: Chinese text outside src/text`);
    if (/https?:\/\/(?!www\.w3\.org|127\.0\.0\.1|localhost)/.test(said)) wrong.push(`${path}:${i + 1}: an address outside; the page must work offline`);
    if (/\bv-html\b/.test(said)) wrong.push(`${path}:${i + 1}: v-html lets text of others become code`);
  });
}

// A text that nobody says is a text that nobody keeps true.
const all = readdirSync("src", { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile() && /\.(ts|vue)$/.test(e.name) && !["zh.ts", "en.ts"].includes(e.name))
  .map((e) => readFileSync(join(e.parentPath, e.name), "utf8"))
  .join("\n");
const zh = readFileSync("src/text/zh.ts", "utf8");
for (const [, key] of zh.matchAll(/^ {2}"?([\w.]+)"?:/gm)) {
  const family = key.split(".").slice(0, -1).join(".");
  const ways = [`"${key}"`, `'${key}'`, `word("${family}", `, `word('${family}', `, "`" + family + ".${", `family: "${family}"`];
  if (!ways.some((way) => all.includes(way))) wrong.push(`src/text/zh.ts: "${key}" is never said`);
}

if (wrong.length) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
console.log("check: ok");
