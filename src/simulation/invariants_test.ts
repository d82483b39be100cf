import { assertEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { readStorageKey, writeStorageKey } from "../kv/key_limits.ts";
import { writeToObject } from "../kv/kv_object.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  installResize,
  takeOverClaim,
} from "../ring/ring_change.ts";
import { firstVnode } from "../ring/ring_generations.ts";
import { aloneOf, facts } from "../ring/testing/small_rings.ts";
import { Invariants } from "./invariants.ts";
import type { SimulatedCluster } from "./simulated_cluster.ts";
import { VirtualTime } from "./virtual_time.ts";

/** A store of `kv`, on any host. */
const STORE = "/kv-0";

/**
 * How many requests a node has in progress, and its bound; undefined while it
 * is dead.
 */
type Moment = readonly [size: number, bound: number] | undefined;

/** Violations of a node that goes through `moments`, one per millisecond. */
async function violationsOf(...moments: Moment[]): Promise<string[]> {
  const time = new VirtualTime();
  const machine = { host: "n1", node: {} as object | undefined };
  const invariants = new Invariants(() => time.now(), 1);
  // Only the parts of a cluster that are checked.
  const cluster = { time, machines: [{ host: "n0" }, machine] };
  const show = (moment: Moment): void => {
    const [size = 0, requestsMax = 0] = moment ?? [];
    const parts = { requests: { size }, config: { requestsMax } };
    machine.node = moment && { parts };
  };
  show(undefined);
  invariants.watch(cluster as unknown as SimulatedCluster);
  moments.forEach((moment, i) => time.schedule(i + 1, () => show(moment)));
  await time.run(Infinity, () => false);
  invariants.unwatch();
  return invariants.violations().map(({ message }) => message);
}

Deno.test("Invariants.watch() passes requests within their bound, even if it changes", async () => {
  assertEquals(
    await violationsOf([0, 5], [100, 100], undefined, [10, 10], [50, 50]),
    [],
  );
});

Deno.test("Invariants.watch() reports requests over a lowered bound", async () => {
  assertEquals(
    await violationsOf([50, 100], undefined, [30, 10], [10, 10]),
    ["requests of n1 held 30 at 3 ms and may hold 10"],
  );
});

Deno.test("Invariants.watch() reports when requests first exceeded their bound, and when most", async () => {
  assertEquals(
    await violationsOf([11, 10], [14, 10], [12, 10], [15, 100]),
    ["requests of n1 held 11 at 1 ms and may hold 10; at worst 14 at 2 ms"],
  );
});

Deno.test("Invariants.watch() reports an impossible number of requests", async () => {
  assertEquals(
    await violationsOf([5, 10], [-1, 10], [Number.NaN, 10]),
    ["requests of n1 held -1 at 2 ms and may hold 10"],
  );
});

Deno.test("Invariants.deleted() goes by the ring that wins, not by one with more generations", () => {
  const invariants = new Invariants(() => 0, 1);
  const base = addJoining(aloneOf("a@n1", 8), facts("b@n2"), 0);
  const owners = new Array<string>(16).fill("b@n2");
  const taken = takeOverClaim(base, "b@n2");
  const won = installResize(beginResize(taken, "b@n2", owners), "b@n2");
  let lost = base;
  for (let times = 0; times < 2; times++) {
    lost = abortResize(beginResize(lost, "a@n1", owners), "a@n1");
  }
  invariants.ringSeen("n2", won, true);
  invariants.ringSeen("n1", lost, true);
  // The vnodes of the ring before it are former ones, and have handed on.
  const writer = new ByteWriter();
  writeStorageKey("b", "k", writer);
  const key = readStorageKey(new ByteReader(writer.view()));
  const value = writeToObject(undefined, undefined, new Uint8Array(12), {
    flags: 0,
    lastModified: 0,
    value: new Uint8Array([2]),
  });
  for (const [host, vnode] of [["n1", 3], ["n2", firstVnode(won)]] as const) {
    invariants.written(host, STORE, vnode, [{ key, value }])(undefined);
  }
  invariants.deleted("n1", STORE, 3);
  assertEquals(invariants.violations(), []);
});
