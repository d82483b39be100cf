/**
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  moduleReferences,
  scanCode,
  scanTokens,
  type Token,
} from "./source_scan.ts";

function words(source: string): string[] {
  return scanCode(source).filter((t) => t.kind === "word").map((t) => t.text);
}

function ofKind(source: string, kind: Token["kind"]): string[] {
  return scanTokens(source).filter((t) => t.kind === kind).map((t) => t.text);
}

function references(source: string): string[] {
  return moduleReferences(scanCode(source)).map((r) =>
    `${r.use} ${r.specifier}${r.names.length ? ` ${r.names}` : ""} @${r.line}`
  );
}

Deno.test("scanTokens() keeps what only looks like code out of the code", () => {
  assertEquals(words("a(\"await\"); // await\nb('async'); /* Deno */ c"), [
    "a",
    "b",
    "c",
  ]);
  assertEquals(words('x = "a\\"await"; y'), ["x", "y"]);
  assertEquals(words("`await ${one + `async ${two}`} Deno`; three"), [
    "one",
    "two",
    "three",
  ]);
  assertEquals(words("`${{ a: { b } }} Date ${c}` + d"), ["a", "b", "c", "d"]);
  assertEquals(words("`\\${await} $ {async} \\``; a"), ["a"]);
});

Deno.test("scanTokens() tells a regular expression from a division", () => {
  assertEquals(ofKind('x = /"[/"]await/g; y', "regexp"), ['/"[/"]await/g']);
  assertEquals(ofKind("return /await/.test(x)", "regexp"), ["/await/"]);
  assertEquals(words("a / b / c"), ["a", "b", "c"]);
  assertEquals(words("(a) / b / c[0] / d"), ["a", "b", "c", "d"]);
  assertEquals(words("i++ / a / j! / b / c"), ["i", "a", "j", "b", "c"]);
  assertEquals(words("!/await/.test(a) && b"), ["test", "a", "b"]);
});

Deno.test("scanTokens() counts lines through comments, templates and strings", () => {
  const tokens = scanTokens("/*\n*/ a `\n${b}\n` c // d\n e");
  assertEquals(
    tokens.filter((t) => t.kind === "word").map((t) => `${t.text} ${t.line}`),
    ["a 2", "b 3", "c 4", "e 5"],
  );
});

Deno.test("scanTokens() goes on behind a quote or a template that never closes", () => {
  assertEquals(words("a = \"b\nc = 'd"), ["a", "b", "c", "d"]);
  assertEquals(words("a `b"), ["a"]);
  assertEquals(words("a /* b"), ["a"]);
});

Deno.test("scanTokens() takes a number whole and a first line for the system as comment", () => {
  assertEquals(ofKind("1_000n + 0xff + 1e-3 + .5", "number"), [
    "1_000n",
    "0xff",
    "1e-3",
    ".5",
  ]);
  assertEquals(words("#!/usr/bin/env deno\na.#b"), ["a", "#b"]);
});

Deno.test("moduleReferences() finds each form of import and export", () => {
  assertEquals(references('import "./a.ts";'), ["static ./a.ts @1"]);
  assertEquals(
    references('import d, { a as b, default as c } from "./a.ts";'),
    ["static ./a.ts default,a,default @1"],
  );
  assertEquals(references('import * as a from "./a.ts";'), [
    "static ./a.ts * @1",
  ]);
  assertEquals(references('\nexport * from "./a.ts";'), ["static ./a.ts * @2"]);
  assertEquals(references('export { a, type B } from "./a.ts"'), [
    "static ./a.ts a,B @1",
  ]);
  assertEquals(references('import type { A } from "./a.ts";'), [
    "type ./a.ts A @1",
  ]);
  assertEquals(references('export type * from "./a.ts";'), [
    "type ./a.ts * @1",
  ]);
  assertEquals(references('import type from "./a.ts";'), [
    "static ./a.ts default @1",
  ]);
  assertEquals(references('import j from "./a.json" with { type: "json" };'), [
    "static ./a.json default @1",
  ]);
});

Deno.test("moduleReferences() finds what is loaded while running", () => {
  assertEquals(references('await import("./a.ts")'), ["dynamic ./a.ts * @1"]);
  assertEquals(references('import("./a.ts").then(f)'), ["dynamic ./a.ts * @1"]);
  assertEquals(references("import(`./a.ts`)"), ["dynamic ./a.ts * @1"]);
  assertEquals(references("import(`./${a}.ts`)"), ["dynamic undefined * @1"]);
  assertEquals(references("import(url)"), ["dynamic undefined * @1"]);
  assertEquals(references('let a: import("./a.ts").A;'), ["type ./a.ts A @1"]);
  assertEquals(references('new URL("./a.ts", import.meta.url)'), [
    "url ./a.ts @1",
  ]);
  assertEquals(references('import.meta.resolve("./a.ts")'), ["url ./a.ts @1"]);
});

Deno.test("moduleReferences() takes nothing else for an import", () => {
  assertEquals(references('const from = "x"; Array.from("y")'), []);
  assertEquals(references('export const a = { from: "x" };'), []);
  assertEquals(references('export function from(a: string) { "x" }'), []);
  assertEquals(references('new URL("./a.ts", base); a.import("x")'), []);
  assertEquals(references('// import "./a.ts"\n`import "./b.ts"`'), []);
  assertEquals(references('export { a };\nimport { b } from "./b.ts"'), [
    "static ./b.ts b @2",
  ]);
});
