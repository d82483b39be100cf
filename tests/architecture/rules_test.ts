/**
 * Plants one violation of each rule and sees it found, beside its lawful twin.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  choiceViolations,
  cycleViolations,
  layerViolations,
  missingFileViolations,
} from "./import_rules.ts";
import { purityViolations, seamViolations } from "./effect_rules.ts";
import {
  dependencyViolations,
  headerViolations,
  leftoverViolations,
  nameViolations,
} from "./tidy_rules.ts";
import { type Module, readModules, type SourceFile } from "./source_module.ts";

type Rule = (modules: readonly Module[]) => string[];

function tree(files: Record<string, string>): SourceFile[] {
  return Object.entries(files).map(([path, text]) => ({ path, text }));
}

/** The lines that `rule` objects to, as `path:line`. */
function found(rule: Rule, files: Record<string, string>): string[] {
  return rule(readModules(tree(files))).map((violation) =>
    violation.split(":").slice(0, 2).join(":")
  );
}

Deno.test("layerViolations() lets imports point down and no other way", () => {
  const arrow = (from: string, to: string): string[] =>
    found(layerViolations, { [from]: `import "${to}";` });
  assertEquals(arrow("src/kv/a.ts", "../ring/ring.ts"), []);
  assertEquals(arrow("src/ring/a.ts", "../kv/a.ts"), ["src/ring/a.ts:1"]);
  assertEquals(arrow("src/node/a.ts", "../../mod.ts"), ["src/node/a.ts:1"]);
  assertEquals(arrow("src/ring/a_test.ts", "../node/a.ts"), [
    "src/ring/a_test.ts:1",
  ]);
  assertEquals(arrow("cli/a.ts", "../src/node/a.ts"), []);
  assertEquals(arrow("tests/a_test.ts", "../cli/a.ts"), []);
  assertEquals(arrow("cli/a.ts", "../tests/a.ts"), ["cli/a.ts:1"]);
});

Deno.test("layerViolations() goes one way within a row", () => {
  const arrow = (from: string, to: string): string[] =>
    found(layerViolations, { [from]: `import "${to}";` });
  assertEquals(arrow("src/request/a.ts", "../vnode/a.ts"), []);
  assertEquals(arrow("src/vnode/a.ts", "../request/a.ts"), [
    "src/vnode/a.ts:1",
  ]);
  assertEquals(arrow("src/transport/a.ts", "../wire/a.ts"), []);
  assertEquals(arrow("src/wire/a.ts", "../transport/a.ts"), [
    "src/wire/a.ts:1",
  ]);
  assertEquals(arrow("src/storage/a.ts", "../wire/a.ts"), [
    "src/storage/a.ts:1",
  ]);
});

Deno.test("layerViolations() leaves supervisors on its own feet", () => {
  assertEquals(
    found(layerViolations, {
      "supervisors/a.ts": 'import "./b.ts";\nimport "../src/base/errors.ts";',
    }),
    ["supervisors/a.ts:2"],
  );
});

Deno.test("layerViolations() gives examples what is public", () => {
  assertEquals(
    found(layerViolations, {
      "examples/flavio/a.ts":
        'import "./b.ts";\nimport "../../mod.ts";\nimport "../../src/node/a.ts";',
    }),
    ["examples/flavio/a.ts:3"],
  );
});

Deno.test("layerViolations() sees types, dynamic imports and URLs, and folders without a layer", () => {
  assertEquals(
    found(layerViolations, {
      "src/ring/a.ts": [
        'import type { A } from "../kv/a.ts";',
        'export * from "../kv/a.ts";',
        'const b = () => import("../kv/a.ts");',
        'new URL("../kv/a.ts", import.meta.url);',
        '// import "../kv/a.ts"',
      ].join("\n"),
    }),
    [
      "src/ring/a.ts:1",
      "src/ring/a.ts:2",
      "src/ring/a.ts:3",
      "src/ring/a.ts:4",
    ],
  );
  for (const path of ["src/misc/a.ts", "src/tests/a.ts", "ring/a.ts", "a.ts"]) {
    assertEquals(found(layerViolations, { [path]: "" }), [`${path}:1`]);
  }
});

Deno.test("choiceViolations() lets only those choose who may", () => {
  const choose = 'import { a } from "../storage/deno_kv_store.ts";';
  assertEquals(found(choiceViolations, { "src/kv/a.ts": choose }), [
    "src/kv/a.ts:1",
  ]);
  assertEquals(found(choiceViolations, { "src/node/a.ts": choose }), []);
  assertEquals(found(choiceViolations, { "src/kv/a_test.ts": choose }), []);
  assertEquals(
    found(choiceViolations, { "src/kv/a.ts": choose.replace("{", "type {") }),
    [],
  );
  assertEquals(
    found(choiceViolations, {
      "src/kv/a.ts": 'import "../transport/tcp_transport.ts";',
      "src/kv/b.ts": 'import "../transport/address.ts";',
      "src/kv/c.ts": [
        'import { type Runtime } from "../../supervisors/runtime.ts";',
        'import { systemRuntime } from "../../supervisors/runtime.ts";',
        'export * from "../../supervisors/runtime.ts";',
      ].join("\n"),
    }),
    ["src/kv/a.ts:1", "src/kv/c.ts:2", "src/kv/c.ts:3"],
  );
});

Deno.test("cycleViolations() names the way round", () => {
  const modules = readModules(tree({
    "src/a.ts": 'import "./b.ts";\nimport "./d.ts";',
    "src/b.ts": 'import type { C } from "./c.ts";',
    "src/c.ts": 'import("./b.ts");',
    "src/d.ts": 'new URL("./a.ts", import.meta.url);',
  }));
  assertEquals(cycleViolations(modules), ["src/b.ts > src/c.ts > src/b.ts"]);
});

Deno.test("missingFileViolations() finds a worker that has moved", () => {
  const child = 'new URL("./main.ts", import.meta.url);';
  assertEquals(found(missingFileViolations, { "src/a.ts": child }), [
    "src/a.ts:1",
  ]);
  assertEquals(
    found(missingFileViolations, { "src/a.ts": child, "src/main.ts": "" }),
    [],
  );
});

Deno.test("purityViolations() finds each effect in a file that only decides", () => {
  const lines = [
    "async function a() {}",
    "await a;",
    "Deno.exit();",
    "new Date();",
    "performance.now();",
    "setTimeout(a);",
    "setInterval(a);",
    "Math.random();",
    "crypto.randomUUID();",
    "console.log();",
    "a(...performance.getEntries());",
    'import { randomBytes } from "node:crypto";',
    'import { readFile } from "node:fs";',
    'import("./a.ts");',
  ];
  for (
    const path of ["src/kv/put_fsm.ts", "src/wire/a_codec.ts", "src/ring/a.ts"]
  ) {
    assertEquals(
      found(purityViolations, { [path]: lines.join("\n") }),
      lines.map((_, i) => `${path}:${i + 1}`),
    );
  }
  assertEquals(
    found(purityViolations, { "src/kv/a.ts": lines.join("\n") }),
    [],
  );
});

Deno.test("purityViolations() leaves members, properties, text and pure functions alone", () => {
  const source = [
    "const a = { async: 1, console: 2 }; a.async; Math.max(1);",
    '// await Deno\n"setTimeout"; `Date`; /performance/;',
    'import { createHash } from "node:crypto";',
    'import type { Socket } from "node:net";',
  ].join("\n");
  assertEquals(found(purityViolations, { "src/ring/a.ts": source }), []);
});

Deno.test("purityViolations() follows what a decision runs, not the types it names", () => {
  assertEquals(
    found(purityViolations, {
      "src/kv/a_fsm.ts": 'import "./b.ts";\nimport type { C } from "./c.ts";',
      "src/kv/b.ts": 'export * from "./d.ts";',
      "src/kv/c.ts": "await a;",
      "src/kv/d.ts": "\nDate.now();",
    }),
    ["src/kv/d.ts:2"],
  );
});

Deno.test("seamViolations() finds who goes past the environment", () => {
  const source = "await a;\nsetTimeout(a);\nDeno.exit();";
  assertEquals(found(seamViolations, { "src/kv/a_process.ts": source }), [
    "src/kv/a_process.ts:2",
    "src/kv/a_process.ts:3",
  ]);
  assertEquals(
    found(seamViolations, { "src/transport/tcp_transport.ts": source }),
    [
      "src/transport/tcp_transport.ts:2",
    ],
  );
  assertEquals(
    found(seamViolations, { "src/node/system_environment.ts": source }),
    ["src/node/system_environment.ts:2"],
  );
  assertEquals(found(seamViolations, { "src/node/node.ts": source }), [
    "src/node/node.ts:2",
    "src/node/node.ts:3",
  ]);
});

Deno.test("dependencyViolations() wants npm, inline, pinned and once", () => {
  const source = [
    'import "npm:@a/b@1.2.3";',
    'import "npm:c@1.2.3/d.js";',
    'import "node:fs";',
    'import "@std/assert";',
    'import "fast-check";',
    'import "jsr:@a/b@1.2.3";',
    'import "https://example.com/a.ts";',
    'import "npm:d";',
    'import "npm:d@^1.0.0";',
    'import "npm:@a/b@1.2.4";',
  ].join("\n");
  assertEquals(
    found(dependencyViolations, { "cli/a.ts": source }),
    [4, 5, 6, 7, 8, 9, 10].map((line) => `cli/a.ts:${line}`),
  );
  assertEquals(found(dependencyViolations, { "cli/a_test.ts": source }), []);
});

Deno.test("nameViolations() wants a noun", () => {
  const paths = [
    "a/utils.ts",
    "a/ring_helpers.ts",
    "types.ts",
    "a/common_test.ts",
  ];
  const lawful = ["a/ring.ts", "a/frame_type.ts", "a/types_of_ring.ts"];
  const files = Object.fromEntries(
    [...paths, ...lawful].map((path) => [path, ""]),
  );
  assertEquals(
    nameViolations(tree(files)).map((violation) => violation.split(":")[0]),
    paths,
  );
});

Deno.test("headerViolations() wants a module comment first", () => {
  assertEquals(
    found(headerViolations, {
      "src/a.ts": "/**\n * A.\n *\n * @module\n */\n",
      "src/b.ts": "#!/usr/bin/env deno\n/**\n * B.\n *\n * @module\n */\n",
      "src/c.ts": "import a;\n/**\n * @module\n */",
      "src/d.ts": "/** D. */",
      "supervisors/e.ts": "// @module",
      "src/f_test.ts": "",
    }),
    ["src/c.ts:1", "src/d.ts:1", "supervisors/e.ts:1"],
  );
});

Deno.test("leftoverViolations() finds markers and tests that do not run or do not look", () => {
  // In two halves, so that this file may hold them.
  const later = "TO" + "DO";
  const off = (name: string, value: boolean): string => `{ ${name}: ${value} }`;
  const files = tree({
    "README.md": `a\n${later}: b`,
    "src/a.ts": `a;\n/* ${later} */ "${later}";\n// FIX${"ME"}\n// ${later}S`,
    "src/a_test.ts": [
      `Deno.test.${"only"}("a", b);`,
      `Deno.test.${"ignore"}("a", b);`,
      off("ignore", true),
      off("only", true),
      off("sanitizeOps", false),
      off("sanitizeResources", false),
      off("sanitizeOps", true),
      "keys.only(a); path.skip(b);",
    ].join("\n"),
  });
  assertEquals(
    leftoverViolations(files).map((v) => v.split(":").slice(0, 2).join(":")),
    [
      "README.md:2",
      "src/a.ts:2",
      "src/a.ts:3",
      ...[1, 2, 3, 4, 5, 6].map((line) => `src/a_test.ts:${line}`),
    ],
  );
});
