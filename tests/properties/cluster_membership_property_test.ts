/**
 * The whole membership protocol against random events, after riak_core's
 * `new_cluster_membership_model_eqc`: nodes join and leave, members are removed
 * and replaced, plans are committed and cleared, partitions hold data that takes
 * its time to move, nodes crash and come back, members are declared down, links
 * are cut, gossip is lost, repeated and reordered. When the trouble ends, all
 * members agree on one ring with one claimant and no partition without an owner,
 * and who has left stands alone in a ring of its own.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { WhorlError } from "../../src/base/errors.ts";
import {
  currentMembers,
  membersBehind,
  memberStatus,
  type Ring,
  ringReady,
} from "../../src/ring/ring.ts";
import { encodeRing } from "../../src/ring/ring_codec.ts";
import { type BusNode, ClusterBus } from "../cluster_bus.ts";

const NAMES = ["n1", "n2", "n3", "n4"];
/** The trouble that once put a ring of three nodes into the rings of each other, where they stayed. */
const ROUND_OF_JOINS: [number, boolean, number, number, Step[]] = [
  2147221475,
  false,
  1,
  60,
  [
    { do: "join", at: 3, to: 0 },
    { do: "join", at: 0, to: 2 },
    { do: "join", at: 2, to: 3 },
    { do: "commit", at: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "join", at: 0, to: 2 },
    { do: "commit", at: 0 },
    { do: "down", at: 0, to: 0 },
    { do: "commit", at: 0 },
    { do: "down", at: 0, to: 0 },
    { do: "down", at: 0, to: 0 },
  ],
];
/** A guest that declared its host down before it was a member itself, and then lost it. */
const GUEST_DOWNS_HOST: [number, boolean, number, number, Step[]] = [
  2125851365,
  false,
  30,
  60,
  [
    { do: "leave", at: 0, to: 0 },
    { do: "join_now", at: 0, to: 1 },
    { do: "join", at: 0, to: 0 },
    { do: "commit", at: 1 },
    { do: "commit", at: 0 },
    { do: "cut", at: 0, to: 1 },
    { do: "down", at: 0, to: 1 },
  ],
];
/** A member that was removed unheard by the last one of its cluster, which then went to another. */
const REMOVED_UNHEARD: [number, boolean, number, number, Step[]] = [
  0,
  true,
  30,
  60,
  [
    { do: "commit", at: 0 },
    { do: "leave", at: 0, to: 2 },
    { do: "remove", at: 0, to: 1 },
    { do: "join", at: 0, to: 2 },
    { do: "join", at: 0, to: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "commit", at: 0 },
  ],
];
/** A member that handed all it had to one that went to another cluster before it could let it go. */
const EXITED_UNHEARD: [number, boolean, number, number, Step[]] = [
  0,
  false,
  1,
  60,
  [
    { do: "join", at: 0, to: 1 },
    { do: "replace", at: 0, to: 0, by: 0 },
    { do: "join", at: 2, to: 3 },
    { do: "down", at: 0, to: 0 },
    { do: "leave", at: 3, to: 3 },
    { do: "replace", at: 0, to: 0, by: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "down", at: 0, to: 0 },
    { do: "commit", at: 3 },
    { do: "replace", at: 3, to: 0, by: 0 },
    { do: "join", at: 0, to: 0 },
    { do: "join", at: 2, to: 0 },
    { do: "down", at: 0, to: 0 },
    { do: "replace", at: 0, to: 0, by: 0 },
    { do: "leave", at: 0, to: 0 },
    { do: "commit", at: 0 },
    { do: "commit", at: 0 },
  ],
];
const OPTIONS = { ringSize: 8, waitMs: 300, gossipIntervalMs: 200 };

type Step =
  | { do: "join" | "join_now"; at: number; to: number }
  | { do: "commit" | "clear" | "kill" | "start" | "fill"; at: number }
  | { do: "down" | "cut" | "heal" | "leave" | "remove"; at: number; to: number }
  | { do: "replace" | "force_replace"; at: number; to: number; by: number };

const index = fc.nat({ max: NAMES.length - 1 });
const pair = (
  ...kinds: Extract<Step, { to: number }>["do"][]
) => fc.record({ do: fc.constantFrom(...kinds), at: index, to: index });
const step = fc.oneof(
  { weight: 5, arbitrary: pair("join", "join", "join_now") },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "commit" as const,
        "commit" as const,
        "commit" as const,
        "commit" as const,
        "clear" as const,
        "kill" as const,
        "start" as const,
        "fill" as const,
      ),
      at: index,
    }),
  },
  { weight: 3, arbitrary: pair("down", "cut", "heal") },
  { weight: 5, arbitrary: pair("leave", "leave", "leave", "remove") },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("replace" as const, "force_replace" as const),
      at: index,
      to: index,
      by: index,
    }),
  },
  // deno-lint-ignore no-explicit-any -- the union is spelled out in Step.
) as fc.Arbitrary<any> as fc.Arbitrary<Step>;

class Model {
  readonly bus: ClusterBus;
  readonly nodes = new Map<string, BusNode>();
  readonly #open: Promise<unknown>[] = [];
  readonly #paceMs: number;

  /** @param paceMs Time between two steps: 0 has them all at once. */
  constructor(seed: number, storeMs: number, paceMs: number) {
    this.bus = new ClusterBus(seed, { loss: 0.1, repeat: 0.1, delayMsMax: 40 });
    this.bus.storeMs = storeMs;
    this.#paceMs = paceMs;
  }

  async start(name: string): Promise<void> {
    if (this.bus.runs(name)) return;
    const last = this.nodes.get(name);
    const { clusterId } = last?.cluster.ring ?? {};
    const node = await this.bus.start(name, OPTIONS);
    this.nodes.set(name, node);
    if (last?.changes.at(-1)?.type === "left") {
      // Alone, and in the ring it had when it went.
      assertEquals(currentMembers(node.cluster.ring), [name]);
      assertEquals(node.cluster.ring.clusterId, clusterId);
    }
  }

  /** Does one step; what it asks of a node goes on while the next step comes. */
  async apply(step: Step): Promise<void> {
    const name = NAMES[step.at] as string;
    const node = this.bus.runs(name) ? this.nodes.get(name) : undefined;
    const other = "to" in step ? NAMES[step.to] as string : "";
    switch (step.do) {
      case "start":
        await this.start(name);
        break;
      case "kill":
        this.bus.kill(name);
        break;
      case "fill":
        for (let partition = 0; partition < OPTIONS.ringSize; partition += 2) {
          node?.data.add(partition);
        }
        break;
      case "join":
      case "join_now":
        if (node !== undefined) {
          const staged = step.do === "join";
          this.#go(node.cluster.join(`${other}:1`, { staged }));
        }
        break;
      case "leave":
        if (node !== undefined) this.#go(node.cluster.leave(other));
        break;
      case "remove":
        if (node !== undefined) this.#go(node.cluster.forceRemove(other));
        break;
      case "replace":
      case "force_replace":
        if (node !== undefined) {
          const by = NAMES[step.by] as string;
          this.#go(
            step.do === "replace"
              ? node.cluster.replace(other, by)
              : node.cluster.forceReplace(other, by),
          );
        }
        break;
      case "commit":
        if (node !== undefined) {
          this.#go(
            node.cluster.plan().then(({ planId }) =>
              node.cluster.commit(planId)
            ),
          );
        }
        break;
      case "clear":
        if (node !== undefined) this.#go(node.cluster.clear());
        break;
      case "down":
        if (node !== undefined) this.#go(node.cluster.down(other));
        break;
      case "cut":
      case "heal":
        if (name !== other) this.bus.setCut(name, other, step.do === "cut");
        break;
      default:
        step satisfies never;
    }
    await this.bus.run(this.#paceMs);
  }

  /** Every request must be answered, with a result or a named error. */
  #go(request: Promise<unknown>): void {
    this.#open.push(request.catch((error) => {
      if (!(error instanceof WhorlError)) throw error;
    }));
  }

  /** Ends all trouble and waits until the clusters have come to rest. */
  async settle(): Promise<void> {
    this.bus.faults = {};
    for (const a of NAMES) {
      for (const b of NAMES) if (a < b) this.bus.setCut(a, b, false);
    }
    for (const name of NAMES) await this.start(name);
    await this.bus.during(Promise.all(this.#open));
    const deadline = this.bus.now + 60_000;
    do {
      for (const name of NAMES) {
        await this.start(name);
        this.#moveData(this.nodes.get(name) as BusNode);
      }
      try {
        await this.bus.until(
          () => this.#isOver() || NAMES.some((name) => !this.bus.runs(name)),
          deadline - this.bus.now,
        );
      } catch (cause) {
        throw new Error(`No rest:\n${this.#describe()}`, { cause });
      }
    } while (!this.#isOver());
  }

  #describe(): string {
    return [...this.nodes.values()].map(({ name, cluster: { ring } }) => {
      const { term, version, claimant, owners, next } = ring.ownership;
      const members = [...ring.members.keys()].sort()
        .map((node) => `${node} ${memberStatus(ring, node)}`);
      return `${name}: ${
        ring.clusterId.seed.slice(-6)
      } ${term}.${version} ${claimant}; ${members}; ${
        membersBehind(ring)
      } behind; ${owners}; ${next.map((transfer) => JSON.stringify(transfer))}`;
    }).join("\n");
  }

  /** All data is handed over. */
  #moveData({ cluster, data }: BusNode): void {
    const partitions = [...data];
    data.clear();
    cluster.transferComplete(partitions, null, []);
  }

  #isOver(): boolean {
    return NAMES.every((name) =>
      this.bus.runs(name) && this.#isAtRest(this.nodes.get(name) as BusNode)
    );
  }

  #isAtRest({ cluster }: BusNode): boolean {
    const { ring } = cluster;
    const digest = encodeRing(ring).digest;
    return ringReady(ring) && ring.ownership.next.length === 0 &&
      currentMembers(ring).every((name) => {
        const member = this.nodes.get(name) as BusNode;
        const status = memberStatus(ring, name);
        // Of one that has gone nothing more can be expected.
        if (status === "down") return this.#isElsewhere(ring, name);
        return encodeRing(member.cluster.ring).digest === digest &&
          (status === "valid" || status === "joining");
      });
  }

  #isElsewhere(ring: Ring, name: string): boolean {
    const there = this.nodes.get(name)?.cluster.ring.clusterId.seed;
    return there !== ring.clusterId.seed;
  }

  /** What must hold of every cluster at rest. */
  check(): void {
    for (const { name, cluster } of this.nodes.values()) {
      const { ring } = cluster;
      const { owners, claimant } = ring.ownership;
      // It stands in its own ring, which names members only.
      const status = memberStatus(ring, name);
      assert(
        status === "valid" || status === "joining",
        `${name} is ${status}`,
      );
      assertEquals(memberStatus(ring, claimant), "valid");
      assertEquals(owners.length, ring.size);
      for (const owner of owners) {
        const status = memberStatus(ring, owner);
        const isLost = status === "down" && this.#isElsewhere(ring, owner);
        assert(status === "valid" || isLost, `${owner} owns, ${status}`);
      }
    }
  }
}

Deno.test("members agree on one ring once trouble ends, whatever happened", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.boolean(),
      fc.constantFrom(1, 30),
      fc.constantFrom(0, 3, 15, 60),
      fc.array(step, { minLength: 5, maxLength: 30 }),
      async (seed, beginsJoined, storeMs, paceMs, steps) => {
        const model = new Model(seed, storeMs, paceMs);
        for (const name of NAMES) await model.start(name);
        if (beginsJoined) {
          for (const at of [1, 2]) {
            await model.apply({ do: "join", at, to: 0 });
            await model.bus.run(100);
          }
          await model.apply({ do: "commit", at: 0 });
        }
        for (const step of steps) await model.apply(step);
        await model.settle();
        model.check();
        model.bus.stop();
      },
    ),
    {
      numRuns: Number(Deno.env.get("WHORL_RUNS") ?? 60),
      examples: [
        ROUND_OF_JOINS,
        GUEST_DOWNS_HOST,
        REMOVED_UNHEARD,
        EXITED_UNHEARD,
      ],
    },
  );
});
