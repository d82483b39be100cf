/**
 * What decides and what acts: machines, codecs and values reach nothing outside
 * their arguments, and everything else reaches the world through the seam.
 *
 * @module
 */
import { arrowsOf, at, isTest, type Module } from "./source_module.ts";
import type { Token } from "./source_scan.ts";

/**
 * Decisions and values: machines and codecs wherever they stand, the folders
 * that hold nothing else, and in the others the files that are values.
 */
const PURE = [
  /_(fsm|codec)\.ts$/,
  /^src\/(base|causality|ring|wire)\//,
  /^src\/transport\/(address|admission|failure_detector|receive_buffer)\.ts$/,
  /^src\/storage\/(deno_kv_errors|deno_kv_limits|key_filter|read_cache|slab_heap)\.ts$/,
  /^src\/cluster\/(claimant_result|cluster_status|membership|node_watcher)\.ts$/,
  /^src\/request\/(coverage_report|object_merge|quorum|quorum_options|read_repair|request_machine|request_outcome)\.ts$/,
  /^src\/admin\/(figure_text|node_target)\.ts$/,
  /^src\/ensemble\/(consistent_object|ensemble_names|ensemble_plan|group_table|member_plan)\.ts$/,
  /^src\/kv\/(causal_context|key_limits|kv_object)\.ts$/,
  /^src\/simulation\/(draw_schedule|failure_report|fault_words|run_seeds|seed_summary|shrink_candidates|trace_timeline)\.ts$/,
  /^supervisors\/(backoff|child_spec|exit_reason|restart_\w+)\.ts$/,
];
/** Names by which code reaches the world. Not `process`, which here is what a supervisor starts. */
const WORLD_WORDS = new Set(
  ("Deno Date performance setTimeout setInterval setImmediate crypto console fetch Worker " +
    "BroadcastChannel localStorage").split(" "),
);
/** What a decision may not do either, though it stays within the thread and its order is certain. */
const EFFECT_WORDS = new Set([
  ...WORLD_WORDS,
  "await",
  "async",
  "queueMicrotask",
  "globalThis",
]);
/** The other side of the seam: who may reach the world at all, and by which names. */
const WORLD_SIDE: readonly (readonly [RegExp, string])[] = [
  [/^src\/node\/system_environment\.ts$/, "Deno Date crypto"],
  // Files that are read and written before there is a node, or beside it.
  [/^src\/node\/(connect|control_file)\.ts$/, "Deno"],
  [/^src\/transport\/tcp_transport\.ts$/, "Deno"],
  [/^src\/storage\/system_disk\.ts$/, "Deno"],
  // The terminal is this process's, and so is the file of what was typed at it.
  [
    /^src\/prompt\/(prompt|prompt_history|run_prompt|terminal_columns)\.ts$/,
    "Deno",
  ],
  // Where the node may be far, the clock of whoever looks at it is meant.
  [/^src\/prompt\/session_scope\.ts$/, "Date"],
  // Virtual time turns the real event loop to empty the microtask queue.
  [/^src\/simulation\/virtual_time\.ts$/, "setImmediate"],
  // Whoever closes the real world has to name it.
  [/^src\/simulation\/real_world_guard\.ts$/, "Deno performance crypto"],
  [/^supervisors\/runtime\.ts$/, "performance setTimeout Math"],
  // A test's clock yields to real I/O between its turns.
  [/^supervisors\/manual_runtime\.ts$/, "setTimeout"],
  [/^supervisors\/subprocess_(child|main)\.ts$/, "Deno"],
  [/^supervisors\/worker_child\.ts$/, "Worker"],
];
/** What of Node a decision may use: functions of their arguments. */
const PURE_NODE_NAMES: Readonly<Record<string, readonly string[]>> = {
  "node:buffer": ["Buffer"],
  "node:crypto": ["createHash", "createHmac", "hash", "timingSafeEqual"],
  "node:zlib": ["crc32"],
};

/** No decision or value, nor anything it runs, waits, reads a clock, rolls dice or does I/O. */
export function purityViolations(modules: readonly Module[]): string[] {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const pending = modules.filter(({ path }) =>
    PURE.some((pattern) => pattern.test(path)) && !isTest(path)
  );
  const pure = new Set(pending);
  const violations: string[] = [];
  for (const module of pure) {
    for (const { line, text } of uses(module.code, EFFECT_WORDS)) {
      violations.push(at(module, line, `${text} in a file that only decides`));
    }
    for (const { specifier, names, line, use } of module.references) {
      const impure = specifier?.startsWith("node:") && use !== "type" &&
        !names.every((name) => PURE_NODE_NAMES[specifier]?.includes(name));
      if (impure || use === "dynamic") {
        const what = `imports ${names} of ${specifier}`;
        violations.push(
          at(module, line, `${what} in a file that only decides`),
        );
      }
    }
    for (const { reference, to } of arrowsOf(module)) {
      const imported = byPath.get(to);
      // Iteration goes on to what is added: the set is the closure under imports.
      if (imported && reference.use === "static") pure.add(imported);
    }
  }
  return violations;
}

/** Outside the implementations the world is reached through `Environment` and `Runtime` alone. */
export function seamViolations(modules: readonly Module[]): string[] {
  return modules.filter(({ path }) =>
    /^(src|supervisors)\//.test(path) && !isTest(path)
  ).flatMap((module) => {
    const side = WORLD_SIDE.find(([pattern]) => pattern.test(module.path));
    const allowed = side?.[1].split(" ") ?? [];
    return uses(module.code, WORLD_WORDS)
      .filter(({ text }) => !allowed.includes(text))
      .map(({ line, text }) => at(module, line, `${text} goes past the seam`));
  });
}

/** Where `code` takes one of the global `names`, or `Math.random`. */
function uses(code: readonly Token[], names: ReadonlySet<string>): Token[] {
  return code.filter((token, i) => {
    if (token.kind !== "word") return false;
    const [before, next, after] = [code[i - 1], code[i + 1], code[i + 2]];
    if (token.text === "Math") {
      return next?.text === "." && after?.text === "random";
    }
    if (!names.has(token.text)) return false;
    // A member or a property of that name is somebody's own.
    const spread = before?.text === "." && code[i - 2]?.text === ".";
    const member = before?.text === "." && !spread;
    const property = next?.text === ":" &&
      (before?.text === "{" || before?.text === "," || before?.text === ";");
    return !member && !property;
  });
}
