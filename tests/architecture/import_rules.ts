/**
 * Who may import whom: the layers of the design, who chooses implementations,
 * and no way round in a circle.
 *
 * @module
 */
import {
  arrowsOf,
  at,
  folderOf,
  isPublished,
  isTest,
  type Module,
} from "./source_module.ts";

/**
 * The layers, top to bottom. A layer may import the rows below its own and,
 * of its own row, what is listed after it.
 */
const LAYER_ROWS: readonly Readonly<Record<string, readonly string[]>>[] = [
  {
    // `whorl new` copies what is in `templates`, and imports it as text.
    cli: ["templates"],
    bench: [],
    examples: [],
    templates: [],
    tests: ["cli", "bench", "examples", "templates"],
  },
  { "mod.ts": [], simulation: ["mod.ts"] },
  { admin: [], prompt: ["admin"] },
  { node: [] },
  {
    kv: [],
    ra_kv: ["kv"],
    ensemble: ["kv", "ra_kv"],
    http: ["kv", "ra_kv"],
  },
  {
    vnode: [],
    request: ["vnode"],
    handoff: ["vnode", "request"],
    anti_entropy: ["vnode", "request", "handoff"],
  },
  { ring: [], cluster: ["ring"], raft: ["ring", "cluster"] },
  // A transport carries the frames that `wire` describes. Storage keeps bytes and needs neither.
  { wire: [], storage: [], transport: ["wire"] },
  { supervisors: [], environment: ["supervisors"] },
  { base: [], causality: ["base"] },
];

/** Useful to somebody who wants nothing else of Whorl, so it imports nothing else of it. */
const STANDS_ALONE = "supervisors";

/** What an application sees of Whorl; `examples/` are applications. */
const PUBLIC_ENTRIES = [
  "mod.ts",
  "src/causality/mod.ts",
  "src/environment/mod.ts",
  "supervisors/mod.ts",
  "src/simulation/mod.ts",
];

/** Modules behind an interface that has others: whoever imports one has chosen it. */
const IMPLEMENTATION =
  /^src\/(transport\/(tcp|memory)_\w+|storage\/(deno_kv_\w+|memory_store|open_store|system_disk))\.ts$/;
/** The same, where the interface and its implementation are one file. */
const IMPLEMENTATION_NAMES: Readonly<Record<string, readonly string[]>> = {
  "supervisors/runtime.ts": ["systemRuntime"],
};
const CHOOSERS = ["node", "simulation", "cli", "bench", "tests"];

/** The layers that stand beside `src/`; the others are folders in it. */
const OUTSIDE_SRC = [
  "cli",
  "bench",
  "examples",
  "templates",
  "tests",
  "mod.ts",
  "supervisors",
];

/** The layer of `path`, undefined if it belongs to none. */
function layerOf(path: string): string | undefined {
  const [top, second] = path.split("/");
  const name = top === "src" ? second! : top!;
  const known = LAYER_ROWS.some((row) => Object.hasOwn(row, name));
  return known && OUTSIDE_SRC.includes(name) === (top !== "src")
    ? name
    : undefined;
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  if (from === STANDS_ALONE) return false;
  const row = LAYER_ROWS.findIndex((row) => Object.hasOwn(row, from));
  if (LAYER_ROWS[row]![from]!.includes(to)) return true;
  return LAYER_ROWS.slice(row + 1).some((below) => Object.hasOwn(below, to));
}

/** Imports point down the layers. */
export function layerViolations(modules: readonly Module[]): string[] {
  const homeless = modules.filter(({ path }) => layerOf(path) === undefined)
    .map((module) => at(module, 1, "belongs to no layer"));
  const upward = modules.flatMap(arrowsOf).flatMap(
    ({ module, reference, to }) => {
      const [from, into] = [layerOf(module.path), layerOf(to)];
      if (from === undefined) return [];
      const allowed = into !== undefined && mayImport(from, into);
      if (!allowed) {
        return [at(module, reference.line, `${from} may not import ${to}`)];
      }
      if (
        from === "examples" && into !== from && !PUBLIC_ENTRIES.includes(to)
      ) {
        return [at(module, reference.line, `${to} is not public`)];
      }
      return [];
    },
  );
  return [...homeless, ...upward];
}

/** Only the node, the command, tests and benchmarks choose among implementations. */
export function choiceViolations(modules: readonly Module[]): string[] {
  return modules.flatMap(arrowsOf).flatMap(({ module, reference, to }) => {
    const chosen = IMPLEMENTATION.test(to) ||
      IMPLEMENTATION_NAMES[to]?.some((name) =>
        reference.names.includes(name) || reference.names.includes("*")
      );
    const mayChoose = isTest(module.path) ||
      CHOOSERS.includes(layerOf(module.path) ?? "") ||
      folderOf(module.path) === folderOf(to);
    return chosen && reference.use !== "type" && !mayChoose
      ? [at(module, reference.line, `may not choose ${to}`)]
      : [];
  });
}

/** No file imports itself by way of others, be it for a type. */
export function cycleViolations(modules: readonly Module[]): string[] {
  const imports = new Map(modules.map((module) => [
    module.path,
    arrowsOf(module)
      // A URL is loaded by another worker or process, which may well be of the same program.
      .filter(({ reference }) => reference.use !== "url")
      .map(({ to }) => to),
  ]));
  const done = new Set<string>();
  const trail: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.push([...trail.slice(start), path].join(" > "));
    if (start >= 0 || done.has(path)) return;
    trail.push(path);
    for (const next of imports.get(path) ?? []) visit(next);
    trail.pop();
    done.add(path);
  };
  for (const { path } of modules) visit(path);
  return cycles;
}

/** What a file names by URL is there; of imports the compiler makes sure. */
export function missingFileViolations(modules: readonly Module[]): string[] {
  const paths = new Set(modules.map(({ path }) => path));
  return modules.filter(({ path }) => isPublished(path)).flatMap(arrowsOf)
    .filter(({ reference }) => reference.use === "url")
    .filter(({ to }) => !paths.has(to))
    .map(({ module, reference, to }) =>
      at(module, reference.line, `names ${to}, which is not there`)
    );
}
