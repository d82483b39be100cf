/**
 * Documents say what is true: what they name exists. Examples in them run with
 * `deno test --doc`; this looks at links, files, symbols, tests, limits and
 * commands that they mention.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../cli/command_table.ts";

const ROOT = new URL("../", import.meta.url);
const CODE = ["src/", "supervisors/", "cli/", "bench/", "examples/", "tests/"];

const documents = new Map<string, string>();
for (
  const folder of [
    "",
    "docs/",
    "bench/",
    "examples/flavio/",
    "examples/rc_example/",
    "examples/tanodb/",
  ]
) {
  for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
    if (!name.endsWith(".md")) continue;
    const path = folder + name;
    documents.set(path, await Deno.readTextFile(new URL(path, ROOT)));
  }
}

/** Paths and texts of all modules. */
const code = new Map<string, string>();
for (const folder of CODE) await readCode(folder);

async function readCode(folder: string): Promise<void> {
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = folder + entry.name;
    if (entry.isDirectory) await readCode(`${path}/`);
    else if (path.endsWith(".ts")) {
      code.set(path, await Deno.readTextFile(new URL(path, ROOT)));
    }
  }
}

const architecture = documents.get("ARCHITECTURE.md") ?? "";

function* quoted(text: string): Generator<string> {
  const outsideBlocks = text.replace(/^```.*?^```$/gms, "");
  // A line may end within a quotation.
  for (const [, words] of outsideBlocks.matchAll(/`([^`]+)`/g)) {
    yield words!.replace(/\s+/g, " ");
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(new URL(path, ROOT));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("documents link to files that exist", async () => {
  const broken: string[] = [];
  for (const [path, text] of documents) {
    for (const [, link] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(link!)) continue;
      const target = new URL(link!, new URL(path, ROOT)).pathname;
      if (!await isThere(target)) broken.push(`${path}: ${link}`);
    }
  }
  assertEquals(broken, []);
});

Deno.test("documents name files that exist", async () => {
  const missing: string[] = [];
  let named = 0;
  for (const [path, text] of documents) {
    if (path === "CONTRIBUTING.md") continue; // Its table is of made-up names.
    for (const words of quoted(text)) {
      if (!/^[\w./-]+\/[\w.-]+\.(ts|md|json)$/.test(words)) continue;
      if (!CODE.some((folder) => words.startsWith(folder))) continue;
      named++;
      if (!await isThere(words)) missing.push(`${path}: ${words}`);
    }
  }
  assertEquals(missing, []);
  assert(named > 50, `only ${named} files are named`);
});

Deno.test("ARCHITECTURE.md names bare files and symbols that exist", () => {
  const all = [...code.values()].join("\n");
  const names = new Set([...code.keys()].map((path) => path.split("/").at(-1)));
  // Parts of the design that it says are not there.
  const absent = /^(admin_sup)$/;
  const unknown: string[] = [];
  let named = 0;
  for (const words of quoted(architecture)) {
    if (/^\w+\.ts$/.test(words) && !names.has(words)) unknown.push(words);
    if (!/^#?[A-Za-z]\w+(\.\w+)?$/.test(words) || words.endsWith(".ts")) {
      continue;
    }
    if (absent.test(words) || words === "cli" || words === "deno.json") {
      continue;
    }
    named++;
    for (const name of words.split(".")) {
      if (!new RegExp(`(?<!\\w)${name}(?!\\w)`).test(all)) unknown.push(words);
    }
  }
  assertEquals(unknown, []);
  assert(named > 100, `only ${named} symbols are named`);
});

for (
  const [page, atLeast] of [
    ["ARCHITECTURE.md", 40],
    ["docs/riak_core_names.md", 25],
  ] as const
) {
  Deno.test(`${page} names a symbol beside a file only if that file has it`, () => {
    const wrong: string[] = [];
    let pairs = 0;
    for (
      const [, symbol, path] of (documents.get(page) ?? "").matchAll(
        /`(#?\w+(?:\.\w+)?)`\s*(?:\(|,\s+)`((?:src|cli|supervisors)\/[\w/]+\.ts)`/g,
      )
    ) {
      pairs++;
      const name = symbol!.split(".").at(-1)!;
      if (!code.get(path!)?.includes(name)) wrong.push(`${symbol} in ${path}`);
    }
    assertEquals(wrong, []);
    assert(pairs > atLeast, `only ${pairs} pairs are found`);
  });
}

Deno.test("ARCHITECTURE.md names tests that exist", () => {
  const all = [...code].filter(([path]) => path.endsWith("_test.ts"))
    .map(([, text]) => text).join("\n");
  const table = architecture.split("## What must be durable before what")[1]!
    .split("\n## ")[0]!;
  const tests = [...quoted(table)].filter((words) =>
    words.split(" ").length > 4
  );
  assertEquals(tests.filter((name) => !all.includes(name)), []);
  assert(tests.length >= 8, `only ${tests.length} tests are named`);
});

Deno.test("documents name tasks and commands that exist", async () => {
  const { tasks } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const commands = new Set(
    COMMANDS.flatMap(({ name }) => [name, name.split(" ")[0]]),
  );
  const unknown: string[] = [];
  for (const [path, text] of documents) {
    for (
      const [, task] of text.matchAll(
        /deno(?:@[\d.]+)? task (?:-q )?([a-z][\w:]*)/g,
      )
    ) {
      if (!Object.hasOwn(tasks, task!)) unknown.push(`${path}: task ${task}`);
    }
    for (const words of quoted(text)) {
      const [, first, second] =
        /^whorl ([a-z][a-z_-]*)(?: ([a-z][a-z-]*))?/.exec(words) ??
          [];
      if (first === undefined) continue;
      const isGroup = COMMANDS.some(({ name }) => name.startsWith(`${first} `));
      const known = isGroup && second !== undefined
        ? commands.has(`${first} ${second}`)
        : commands.has(first);
      if (!known) unknown.push(`${path}: ${words}`);
    }
  }
  assertEquals(unknown, []);
});

/** Pages that show code of an example, and where it stands. */
const EXAMPLES_SHOWN: Readonly<Record<string, readonly string[]>> = {
  "docs/guide.md": [
    "examples/guide/ping_vnode.ts",
    "examples/guide/visitors_vnode.ts",
  ],
  "docs/vnode.md": [
    "examples/counter/counter_vnode.ts",
    "examples/words/words_vnode.ts",
  ],
  "examples/flavio/README.md": [
    "examples/flavio/flavio.ts",
    "examples/flavio/flavio_vnode.ts",
  ],
  "examples/rc_example/README.md": [
    "examples/rc_example/rc_example.ts",
    "examples/rc_example/rc_example_vnode.ts",
  ],
  "examples/tanodb/README.md": [
    "examples/tanodb/tanodb.ts",
    "examples/tanodb/tanodb_vnode.ts",
  ],
};

for (const [path, sources] of Object.entries(EXAMPLES_SHOWN)) {
  Deno.test(`${path} shows the example as it is`, () => {
    const flat = (text: string) => text.replace(/\s+/g, "");
    const example = flat(sources.map((source) => code.get(source)).join());
    const page = documents.get(path) ?? "";
    const shown = [...page.matchAll(/^```ts ignore\n(.*?)^```$/gms)]
      .map(([, block]) => block!.trim());
    assert(shown.length >= 3);
    for (const block of shown) {
      // The page leaves a comment out; lines stand as they are otherwise.
      for (const line of block.split("\n")) {
        assert(example.includes(flat(line)), line);
      }
    }
  });
}
