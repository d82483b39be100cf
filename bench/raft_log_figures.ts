/**
 * Measures the logs of Raft groups, beside the bare floor in the same run: a
 * file that is appended to and synced. Then restarts, and what compaction does
 * to those who append.
 *
 *     deno task bench:raft_log [--only=appends|restart|compaction] [--entries=500000] [--json]
 *
 * @module
 */
// deno-lint-ignore-file no-console -- a program that prints
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import type { RaftEntry } from "../src/raft/raft_entry.ts";
import type { GroupLog, RaftLogs } from "../src/raft/log/raft_log.ts";
import {
  openRaftLogs,
  type RaftLogsOptions,
} from "../src/raft/log/stored_raft_logs.ts";
import { systemDisk } from "../src/storage/system_disk.ts";
import { systemStorage } from "../src/storage/testing/system_storage.ts";

const UID = 7;
const RUN_MS = 2_000;
const HEADER_BYTES = 7;

const args = parseArgs(Deno.args, {
  string: ["entries", "folder", "only"],
  boolean: ["json"],
});
const folder = await Deno.makeTempDir({
  prefix: "raft-log-",
  ...(args.folder === undefined ? {} : { dir: args.folder }),
});

/** Processor time of this process so far, in µs, all threads. */
function processorUs(): number {
  const { user, system } = Deno.build.os === "linux"
    ? linuxTimes()
    : { user: 0, system: 0 };
  return user + system;
}

function linuxTimes(): { user: number; system: number } {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]
    ?.split(" ") ?? [];
  // Clock ticks of 10 ms.
  return { user: Number(fields[11]) * 1e4, system: Number(fields[12]) * 1e4 };
}

/** Notes how long each round took. */
class Meter {
  readonly #latencies: number[] = [];
  readonly #startMs = performance.now();
  readonly #startUs = processorUs();

  note(latencyMs: number): void {
    this.#latencies.push(latencyMs);
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  print(what: string, entriesEach: number): void {
    const { elapsedMs } = this;
    const count = this.#latencies.length * entriesEach;
    const sorted = this.#latencies.sort((a, b) => a - b);
    const at = (part: number): number =>
      Math.round(1_000 * (sorted[Math.floor(sorted.length * part)] ?? 0));
    const figure = {
      what,
      perSecond: Math.round(1_000 * count / elapsedMs),
      p50Us: at(0.5),
      p99Us: at(0.99),
      cpuUsEach: Number(((processorUs() - this.#startUs) / count).toFixed(2)),
    };
    if (args.json) console.log(JSON.stringify(figure));
    else {
      console.log(
        `${what.padEnd(44)} ${String(figure.perSecond).padStart(9)}/s  p50 ${
          String(figure.p50Us).padStart(6)
        } µs  p99 ${
          String(figure.p99Us).padStart(7)
        } µs  processor ${figure.cpuUsEach} µs each`,
      );
    }
  }
}

function say(what: string, value: string): void {
  if (args.json) console.log(JSON.stringify({ what, value }));
  else console.log(`${what.padEnd(44)} ${value}`);
}

async function measureFloor(
  what: string,
  bytes: number,
  entriesEach: number,
  zeros: boolean,
): Promise<void> {
  const path = `${folder}/floor`;
  await systemDisk.remove(path);
  const file = await systemDisk.open(path, { mode: "create_new" });
  if (zeros) {
    const slice = new Uint8Array(1 << 20);
    for (let i = 0; i < 256; i++) file.writeAt(slice, i << 20);
  }
  await file.sync();
  const batch = crypto.getRandomValues(new Uint8Array(Math.min(bytes, 65_536)));
  const whole = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += batch.length) {
    whole.set(batch.subarray(0, Math.min(batch.length, bytes - at)), at);
  }
  const meter = new Meter();
  for (let offset = 0; meter.elapsedMs < RUN_MS; offset += bytes) {
    if (zeros && offset + bytes > 256 << 20) break;
    const startMs = performance.now();
    file.writeAt(whole, offset);
    await file.syncData();
    meter.note(performance.now() - startMs);
  }
  meter.print(what, entriesEach);
  file.close();
  await systemDisk.remove(path);
}

/** Tells who waits when its entries are durable. */
class Durable {
  #index = 0;
  readonly #waiting: { index: number; resolve: () => void }[] = [];

  onWritten(index: number): void {
    this.#index = index;
    while (
      this.#waiting[0] !== undefined && this.#waiting[0].index <= index
    ) this.#waiting.shift()?.resolve();
  }

  onFailed(error: Error): void {
    throw error;
  }

  onRotten(error: Error): void {
    throw error;
  }

  upTo(index: number): Promise<void> {
    if (index <= this.#index) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ index, resolve }));
  }
}

function openLogs(options: Partial<RaftLogsOptions> = {}): Promise<RaftLogs> {
  return openRaftLogs({
    folder: `${folder}/raft`,
    environment: systemStorage,
    ...options,
  });
}

const source = crypto.getRandomValues(new Uint8Array(1 << 16));
let turn = 0;

/** A body as it comes from a socket: a view into something larger. */
function bodyOf(bytes: number): Uint8Array<ArrayBuffer> {
  turn = (turn + 1_031) % (source.length - bytes - HEADER_BYTES);
  const body = source.subarray(turn, turn + HEADER_BYTES + bytes);
  body[0] = 2;
  return body;
}

function entriesFrom(first: number, count: number, bytes: number): RaftEntry[] {
  return Array.from(
    { length: count },
    (_, i) => ({ index: first + i, term: 1, body: bodyOf(bytes) }),
  );
}

async function measureBatches(count: number, bytes: number): Promise<void> {
  const logs = await openLogs();
  await logs.create(configOf(UID));
  const durable = new Durable();
  const log = await logs.open(UID, durable);
  const meter = new Meter();
  while (meter.elapsedMs < RUN_MS) {
    const startMs = performance.now();
    log.append(entriesFrom(log.lastIndex + 1, count, bytes));
    await durable.upTo(log.lastIndex);
    meter.note(performance.now() - startMs);
  }
  meter.print(`log, ${count} entries of ${bytes} B a batch`, count);
  await logs.close();
  await Deno.remove(`${folder}/raft`, { recursive: true });
}

/** Many who each append one entry and wait, as clients do. */
async function measureWriters(
  writers: number,
  groups: number,
  bytes: number,
): Promise<void> {
  const logs = await openLogs();
  const opened: { log: GroupLog; durable: Durable }[] = [];
  for (let uid = 1; uid <= groups; uid++) {
    await logs.create(configOf(uid));
    const durable = new Durable();
    opened.push({ durable, log: await logs.open(uid, durable) });
  }
  const meter = new Meter();
  await Promise.all(
    Array.from({ length: writers }, async (_, i) => {
      const { log, durable } = opened[i % groups]!;
      while (meter.elapsedMs < RUN_MS) {
        const startMs = performance.now();
        const index = log.lastIndex + 1;
        log.append([{ index, term: 1, body: bodyOf(bytes) }]);
        await durable.upTo(index);
        meter.note(performance.now() - startMs);
      }
    }),
  );
  meter.print(
    `log, ${writers} writers in ${groups} group${
      groups === 1 ? "" : "s"
    }, ${bytes} B`,
    1,
  );
  await logs.close();
  await Deno.remove(`${folder}/raft`, { recursive: true });
}

function configOf(uid: number) {
  return {
    uid,
    groupId: uid,
    name: `group ${uid}`,
    machine: "bench",
    initial: { index: 0, members: [] },
  };
}

async function fill(entries: number, bytes: number): Promise<void> {
  const logs = await openLogs();
  await logs.create(configOf(UID));
  const durable = new Durable();
  const log = await logs.open(UID, durable);
  const startMs = performance.now();
  while (log.lastIndex < entries) {
    const count = Math.min(1_000, entries - log.lastIndex);
    log.append(entriesFrom(log.lastIndex + 1, count, bytes));
    await durable.upTo(log.lastIndex - 4_000);
  }
  await log.close();
  say(
    `${entries} entries of ${bytes} B put in`,
    `${Math.round(performance.now() - startMs)} ms`,
  );
  // Not in order: what is in memory is not in segments yet.
  await logs.close();
}

async function measureRestart(entries: number): Promise<void> {
  await fill(entries, 100);
  for (let run = 0; run < 3; run++) {
    const startMs = performance.now();
    const logs = await openLogs();
    const log = await logs.open(UID, new Durable());
    const tookMs = performance.now() - startMs;
    const { entriesInMemory, segments, lastIndex } = log.overview();
    if (lastIndex !== entries) throw new Error(`${lastIndex} entries are left`);
    say(
      `restart with ${entries} entries`,
      `${
        Math.round(tookMs)
      } ms (${entriesInMemory} in memory, ${segments} segments)`,
    );
    const readMs = performance.now();
    const row = await log.entries(1, 1_000, Infinity);
    say(
      `  first ${row.length} entries read`,
      `${(performance.now() - readMs).toFixed(1)} ms`,
    );
    await logs.close();
  }
  await Deno.remove(`${folder}/raft`, { recursive: true });
}

/** A store whose values are overwritten at random, with snapshots: what compaction costs those who write. */
async function measureCompaction(keys: number, bytes: number): Promise<void> {
  await fill(keys, bytes);
  const logs = await openLogs();
  const durable = new Durable();
  const log = await logs.open(UID, durable);
  const places = Array.from({ length: keys }, (_, i) => i + 1);
  const overwrite = async (count: number): Promise<number> => {
    const startMs = performance.now();
    const entries = entriesFrom(log.lastIndex + 1, count, bytes);
    for (const { index } of entries) {
      places[Math.floor(Math.random() * keys)] = index;
    }
    log.append(entries);
    await durable.upTo(log.lastIndex);
    return performance.now() - startMs;
  };
  const round = async (what: string, entries: number): Promise<void> => {
    const meter = new Meter();
    for (let done = 0; done < entries; done += 16) {
      meter.note(await overwrite(16));
      if (meter.elapsedMs > 60_000) break;
    }
    meter.print(what, 16);
  };
  const snapshot = (): Promise<void> =>
    log.takeSnapshot(
      {
        index: log.lastIndex,
        term: 1,
        membership: { index: 0, members: [] },
        machineVersion: 0,
      },
      [new Uint8Array(1 << 20)],
      [...places],
    );
  await round("  16 overwrites a batch, idle otherwise", keys / 4);
  for (let i = 0; i < 6; i++) {
    let isDone = false;
    const work = snapshot().then(() => log.compact()).then(() => isDone = true);
    const meter = new Meter();
    for (let done = 0; done < keys / 3 || !isDone; done += 16) {
      meter.note(await overwrite(16));
    }
    meter.print("  the same, while it is compacted", 16);
    await work;
    const { segmentBytes, segments, liveEntries, entriesInMemory } = log
      .overview();
    const liveBytes = keys * (bytes + HEADER_BYTES);
    say(
      "  segments",
      `${segments}, ${(segmentBytes / 2 ** 20).toFixed(0)} MiB, ${
        (segmentBytes / liveBytes).toFixed(2)
      } times the live bytes (${liveEntries} live below the snapshot, ${entriesInMemory} in memory)`,
    );
  }
  await logs.close();
  await Deno.remove(`${folder}/raft`, { recursive: true });
}

async function measureAppends(): Promise<void> {
  for (const bytes of [100, 1_024]) {
    for (const count of [1, 16, 64, 256]) {
      await measureFloor(
        `floor, ${count} times ${bytes} B a write`,
        count * (bytes + 35),
        count,
        false,
      );
      await measureBatches(count, bytes);
    }
  }
  await measureFloor("floor, 1 times 100 B, written over", 135, 1, true);
  await measureFloor("floor, 256 times 100 B, written over", 34_560, 256, true);
  await measureWriters(16, 1, 100);
  await measureWriters(256, 1, 100);
  await measureWriters(256, 256, 100);
}

try {
  const { only } = args;
  if (only === undefined || only === "appends") await measureAppends();
  if (only === undefined || only === "restart") {
    await measureRestart(Number(args.entries ?? 500_000));
  }
  if (only === "compaction") {
    await measureCompaction(Number(args.entries ?? 300_000), 1_024);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
