/**
 * What compaction costs those who put and get, and what room a log takes that
 * holds much. Runs inside the node whose member leads the group:
 *
 *     fill ─► churn ─► rounds of: overwrites ─► quiet ─► snapshot ─► compaction
 *                                               └─ the same load in all three ─┘
 *
 * The load is an open one: so many puts and gets a second begin when they are
 * due, and their latencies count from then. As quiet and busy times take turns,
 * other work on the machine falls on both of them alike.
 *
 * @module
 */
import type { RaKvClient, WhorlNode } from "../../mod.ts";
import { LatencyHistogram } from "../overload/latency_histogram.ts";

/** How much to run. */
export interface CompactionRun {
  readonly liveMib: number;
  readonly valueBytes: number;
  /** Puts a second, and as many gets. */
  readonly perSecond: number;
  readonly rounds: number;
  readonly quietSeconds: number;
}

/** Latencies in ms of one kind of time. */
export interface TimeFigures {
  readonly seconds: number;
  readonly puts: Percentiles;
  readonly gets: Percentiles;
  /** The longest that a timer of 1 ms was late. */
  readonly longestBlockMs: number;
  readonly notServed: number;
}

/** Of latencies, in ms. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** What came of it. Bytes are in parts of the live bytes: those of the values alone. */
export interface CompactionFigures {
  readonly keys: number;
  readonly liveMib: number;
  readonly fillSeconds: number;
  readonly churnSeconds: number;
  /** Most segment bytes, while values were overwritten as fast as it goes, and later. */
  readonly segmentsMost: { readonly churn: number; readonly rounds: number };
  /** Segment bytes when all was done. */
  readonly segmentsAfter: number;
  /** Most bytes of all files of the log. */
  readonly diskMost: number;
  readonly memoryMostMb: number;
  readonly quiet: TimeFigures;
  readonly snapshot: TimeFigures;
  readonly compaction: TimeFigures;
}

const CONCURRENCY = 32;
/** Overwrites before each round, as a part of all keys. */
const ROUND_PART = 1 / 16;
/** Four of five overwrites go to this part of the keys. */
const HOT_PART = 0.2;
const SETTLE_MS = 3_000;
const LOOK_MS = 250;
const MIB = 2 ** 20;

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** One kind of time. */
class Meter {
  readonly puts = new LatencyHistogram();
  readonly gets = new LatencyHistogram();
  longestBlockMs = 0;
  notServed = 0;
  seconds = 0;

  get figures(): TimeFigures {
    const { seconds, longestBlockMs, notServed } = this;
    return {
      seconds,
      longestBlockMs,
      notServed,
      puts: percentiles(this.puts),
      gets: percentiles(this.gets),
    };
  }
}

function percentiles(of: LatencyHistogram): Percentiles {
  const [p50, p99, p999] = [50, 99, 99.9].map((part) => of.percentileMs(part));
  return { count: of.size, p50: p50!, p99: p99!, p999: p999! };
}

/** Bytes of all files in a folder and below. */
async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    try {
      bytes += isDirectory ? await bytesIn(path) : (await Deno.stat(path)).size;
    } catch {
      // It was removed meanwhile.
    }
  }
  return bytes;
}

class Run {
  readonly #raKv: RaKvClient;
  readonly #group: string;
  readonly #options: CompactionRun;
  readonly #source = crypto.getRandomValues(new Uint8Array(1 << 16));
  readonly keys: number;

  constructor(raKv: RaKvClient, group: string, options: CompactionRun) {
    this.#raKv = raKv;
    this.#group = group;
    this.#options = options;
    this.keys = Math.ceil(options.liveMib * MIB / options.valueBytes);
  }

  put(key: number): Promise<unknown> {
    const { valueBytes } = this.#options;
    const from = Math.floor(
      Math.random() * (this.#source.length - valueBytes),
    );
    return this.#raKv.put(
      this.#group,
      `key-${key}`,
      this.#source.subarray(from, from + valueBytes),
    );
  }

  get(key: number): Promise<unknown> {
    return this.#raKv.get(this.#group, `key-${key}`);
  }

  randomKey(): number {
    const part = Math.random() < 0.8 ? HOT_PART : 1;
    return Math.floor(Math.random() * part * this.keys);
  }

  /** Puts as fast as it goes. */
  async putAll(count: number, keyOf: (at: number) => number): Promise<number> {
    const from = performance.now();
    let next = 0;
    await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
      while (next < count) await this.put(keyOf(next++));
    }));
    return (performance.now() - from) / 1_000;
  }

  /** Offers the load while `work` is under way. */
  async measure(meter: Meter, work: Promise<unknown>): Promise<void> {
    const { perSecond } = this.#options;
    let isDone = false;
    const ending = work.finally(() => isDone = true);
    const from = performance.now();
    const open = new Set<Promise<void>>();
    const begin = (
      into: LatencyHistogram,
      dueAt: number,
      operation: Promise<unknown>,
    ): void => {
      const done = operation.then(
        () => into.add(1_000 * (performance.now() - dueAt)),
        () => void meter.notServed++,
      ).finally(() => open.delete(done));
      open.add(done);
    };
    for (let begun = 0, before = from; !isDone;) {
      await pause(1);
      const now = performance.now();
      meter.longestBlockMs = Math.max(meter.longestBlockMs, now - before - 1);
      before = now;
      for (; begun < (now - from) * perSecond / 1_000; begun++) {
        const dueAt = from + begun * 1_000 / perSecond;
        begin(meter.puts, dueAt, this.put(this.randomKey()));
        begin(meter.gets, dueAt, this.get(this.randomKey()));
      }
    }
    meter.seconds += (performance.now() - from) / 1_000;
    await ending;
    await Promise.all(open);
  }
}

/** Says how far it is, as it takes minutes. */
function tell(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Runs it against the group called `group`, whose leader is on `node`, with its log in `folder`. */
export async function runCompaction(
  { raKv, parts }: WhorlNode,
  group: string,
  folder: string,
  options: CompactionRun,
): Promise<CompactionFigures> {
  const run = new Run(raKv, group, options);
  const { keys } = run;
  const liveBytes = keys * options.valueBytes;
  const member = parts.raft!.member(group)!;
  const segments = (): number => member.log.overview().segmentBytes / liveBytes;
  const segmentsMost = { churn: 0, rounds: 0 };
  let phase: keyof typeof segmentsMost | undefined;
  let diskMost = 0;
  let memoryMostMb = 0;
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      await pause(LOOK_MS);
      if (phase === undefined) continue;
      segmentsMost[phase] = Math.max(segmentsMost[phase], segments());
      diskMost = Math.max(diskMost, await bytesIn(folder) / liveBytes);
      const memory = Deno.memoryUsage().rss / MIB;
      memoryMostMb = Math.max(memoryMostMb, memory);
    }
  })();
  try {
    const fillSeconds = await run.putAll(keys, (at) => at);
    tell("filled");
    phase = "churn";
    const churnSeconds = await run.putAll(keys, () => run.randomKey());
    await member.compact();
    tell("overwritten");
    phase = "rounds";
    const [quiet, snapshot, compaction] = [
      new Meter(),
      new Meter(),
      new Meter(),
    ];
    for (let round = 0; round < options.rounds; round++) {
      await run.putAll(keys * ROUND_PART, () => run.randomKey());
      await pause(SETTLE_MS);
      await run.measure(quiet, pause(1_000 * options.quietSeconds));
      await run.measure(snapshot, member.takeSnapshot());
      await run.measure(compaction, member.compact());
    }
    return {
      keys,
      liveMib: liveBytes / MIB,
      fillSeconds,
      churnSeconds,
      segmentsMost,
      segmentsAfter: segments(),
      diskMost,
      memoryMostMb,
      quiet: quiet.figures,
      snapshot: snapshot.figures,
      compaction: compaction.figures,
    };
  } finally {
    isOver = true;
    await looking;
  }
}

/** The figures for people. */
export function compactionText(figures: CompactionFigures): string {
  const row = (what: string, time: TimeFigures): string => {
    const { puts, gets, seconds, longestBlockMs, notServed } = time;
    const of = ({ p50, p99, p999 }: Percentiles): string =>
      [p50, p99, p999].map((ms) => ms.toFixed(2).padStart(8)).join("");
    return `${what.padEnd(10)}${seconds.toFixed(1).padStart(7)} s  puts${
      of(puts)
    }  gets${of(gets)}  longest block ${
      longestBlockMs.toFixed(1)
    } ms, not served ${notServed}\n`;
  };
  const { segmentsMost, quiet, compaction } = figures;
  return `${figures.keys} keys, ${
    figures.liveMib.toFixed(0)
  } MiB live; filled in ${
    figures.fillSeconds.toFixed(0)
  } s, as many values overwritten in ${figures.churnSeconds.toFixed(0)} s
segments, times the live bytes: ${
    segmentsMost.churn.toFixed(2)
  } at most while overwritten, ${
    segmentsMost.rounds.toFixed(2)
  } in the rounds, ${figures.segmentsAfter.toFixed(2)} at the end
all files of the log, times the live bytes: ${
    figures.diskMost.toFixed(2)
  } at most; memory ${figures.memoryMostMb.toFixed(0)} MB at most
latencies in ms: p50, p99, p99.9
${row("quiet", quiet)}${row("snapshot", figures.snapshot)}${
    row("compaction", compaction)
  }p99 while compacted: puts ${
    (compaction.puts.p99 / quiet.puts.p99).toFixed(2)
  }, gets ${
    (compaction.gets.p99 / quiet.gets.p99).toFixed(2)
  } times that of quiet times
`;
}
