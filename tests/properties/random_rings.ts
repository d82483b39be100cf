/**
 * Rings from random legal histories: several nodes change their own copies and
 * sometimes hear of each other, so copies are behind, equal or divergent, with
 * more than one claimant if the cluster was split.
 *
 * @module
 */
import fc from "fast-check";
import type { MemberStatus, Ring } from "../../src/ring/ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  completeTransfers,
  freshRing,
  installResize,
  putRingMeta,
  setOwnership,
  setStatus,
  stageSize,
  takeOverClaim,
  transfersTowards,
} from "../../src/ring/ring_change.ts";
import { mergeRings } from "../../src/ring/ring_merge.ts";

const names = ["a", "b", "c", "d"];
const statuses: MemberStatus[] = [
  "joining",
  "valid",
  "leaving",
  "exiting",
  "down",
  "invalid",
];

type Step =
  | { do: "merge"; at: number; from: number }
  | { do: "status"; at: number; of: number; status: MemberStatus }
  | { do: "take_over"; at: number }
  | { do: "own"; at: number; owners: number[]; install: boolean }
  | {
    do: "resize";
    at: number;
    what: "stage" | "begin" | "install" | "abort";
    size: number;
  }
  | { do: "complete"; at: number; partitions: number[]; module: string | null }
  | { do: "meta"; at: number; name: string; value: number; wallMs: number };

const index = fc.nat({ max: names.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("merge" as const),
      at: index,
      from: index,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("status" as const),
      at: index,
      of: index,
      status: fc.constantFrom(...statuses),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("take_over" as const), at: index }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("own" as const),
      at: index,
      owners: fc.array(index, { minLength: 8, maxLength: 8 }),
      install: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("resize" as const),
      at: index,
      what: fc.constantFrom("stage", "begin", "install", "abort"),
      size: fc.constantFrom(8, 16),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("complete" as const),
      at: index,
      partitions: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7]),
      module: fc.constantFrom("kv", "counter", null),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("meta" as const),
      at: index,
      name: fc.constantFrom("x", "y"),
      value: fc.nat({ max: 3 }),
      wallMs: fc.nat({ max: 3 }),
    }),
  },
);

/** All rings that were ever held in one random history, oldest first. */
export const ringHistory: fc.Arbitrary<Ring[]> = fc.array(step, {
  minLength: 5,
  maxLength: 40,
})
  .map(historyOf);

function historyOf(steps: readonly Step[]): Ring[] {
  const first = freshRing({
    clusterName: "default",
    size: 8,
    seed: "00000000000000aa",
    node: factsOf("a"),
    wallMs: 0,
  });
  const copies = [
    first,
    ...names.slice(1).map((name) => addJoining(first, factsOf(name), 1)),
  ];
  const history = [...copies];
  for (const step of steps) {
    const before = copies[step.at] as Ring;
    const ring = apply(before, names[step.at] as string, step, copies);
    if (ring === before) continue;
    copies[step.at] = ring;
    history.push(ring);
  }
  return history;
}

function apply(
  ring: Ring,
  node: string,
  step: Step,
  copies: readonly Ring[],
): Ring {
  switch (step.do) {
    case "merge":
      return mergeRings(ring, copies[step.from] as Ring);
    case "status":
      return setStatus(ring, node, names[step.of] as string, step.status);
    case "take_over":
      return takeOverClaim(ring, node);
    case "own": {
      // Only the claimant, as it knows itself, writes the ownership.
      if (ring.ownership.claimant !== node) return ring;
      const target = ring.ownership.owners
        .map((_, at) => names[step.owners[at % 8] as number] as string)
        .map((owner) => ring.members.has(owner) ? owner : node);
      return setOwnership(
        ring,
        node,
        step.install
          ? { owners: target, next: [] }
          : { next: transfersTowards(ring, target) },
      );
    }
    case "resize":
      return ring.ownership.claimant === node ? resize(ring, node, step) : ring;
    case "complete":
      return completeTransfers(ring, node, step.partitions, step.module, [
        "kv",
        "counter",
      ]);
    case "meta":
      return putRingMeta(ring, node, step.name, step.value, step.wallMs);
    default:
      return step satisfies never;
  }
}

function resize(
  ring: Ring,
  node: string,
  { what, size }: Extract<Step, { do: "resize" }>,
): Ring {
  const isUnderWay = ring.ownership.generations.resize !== null;
  switch (what) {
    case "stage":
      return stageSize(ring, node, isUnderWay ? 0 : size);
    case "begin":
      return isUnderWay
        ? ring
        : beginResize(ring, node, new Array(size).fill(node));
    case "install":
      return installResize(ring, node);
    case "abort":
      return isUnderWay ? abortResize(ring, node) : ring;
    default:
      return what satisfies never;
  }
}

/** What the node `name` says of itself in these rings. */
export function factsOf(name: string): {
  name: string;
  address: string;
  nodeId: string;
} {
  return {
    name,
    address: `${name}:1`,
    nodeId: `id-${name}`,
  };
}
