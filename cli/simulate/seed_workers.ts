/**
 * Runs a range of seeds on several threads: starts workers, tells the machine
 * in `run_seeds.ts` what they report, and does what it says.
 *
 * @module
 */
import {
  createSeedRun,
  seedInHand,
  type SeedRunEnd,
  type SeedRunEvent,
  type SeedRunOptions,
  stepSeedRun,
} from "../../src/simulation/schedule/run_seeds.ts";
import type { SeedTally } from "../../src/simulation/schedule/seed_summary.ts";
import type { WorkerBegin, WorkerReport } from "./seed_worker.ts";

/** Milliseconds a worker may be silent about a seed; a small one takes ten. */
export const SEED_MS_MAX = 60_000;
/** How often it is looked for workers that hang, and progress is told, in milliseconds. */
const TICK_MS = 250;

/** How to run seeds on several threads. */
export interface SeedWorkersOptions extends SeedRunOptions, WorkerBegin {
  /** How many workers. */
  readonly jobs: number;
  /** Longest silence of a worker about one seed, in milliseconds. @default {SEED_MS_MAX} */
  readonly seedMsMax?: number;
  /** Stops, with what is known so far. */
  readonly signal: AbortSignal;
  /** Told now and then how far it is. */
  readonly onProgress: (tally: SeedTally, elapsedMs: number) => void;
}

/** What many seeds came to. */
export interface SeedWorkersReport {
  readonly tally: SeedTally;
  readonly ended: SeedRunEnd;
  readonly elapsedMs: number;
  /** Why nobody could work, if nobody could. */
  readonly brokenBy: string | undefined;
}

interface Employed {
  readonly worker: Worker;
  /** When it last reported something. */
  heardAtMs: number;
}

/** Runs the seeds; all workers are gone when it resolves. */
export function runSeedWorkers(
  options: SeedWorkersOptions,
): Promise<SeedWorkersReport> {
  const { jobs, signal, onProgress, seedMsMax = SEED_MS_MAX } = options;
  const begunAtMs = performance.now();
  const run = createSeedRun(options);
  const employed = new Map<number, Employed>();
  const { promise, resolve } = Promise.withResolvers<SeedWorkersReport>();

  const handle = (event: SeedRunEvent): void => {
    for (const effect of stepSeedRun(run, event)) {
      switch (effect.type) {
        case "assign":
          employed.get(effect.worker)?.worker.postMessage(effect.range);
          break;
        case "replace":
          employ(effect.worker);
          break;
        case "end":
          end(effect.why);
          break;
        default:
          effect satisfies never;
      }
    }
  };

  const employ = (number: number): void => {
    employed.get(number)?.worker.terminate();
    const worker = new Worker(new URL("./seed_worker.ts", import.meta.url), {
      type: "module",
      name: `seeds ${number}`,
    });
    const one: Employed = { worker, heardAtMs: performance.now() };
    employed.set(number, one);
    worker.onmessage = ({ data }: MessageEvent<WorkerReport>) => {
      if (employed.get(number) !== one) return;
      one.heardAtMs = performance.now();
      if (data.type === "threw") crashed(data.reason);
      else handle({ ...data, worker: number });
    };
    worker.onerror = (event) => {
      // Told here, or the error would end this program.
      event.preventDefault();
      if (employed.get(number) === one) crashed(event.message);
    };
    const crashed = (reason: string): void =>
      handle({
        type: "lost",
        worker: number,
        check: "crashes",
        reason: `The simulation threw: ${reason}`,
      });
    const { simulation, settings } = options;
    worker.postMessage({ simulation, settings } satisfies WorkerBegin);
  };

  const tick = setInterval(() => {
    const now = performance.now();
    for (const [number, { heardAtMs }] of employed) {
      const seed = seedInHand(run, number);
      if (seed === undefined || now - heardAtMs < seedMsMax) continue;
      handle({
        type: "lost",
        worker: number,
        check: "hangs",
        reason: `Nothing was heard of the seed for ${seedMsMax} ms`,
      });
    }
    if (run.ended === undefined) onProgress(run.tally, now - begunAtMs);
  }, TICK_MS);
  const stop = (): void => handle({ type: "stop" });
  signal.addEventListener("abort", stop, { once: true });

  const end = (ended: SeedRunEnd): void => {
    clearInterval(tick);
    signal.removeEventListener("abort", stop);
    for (const { worker } of employed.values()) worker.terminate();
    employed.clear();
    const elapsedMs = performance.now() - begunAtMs;
    resolve({
      tally: run.tally,
      ended,
      elapsedMs,
      brokenBy: run.brokenBy,
    });
  };

  for (let number = 0; number < jobs; number++) employ(number);
  if (signal.aborted) stop();
  return promise;
}
