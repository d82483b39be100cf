/**
 * Nothing that was acknowledged is lost: writers go on while nodes are killed in
 * the middle of their writes and started again, from a seed.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import { isWhorlError } from "../../src/base/errors.ts";
import { type KvClient, kvOutcomeUnknown } from "../../src/kv/kv_client.ts";
import { type TestCluster, withCluster } from "../harness/test_cluster.ts";

/** Where chance begins: WHORL_SEED=… plays one run again. */
const SEED = Deno.env.get("WHORL_SEED") ?? crypto.randomUUID();
const KEYS = 60;
const WRITERS = 12;
const KILLS = 6;
/** Writes between one kill and the next: so many that some are always under way. */
const WRITES_BETWEEN = { min: 60, max: 300 };

/** What one writer knows of one of its keys; nobody else writes it. */
interface Written {
  /** The newest value that was acknowledged, or 0. */
  acknowledged: number;
  /** The newest value that may have been written. */
  attempted: number;
}

/** Counts writes, so that kills come at chosen ones. */
class Pace {
  #writes = 0;
  #waiting: { readonly at: number; readonly resolve: () => void } | undefined;

  /** Writes so far. */
  get writes(): number {
    return this.#writes;
  }

  /** Another write begins. */
  tick(): void {
    this.#writes++;
    if (this.#waiting !== undefined && this.#writes >= this.#waiting.at) {
      this.#waiting.resolve();
      this.#waiting = undefined;
    }
  }

  /** Resolves when `count` more have begun. */
  after(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { at: this.#writes + count, resolve };
    });
  }
}

Deno.test("acknowledged writes survive nodes killed during writes", () =>
  withCluster({ kind: "processes", storage: "deno_kv" }, async (cluster) => {
    await cluster.joinAll();
    const chance = seededChance(SEED);
    const pace = new Pace();
    const stop = new AbortController();
    const keys = Array.from({ length: KEYS }, (): Written => ({
      acknowledged: 0,
      attempted: 0,
    }));
    const writers = Array.from(
      { length: WRITERS },
      (_, writer) =>
        write(
          cluster,
          keys.entries().filter(([i]) => i % WRITERS === writer).toArray(),
          pace,
          stop.signal,
        ),
    );
    try {
      await killAndRestart(cluster, pace, chance);
    } finally {
      stop.abort();
      await Promise.allSettled(writers);
    }
    const failures = (await Promise.all(writers)).flat();
    await cluster.settled();

    const acknowledged = keys.filter((key) => key.acknowledged > 0);
    assertEquals(acknowledged.length, KEYS, `seed ${SEED}`);
    for (const [i, key] of keys.entries()) {
      for (const { kv, name } of cluster.nodes) {
        const { values } = await kv.get("durable", `k${i}`);
        const newest = Math.max(...values as number[]);
        assert(
          newest >= key.acknowledged && newest <= key.attempted,
          `k${i} through ${name} is ${JSON.stringify(values)}, acknowledged ` +
            `was ${key.acknowledged}, attempted ${key.attempted}: WHORL_SEED=${SEED}`,
        );
      }
    }
    // A test in which nothing failed has killed nobody in the middle of anything.
    assert(failures.length > 0, `no write met a kill: WHORL_SEED=${SEED}`);
    assert(pace.writes > KILLS * WRITES_BETWEEN.min);
  }));

/** Writes rising numbers to `keys`, in turn, until told to stop; returns the codes of failures. */
async function write(
  cluster: TestCluster,
  keys: readonly [number, Written][],
  pace: Pace,
  signal: AbortSignal,
): Promise<string[]> {
  await using client = await cluster.client();
  const { kv } = client;
  const failures: string[] = [];
  while (!signal.aborted) {
    for (const [i, key] of keys) {
      pace.tick();
      const failure = await writeOnce(kv, `k${i}`, key);
      if (failure !== undefined) failures.push(failure);
    }
  }
  return failures;
}

async function writeOnce(
  kv: KvClient,
  name: string,
  key: Written,
): Promise<string | undefined> {
  const value = key.attempted + 1;
  try {
    const { context } = await kv.get("durable", name);
    key.attempted = value;
    await kv.put(
      "durable",
      name,
      value,
      context === null ? {} : { context },
    );
    key.acknowledged = value;
    return undefined;
  } catch (error) {
    // The next write is a larger one whatever has become of this one.
    if (isWhorlError(error, "overload") || kvOutcomeUnknown(error)) {
      return isWhorlError(error) ? error.code : "";
    }
    throw error;
  }
}

async function killAndRestart(
  cluster: TestCluster,
  pace: Pace,
  chance: ReturnType<typeof seededChance>,
): Promise<void> {
  for (let kills = 0; kills < KILLS; kills++) {
    const { min, max } = WRITES_BETWEEN;
    await pace.after(min + chance.below(max - min));
    const node = cluster.node(chance.below(3));
    await node.kill();
    await pace.after(chance.below(WRITES_BETWEEN.max) + 1);
    await node.start();
    // One at a time: two of three replicas are what an acknowledgement stands on.
    await cluster.settled();
  }
}
