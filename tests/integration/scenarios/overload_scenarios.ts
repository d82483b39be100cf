/**
 * What becomes of commands for a vnode that does not get on with them, after
 * riak_test's `overload` and `overload_proxy`: so many wait and no more, the rest
 * is told at once, others do not notice, and nothing is left when it goes on.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { WhorlError } from "../../../src/base/errors.ts";
import { partitionOf } from "../../../src/ring/chash.ts";
import blocked, {
  BLOCKED_BYTES_MAX,
  BLOCKED_REQUESTS_MAX,
} from "../../fixtures/blocked_vnode.ts";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import type { Scenario } from "./scenario.ts";

const RING_SIZE = 16;
const OVERLOAD_CLUSTER = {
  nodes: 2,
  ringSize: RING_SIZE,
  modules: [new URL("../../fixtures/blocked_vnode.ts", import.meta.url).href],
};
/** Longer than a scenario takes. */
const TIMEOUT_MS = 60_000;
/** Within this time a caller is told, also on a busy machine. */
const PROMPT_MS = 10_000;

const encoder = new TextEncoder();

/** Keys by the partition that owns them, and a node with the partitions it owns. */
async function places(
  cluster: TestCluster,
): Promise<{ keys: string[]; node: TestNode; partitions: number[] }> {
  const keys: string[] = [];
  for (
    let i = 0;
    keys.filter((key) => key !== undefined).length < RING_SIZE;
    i++
  ) {
    const key = `key ${i}`;
    const partition = partitionOf(
      encoder.encode("b"),
      encoder.encode(key),
      RING_SIZE,
    );
    keys[partition] ??= key;
  }
  const node = cluster.node(1);
  const { owners, nodes } = await node.control.ringStatus();
  const partitions = owners.flatMap((owner, partition) =>
    nodes[owner] === node.name ? [partition] : []
  );
  assert(partitions.length > 1);
  return { keys, node, partitions };
}

/** What has become of requests so far, without waiting for them. */
class Outcomes {
  readonly done: number[] = [];
  readonly failed: string[] = [];
  #all: Promise<void>[] = [];

  watch(request: Promise<{ replies: readonly unknown[] }>): void {
    this.#all.push(
      request.then(
        ({ replies }) => void this.done.push(replies[0] as number),
        (error) => {
          assert(error instanceof WhorlError, String(error));
          this.failed.push(error.code);
        },
      ),
    );
  }

  async ended(): Promise<void> {
    await Promise.all(this.#all);
  }
}

/** Figures of the masters of `blocked` on a node. */
async function figuresOf(node: TestNode): Promise<Record<string, number>> {
  const { values } = await node.control.stats();
  const figures = Object.entries(values).flatMap(([name, value]) => {
    const [master, ...rest] = name.split(".") as [string, ...string[]];
    return master.startsWith("blocked") ? [[rest.join("."), value]] : [];
  });
  return Object.fromEntries(figures);
}

/** A cluster of which one vnode hangs, and how it is talked to. */
async function hangOne(cluster: TestCluster) {
  const { keys, node, partitions } = await places(cluster);
  const [stuck, ...others] = partitions as [number, ...number[]];
  const client = await cluster.client();
  const vnodes = client.module(blocked);
  const once = { n: 1, w: 1, timeoutMs: TIMEOUT_MS };
  const keyOf = (partition: number) => keys[partition] as string;
  const block = vnodes.request("b", keyOf(stuck), "block", undefined, once);
  // Its handler has begun, or another command could come before it.
  await until(
    "the vnode is blocked",
    async () => (await figuresOf(node)).waiting === 1,
    PROMPT_MS,
  );
  return {
    node,
    stuck,
    others,
    /** The command that hangs. */
    block,
    work: (partition: number, byteCount = 10) =>
      vnodes.request(
        "b",
        keyOf(partition),
        "work",
        new Uint8Array(byteCount),
        once,
      ),
    /** Lets it go on. */
    unblock: () =>
      vnodes.request("b", keyOf(others[0] as number), "unblock", stuck, once),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** See the module comment. */
export const OVERLOAD_SCENARIOS: readonly Scenario[] = [
  {
    name:
      "a hanging vnode queues commands up to its bound, the others serve, and queued commands are answered when it continues",
    cluster: OVERLOAD_CLUSTER,
    async play(cluster) {
      await using hung = await hangOne(cluster);
      const { node, stuck, others, work, unblock, block } = hung;
      const waiting = BLOCKED_REQUESTS_MAX - 1;
      const refused = 25;
      const outcomes = new Outcomes();
      for (let i = 0; i < waiting + refused; i++) outcomes.watch(work(stuck));
      await until(
        () => `what goes beyond is refused: ${outcomes.failed}`,
        () => Promise.resolve(outcomes.failed.length >= refused),
        PROMPT_MS,
      );
      assertEquals(outcomes.failed, Array(refused).fill("overload"));
      const figures = await figuresOf(node);
      assertEquals(
        [
          figures["mailbox.requests"],
          figures["mailbox.longest"],
          figures["mailbox.overloaded"],
          figures.refused,
        ],
        [waiting, waiting, 1, refused],
      );

      for (const other of others) {
        assertEquals((await work(other)).replies, [1]);
      }
      // Still none of those that wait has been answered, nor forgotten.
      assertEquals([outcomes.done, outcomes.failed.length], [[], refused]);

      const opened = await unblock();
      assertEquals(opened.replies, [true]);
      assertEquals((await block).replies, [1]);
      await outcomes.ended();
      assertEquals(
        outcomes.done.toSorted((a, b) => a - b),
        Array.from({ length: waiting }, (_, i) => i + 2),
      );
      assertEquals(outcomes.failed.length, refused);
      assertEquals((await work(stuck)).replies, [waiting + 2]);
      const after = await figuresOf(node);
      assertEquals(
        [after["mailbox.requests"], after["mailbox.overloaded"], after.refused],
        [0, 0, refused],
      );
    },
  },
  {
    name:
      "large commands for a vnode that hangs are refused by their bytes before they fill its master",
    cluster: OVERLOAD_CLUSTER,
    async play(cluster) {
      await using hung = await hangOne(cluster);
      const { node, stuck, others, work, unblock, block } = hung;
      const outcomes = new Outcomes();
      const large = 20_000;
      const fit = Math.floor(BLOCKED_BYTES_MAX / large);
      for (let i = 0; i < 10; i++) outcomes.watch(work(stuck, large));
      await until(
        "what goes beyond is refused",
        () => Promise.resolve(outcomes.failed.length >= 10 - fit),
        PROMPT_MS,
      );
      const figures = await figuresOf(node);
      assertEquals(figures["mailbox.requests"], fit);
      assert((figures["mailbox.bytes"] as number) <= BLOCKED_BYTES_MAX);
      // A small one has room still.
      outcomes.watch(work(stuck, 10));
      await until(
        "it waits",
        async () => (await figuresOf(node))["mailbox.requests"] === fit + 1,
        PROMPT_MS,
      );
      assertEquals((await work(others[0] as number, large)).replies, [1]);
      await unblock();
      await block;
      await outcomes.ended();
      assertEquals(outcomes.done.length, fit + 1);
      assertEquals(outcomes.failed, Array(10 - fit).fill("overload"));
    },
  },
];
