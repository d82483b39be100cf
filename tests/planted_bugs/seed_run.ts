/**
 * Runs seeds on a tree in a process of its own, and sees to it that the process
 * is gone afterwards.
 *
 * @module
 */
import type { PlantedTree } from "./planted_tree.ts";
import type { SeedLine } from "./seed_loop.ts";

/** A seed that failed. */
export interface FailedSeed {
  readonly seed: number;
  /** The check that failed first; `crashes` if the process ended, `hangs` if it was stuck. */
  readonly check: string;
  readonly message: string;
}

/** Which seeds to run, and how. */
export interface SeedRunOptions {
  readonly from: number;
  readonly to: number;
  /** What they are seeds of: a profile of schedules, or a story. @default {"small"} */
  readonly of?: string;
  /** Stop at the first that fails. */
  readonly first: boolean;
  /** A seed that takes longer is stuck, in milliseconds. @default {60_000} */
  readonly seedMsMax?: number;
  /** Ends the process. */
  readonly signal?: AbortSignal | undefined;
}

/** See {@linkcode SeedRunOptions.seedMsMax}. */
export const SEED_MS_MAX = 60_000;
/** Bytes that are kept of what a process complained of. */
const COMPLAINT_MAX = 2_000;

/**
 * The seeds that failed, in order; at most one with `first`. Goes on behind a
 * seed that ended the process.
 *
 * @throws {DOMException} If it was told to end.
 */
export async function runSeeds(
  tree: PlantedTree,
  options: SeedRunOptions,
): Promise<readonly FailedSeed[]> {
  const { from, to, first } = options;
  const failed: FailedSeed[] = [];
  let next = from;
  while (next <= to) {
    const part = await runProcess(tree, { ...options, from: next });
    failed.push(...part.failed);
    next = part.last + 1;
    if (first && failed.length > 0) break;
  }
  return failed;
}

interface ProcessRun {
  readonly failed: FailedSeed[];
  /** The last seed that is done with. */
  readonly last: number;
}

async function runProcess(
  tree: PlantedTree,
  { from, to, of = "small", first, seedMsMax = SEED_MS_MAX, signal }:
    SeedRunOptions,
): Promise<ProcessRun> {
  signal?.throwIfAborted();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      "--allow-read",
      "--allow-env",
      "--allow-sys",
      "tests/planted_bugs/seed_loop.ts",
      `${from}`,
      `${to}`,
      of,
      ...(first ? ["first"] : []),
    ],
    cwd: tree.root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kill = (): void => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
  };
  signal?.addEventListener("abort", kill, { once: true });
  let stuck = false;
  const giveUp = (): void => {
    stuck = true;
    kill();
  };
  let timer = setTimeout(giveUp, seedMsMax);
  const complaint = new Response(child.stderr).text();
  const run: ProcessRun & { last: number } = { failed: [], last: from - 1 };
  let begun = from;
  try {
    for await (const line of linesOf(child.stdout)) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, seedMsMax);
      const said = JSON.parse(line) as SeedLine;
      if ("begun" in said) {
        begun = said.begun;
        continue;
      }
      run.last = said.ended;
      if (said.check === undefined) continue;
      run.failed.push({
        seed: said.ended,
        check: said.check,
        message: said.message ?? "",
      });
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", kill);
    kill();
    await child.status;
  }
  const said = (await complaint).trim().slice(0, COMPLAINT_MAX);
  signal?.throwIfAborted();
  const { code } = await child.status;
  if (code === 0) return { failed: run.failed, last: Math.max(run.last, from) };
  // The seed that was under way has ended it, or never came to an end.
  run.failed.push({
    seed: begun,
    check: stuck ? "hangs" : "crashes",
    message: said,
  });
  return { failed: run.failed, last: begun };
}

async function* linesOf(
  bytes: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
}
