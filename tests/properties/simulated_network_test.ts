/**
 * What a stream promises whatever the weather and whatever is done to the
 * network: what is read is what was written, in order and exactly once, all of
 * it unless the stream broke; and a seed always gives the same run.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Chance, seededChance } from "../../src/base/chance.ts";
import { isWhorlError } from "../../src/base/errors.ts";
import type { ByteStream } from "../../src/environment/transport.ts";
import type { NetworkCounts } from "../../src/simulation/network/simulated_network.ts";
import {
  type BenchHost,
  type BenchPair,
  NetworkBench,
} from "../../src/simulation/testing/network_bench.ts";

const SEEDS = 300;
/** Faults come within this time. */
const TROUBLED_MS = 4_000;
/** Within this time after the last fault everything has arrived, with every third segment and acknowledgement lost. */
const CALM_MS = 600_000;

/** One direction of a stream, as the processes at its ends see it. */
interface Carried {
  written: number;
  /** Whether the writer wrote all it wanted and closed. */
  finished: boolean;
  read: number;
  /** How the reading ended. */
  end: "open" | "ended" | "broken";
}

interface Outcome {
  readonly carried: Carried[];
  readonly digest: string;
  readonly counts: NetworkCounts;
  readonly events: number;
}

/** The byte at a place; a period that is no power of two tells a shifted piece. */
const byteAt = (place: number) => place % 241;

function badWeather(chance: Chance) {
  const delayMsMin = chance.next() * 5;
  return {
    delayMsMin,
    delayMsMax: delayMsMin + chance.next() * 40,
    lossProbability: chance.pick([0, 0.01, 0.1, 0.3]),
    repeatProbability: chance.pick([0, 0.1, 0.3]),
    reorderProbability: chance.pick([0, 0.1, 0.3]),
  };
}

/** Writes pieces of all sizes with pauses between them. */
async function write(
  stream: ByteStream,
  { process }: BenchHost,
  chance: Chance,
  carried: Carried,
): Promise<void> {
  for (let left = chance.below(40); left > 0; left--) {
    const size = chance.chance(0.05) ? 300_000 : 2_000;
    const bytes = new Uint8Array(chance.below(size) + 1);
    for (let i = 0; i < bytes.length; i++) bytes[i] = byteAt(carried.written++);
    await stream.write(bytes);
    // The writer may use its bytes again at once.
    bytes.fill(255);
    if (chance.chance(0.7)) {
      await new Promise<void>((resolve) =>
        void process.setTimer(chance.next() * 150, resolve)
      );
    }
  }
  carried.finished = true;
}

/** Reads whatever comes, at times slowly, and checks each byte. */
async function read(
  stream: ByteStream,
  { process }: BenchHost,
  chance: Chance,
  carried: Carried,
): Promise<void> {
  const into = new Uint8Array(50_000);
  for (;;) {
    const count = await stream.read(
      into.subarray(0, chance.below(into.length) + 1),
    );
    if (count === null) {
      carried.end = "ended";
      return;
    }
    for (let i = 0; i < count; i++) {
      if (into[i] !== byteAt(carried.read++)) {
        throw new Error(`Another byte than was written at ${carried.read - 1}`);
      }
    }
    if (chance.chance(0.1)) {
      await new Promise<void>((resolve) =>
        void process.setTimer(chance.next() * 300, resolve)
      );
    }
  }
}

/** One direction; its end says how it went. */
function carry(
  from: readonly [BenchHost, ByteStream],
  to: readonly [BenchHost, ByteStream],
  chance: Chance,
): { readonly carried: Carried; readonly done: Promise<unknown> } {
  const carried: Carried = {
    written: 0,
    finished: false,
    read: 0,
    end: "open",
  };
  const broken = (error: unknown) => {
    if (!isWhorlError(error, "connection_closed")) throw error;
  };
  const writing = write(from[1], from[0], chance.fork("write"), carried)
    .catch(broken);
  const reading = read(to[1], to[0], chance.fork("read"), carried)
    .catch((error) => {
      broken(error);
      carried.end = "broken";
    });
  return { carried, done: Promise.all([writing, reading]) };
}

/** Blocks, stalls, slow paths and pauses, each for a while, and at the end none of them. */
function planTrouble(
  bench: NetworkBench,
  { a, b }: BenchPair,
  chance: Chance,
): void {
  const { network, time } = bench;
  for (let left = chance.below(6); left > 0; left--) {
    const [from, to] = chance.pick([["a", "b"], ["b", "a"]] as const);
    const { process } = chance.pick([a, b]);
    const [begin, end] = chance.pick<[() => void, () => void]>([
      [() => network.block(from, to), () => network.unblock(from, to)],
      [() => network.stall(from, to), () => network.unstall(from, to)],
      [() => network.slow(from, to, 500), () => network.slow(from, to, 0)],
      [() => process.pause(), () => process.resume()],
    ]);
    const [one, other] = [chance.next(), chance.next()].sort();
    time.schedule(one! * TROUBLED_MS, begin);
    time.schedule(other! * TROUBLED_MS, end);
  }
}

/** What breaks a stream for good, for whoever lives on. */
function planBreak(
  bench: NetworkBench,
  { a, b }: BenchPair,
  chance: Chance,
): void {
  const deed = chance.pick([
    () => void bench.network.reset("a", "b"),
    () => bench.kill(a),
    () => bench.kill(b),
    () => {
      bench.kill(a, true);
      bench.time.schedule(1_000, () => void bench.host("a"));
    },
  ]);
  bench.time.schedule(chance.next() * TROUBLED_MS, deed);
}

async function run(
  seed: string,
  options: { readonly breaks: boolean; readonly traced: boolean },
): Promise<Outcome> {
  const chance = seededChance(seed);
  const bench = new NetworkBench({}, { seed, traced: options.traced });
  const pair = await bench.pair();
  bench.network.weather = badWeather(chance);
  const { a, b, near, far } = pair;
  planTrouble(bench, pair, chance);
  if (options.breaks) planBreak(bench, pair, chance);
  const there = carry([a, near], [b, far], chance.fork("there"));
  const back = carry([b, far], [a, near], chance.fork("back"));
  await bench.pass(TROUBLED_MS);
  bench.network.healAll();
  const all = [there.carried, back.carried];
  await bench.time.run(
    bench.time.now() + CALM_MS,
    () =>
      all.every(({ finished, read, written }) => finished && read === written),
  );
  // Whoever has written all and read all hangs up; the other one hears of it.
  near.close();
  await bench.pass(CALM_MS);
  far.close();
  await bench.pass(2 * CALM_MS);
  return {
    carried: all,
    digest: bench.trace.digest(),
    counts: bench.network.counts(),
    events: bench.time.events,
  };
}

Deno.test("SimulatedNetwork brings all that is written, in order and exactly once, in any weather and through faults that end", async () => {
  let lost = 0, repeated = 0, reordered = 0, bytes = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const { carried: [there, back], counts } = await run(`whole ${seed}`, {
      breaks: false,
      traced: false,
    });
    for (const { written, finished, read } of [there!, back!]) {
      assert(finished, `seed ${seed}: the writer hangs at ${written}`);
      assertEquals(read, written, `seed ${seed}`);
    }
    assertEquals([there!.end, back!.end], ["ended", "broken"], `seed ${seed}`);
    const { openStreams, connections, connecting } = counts;
    assertEquals([openStreams, connections, connecting], [0, 0, 0]);
    lost += counts.lost;
    repeated += counts.repeated;
    reordered += counts.reordered;
    bytes += counts.bytes;
  }
  // The weather was bad indeed.
  assert(lost > 1_000 && repeated > 1_000 && reordered > 1_000);
  assert(bytes > 20_000_000);
});

Deno.test("SimulatedNetwork brings the beginning of what is written, in order and exactly once, when the stream breaks", async () => {
  let cut = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const { carried, counts } = await run(`broken ${seed}`, {
      breaks: true,
      traced: false,
    });
    for (const { read, written } of carried) {
      // That the bytes are the right ones is checked as they are read.
      assert(read <= written, `seed ${seed}`);
      if (read < written) cut++;
    }
    const { openStreams, connections } = counts;
    assertEquals([openStreams, connections], [0, 0], `seed ${seed}`);
  }
  assert(cut > SEEDS / 10, `${cut} streams were cut short`);
});

Deno.test("SimulatedNetwork gives the same run for the same seed, traced or not", async () => {
  const digests = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const one = await run(`same ${seed}`, { breaks: true, traced: true });
    const other = await run(`same ${seed}`, { breaks: true, traced: true });
    assertEquals(one, other);
    const untraced = await run(`same ${seed}`, { breaks: true, traced: false });
    assertEquals({ ...untraced, digest: one.digest }, one);
    digests.add(one.digest);
  }
  assertEquals(digests.size, 20);
});
