/**
 * Measures what one row of a transfer costs in processor time at its source, at
 * its target and when it is removed, in one process and without a node around
 * them: the least of several rounds, as other work on a machine makes a round
 * dearer and never cheaper.
 *
 *     deno run --allow-all --unstable-kv bench/handoff/row_costs.ts
 *
 * The first column is the time of the thread, the second that of the process, in
 * which the disk, the garbage collector and the compiler work as well. The third is
 * the longest time, in milliseconds of the thread's processor time, for which
 * nothing else had a turn: at the source, where a partition is visited, commands
 * wait for so long.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- a program that prints
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { seededChance } from "../../src/base/chance.ts";
import { invariant } from "../../src/base/invariant.ts";
import type { Store } from "../../src/environment/storage.ts";
import { writeStorageKey } from "../../src/kv/key_limits.ts";
import { writeToObject } from "../../src/kv/kv_object.ts";
import kv from "../../src/kv/kv_vnode.ts";
import { openStore } from "../../src/storage/open_store.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";
import { BackgroundPace } from "../../src/vnode/background_pace.ts";
import { FollowedWrites } from "../../src/vnode/followed_writes.ts";
import { HandoffMode, readBatchHead } from "../../src/vnode/handoff_codec.ts";
import { HandoffSource } from "../../src/vnode/handoff_source.ts";
import { HandoffTarget } from "../../src/vnode/handoff_target.ts";
import type { Vnode, VnodeContext } from "../../src/vnode/vnode.ts";
import { WatchedPartition } from "../../src/vnode/watched_partition.ts";

const ROWS = 20_000;
const ROUNDS = 6;
const VALUE_BYTES = 100;
/** Batches that are taken in side by side, as of so many transfers. */
const WINDOW = 4;
/** A store folds its journal after a second without writes; this is longer than that takes. */
const FOLDED_MS = 2_500;

interface Cost {
  readonly threadUs: number;
  readonly processUs: number;
  readonly longestMs: number;
}

const CLOCK_THREAD_CPUTIME_ID = 3;
const libc = Deno.dlopen("libc.so.6", {
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
});

/** Processor time of this thread so far, in ms; what the system counts is as fine as its ticks. */
function preciseThreadMs(): number {
  const time = new BigInt64Array(2);
  libc.symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time);
  const [seconds, nanoseconds] = time as unknown as [bigint, bigint];
  return Number(seconds) * 1_000 + Number(nanoseconds) / 1e6;
}

/** Looks in each turn of the event loop how long the one before took; what is returned ends that. */
function watchTurns(): () => number {
  let longestMs = 0;
  let beganMs = preciseThreadMs();
  const look = (): void => {
    const nowMs = preciseThreadMs();
    longestMs = Math.max(longestMs, nowMs - beganMs);
    beganMs = nowMs;
    timer = setTimeout(look, 0);
  };
  let timer = setTimeout(look, 0);
  return () => {
    clearTimeout(timer);
    return longestMs;
  };
}

/** Processor time of the main thread so far, in µs. */
function threadUs(task: string = String(Deno.pid)): number {
  const text = Deno.readTextFileSync(`/proc/self/task/${task}/schedstat`);
  return Number(text.split(" ")[0]) / 1_000;
}

function processUs(): number {
  let total = 0;
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    try {
      total += threadUs(name);
    } catch (error) {
      // A thread that has ended since.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return total;
}

async function costOf(act: () => Promise<void>): Promise<Cost> {
  const before = { thread: threadUs(), process: processUs() };
  const endWatch = watchTurns();
  await act();
  return {
    threadUs: (threadUs() - before.thread) / ROWS,
    processUs: (processUs() - before.process) / ROWS,
    longestMs: endWatch(),
  };
}

function failed(error: unknown): never {
  throw error;
}

function later(afterMs: number, callback: () => void): void {
  setTimeout(callback, afterMs);
}

async function vnodeOn(
  store: Store,
  storage: WatchedPartition,
): Promise<Vnode> {
  const log = (): void => {};
  return await kv.init(0, {
    node: "a@host",
    ringSize: 64,
    storage,
    store: { ...store.state, durable: store.durable },
    clock: { now: () => performance.now(), wallClock: () => Date.now() },
    chance: seededChance(1),
    secretBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    log: { debug: log, info: log, warn: log, error: log } as never,
    signal: new AbortController().signal,
    crash: failed,
  } as Partial<VnodeContext> as VnodeContext) as Vnode;
}

async function fill(store: Store): Promise<void> {
  const partition = store.partition(0);
  const key = new ByteWriter(64);
  const durable: Promise<void>[] = [];
  for (let i = 0; i < ROWS; i++) {
    key.clear();
    writeStorageKey("bench", `key-${i}`, key);
    const value = writeToObject(undefined, undefined, new Uint8Array(12), {
      flags: 0,
      lastModified: Date.now(),
      value: new Uint8Array(VALUE_BYTES).fill(i),
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    partition.write(
      // Its length stands before it.
      [{ key: key.copy().subarray(2), value }],
      (error) => error === undefined ? resolve() : reject(error),
    );
    durable.push(promise);
    if (durable.length === 1_000) await Promise.all(durable.splice(0));
  }
  await Promise.all(durable);
  await new Promise((resolve) => setTimeout(resolve, FOLDED_MS));
}

/** All batches of partition 0. */
async function send(store: Store, into: Uint8Array[]): Promise<void> {
  const storage = new WatchedPartition(store.partition(0));
  const source = new HandoffSource({
    pace: new BackgroundPace(2, 20),
    partition: 0,
    ringSize: 64,
    vnode: await vnodeOn(store, storage),
    storage,
    followed: new FollowedWrites(),
    now: () => performance.now(),
    later,
    crash: failed,
    whileQuiet: async (act) => {
      await act();
      return true;
    },
    overrun: () => failed(new Error("Nothing is written")),
  }, {
    transfer: 1,
    mode: HandoffMode.move,
    target: { node: "b@host", partition: 0 },
    keySpaces: null,
  });
  let acked = 0;
  for (let items = 0; items < ROWS;) {
    // As a message would come, in a turn of its own.
    await new Promise((resolve) => setTimeout(resolve, 0));
    const answer = await new Promise<Uint8Array>((resolve, reject) =>
      source.next(acked, false, resolve, reject)
    );
    const head = readBatchHead(new ByteReader(answer));
    if (head.entries > 0) into.push(answer.subarray(head.at));
    acked = head.number;
    items = head.items;
  }
  source.end();
}

async function take(
  vnode: Vnode,
  storage: WatchedPartition,
  batches: readonly Uint8Array[],
): Promise<void> {
  const target = new HandoffTarget({
    vnode,
    takeItem: (content) =>
      storage.inBulk(() => vnode.handleHandoffData(content)),
    now: () => performance.now(),
    pace: new BackgroundPace(2, 20),
    turn: (afterMs) => new Promise((resolve) => later(afterMs, resolve)),
    run: () => failed(new Error("There are no commands")),
    itemTaken: () => {},
    failed,
    mayTake: () => Promise.resolve(),
  });
  const taking: Promise<number>[] = [];
  for (const batch of batches) {
    taking.push(target.take(1, new ByteReader(batch)));
    if (taking.length === WINDOW) await taking.shift();
  }
  await Promise.all(taking);
}

function leastOf(costs: readonly Cost[]): string {
  const least = (pick: (cost: Cost) => number): string =>
    Math.min(...costs.map(pick)).toFixed(1).padStart(8);
  return least(({ threadUs }) => threadUs) +
    least(({ processUs }) => processUs) +
    `   ${costs.map(({ longestMs }) => longestMs.toFixed(1)).join(" ")}`;
}

const directory = await Deno.makeTempDir({ prefix: "whorl-bench-" });
try {
  const open = (name: string): Promise<Store> =>
    openStore(
      { type: "deno_kv", path: `${directory}/${name}.kv` },
      systemStorage,
    );
  await using from = await open("from");
  await using to = await open("to");
  await fill(from);
  const costs = {
    source: [] as Cost[],
    target: [] as Cost[],
    removal: [] as Cost[],
  };
  for (let round = 0; round < ROUNDS; round++) {
    const batches: Uint8Array[] = [];
    costs.source.push(await costOf(() => send(from, batches)));
    const storage = new WatchedPartition(to.partition(round));
    const vnode = await vnodeOn(to, storage);
    costs.target.push(await costOf(() => take(vnode, storage, batches)));
    const arrived = await storage.count();
    invariant(arrived === ROWS, "all rows have arrived");
    costs.removal.push(await costOf(async () => await vnode.delete()));
  }
  console.log(
    `µs a row, least of ${ROUNDS} rounds:  thread process   longest turn of each, ms`,
  );
  for (const [what, each] of Object.entries(costs)) {
    console.log(`${what.padEnd(30)}${leastOf(each)}`);
  }
} finally {
  await Deno.remove(directory, { recursive: true });
}
