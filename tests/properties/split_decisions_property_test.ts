/**
 * Laws of what is reported about the decisions of claimants that do not always
 * hear of each other: they decide, at the same term and version, that a
 * partition moves to different nodes, or that the ring is resized differently.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { compareTexts } from "../../src/base/text_order.ts";
import {
  currentMembers,
  type OwnershipTransfer,
  pendingTransfers,
  type ResizeStep,
  resizeSteps,
  type Ring,
} from "../../src/ring/ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  completeTransfers,
  decideAnew,
  enterResizePhase,
  markSeen,
  setOwnership,
  setStatus,
  takeOverClaim,
  transfersTowards,
} from "../../src/ring/ring_change.ts";
import { decodeRing, encodeRing } from "../../src/ring/ring_codec.ts";
import { mergeRings } from "../../src/ring/ring_merge.ts";
import { aloneOf, facts } from "../../src/ring/testing/small_rings.ts";
import { checkRingMergeLaws } from "../../src/simulation/checkers/ring_merge_laws.ts";

const NAMES = ["a", "m", "z"] as const;
const SIZE = 8;
const MODULES = ["counter", "kv"];

type Step =
  | { do: "hear"; at: number; of: number }
  | { do: "move"; at: number; to: readonly number[] }
  | { do: "install" | "abort" | "advance"; at: number }
  | { do: "resize"; at: number; to: readonly number[] }
  | {
    do: "report";
    at: number;
    partitions: readonly number[];
    module: string | null;
  };

const at = fc.nat({ max: NAMES.length - 1 });
const to = fc.array(at, { minLength: SIZE, maxLength: SIZE });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("hear" as const), at, of: at }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("move" as const), at, to }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("report" as const),
        at,
        partitions: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 4 }),
        module: fc.constantFrom(null, ...MODULES),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("resize" as const), at, to }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom(
          "install" as const,
          "abort" as const,
          "advance" as const,
        ),
        at,
      }),
    },
  ),
  { minLength: 5, maxLength: 40, size: "max" },
);

/** The ring of three owners, as each of them took it over from the same one. */
function splitRings(): Ring[] {
  let ring = aloneOf("m", SIZE);
  for (const name of ["a", "z"]) {
    ring = setStatus(addJoining(ring, facts(name), 0), "m", name, "valid");
  }
  const owners = ring.ownership.owners.map((_, i) => NAMES[i % 3] as string);
  ring = setOwnership(ring, "m", { owners });
  return NAMES.map((name) => takeOverClaim(ring, name));
}

function named(numbers: readonly number[]): string[] {
  return numbers.map((number) => NAMES[number] as string);
}

/** A decision of a claimant in full: what an owner has done for it counts for no other. */
function decisionText(
  ring: Ring,
  decision: OwnershipTransfer | ResizeStep,
): string {
  const { partition, owner, term, version } = decision;
  const { resize } = ring.ownership.generations;
  return JSON.stringify([
    partition,
    owner,
    term,
    version,
    "nextOwner" in decision
      ? decision.nextOwner
      : [resize?.generation, resize?.phase, resize?.owners],
  ]);
}

function decisionsOf(ring: Ring): (OwnershipTransfer | ResizeStep)[] {
  return [...ring.ownership.next, ...resizeSteps(ring)];
}

/** What owners have really done: the modules they have moved, by decision. */
type Done = Map<string, Set<string>>;

function carriedOut(
  step: Step,
  ring: Ring,
  rings: readonly Ring[],
  done: Done,
): Ring {
  const self = NAMES[step.at] as string;
  if (step.do === "hear") return mergeRings(ring, rings[step.of] as Ring);
  if (step.do === "report") {
    const modules = step.module === null ? MODULES : [step.module];
    for (const decision of decisionsOf(ring)) {
      if (decision.owner !== self) continue;
      if (!step.partitions.includes(decision.partition)) continue;
      const text = decisionText(ring, decision);
      if (!done.has(text)) done.set(text, new Set());
      for (const module of modules) done.get(text)?.add(module);
    }
    return completeTransfers(ring, self, step.partitions, step.module, MODULES);
  }
  const { claimant, owners, generations: { resize } } = ring.ownership;
  if (claimant !== self) return ring;
  switch (step.do) {
    case "move":
      return resize === null
        ? setOwnership(ring, self, {
          next: transfersTowards(ring, named(step.to)),
        })
        : ring;
    case "install": {
      const complete = pendingTransfers(ring)
        .filter(({ status }) => status === "complete");
      const after = [...owners];
      for (const { partition, nextOwner } of complete) {
        after[partition] = nextOwner;
      }
      return complete.length === 0 ? ring : setOwnership(ring, self, {
        owners: after,
        next: ring.ownership.next.filter(({ partition }) =>
          complete.every((other) => other.partition !== partition)
        ),
      });
    }
    case "resize":
      return resize === null && ring.ownership.next.length === 0
        ? beginResize(ring, self, [...named(step.to), ...named(step.to)])
        : ring;
    case "abort":
      return resize === null ? ring : abortResize(ring, self);
    case "advance":
      return enterResizePhase(ring, self, "binding");
    default:
      return step satisfies never;
  }
}

/** All rings that there were in a history, and what owners have done in it. */
function historyOf(steps: readonly Step[]): {
  readonly rings: readonly Ring[];
  readonly history: readonly Ring[];
  readonly done: Done;
} {
  const rings = splitRings();
  const history = [...rings];
  const done: Done = new Map();
  for (const step of steps) {
    const before = rings[step.at] as Ring;
    const ring = carriedOut(step, before, rings, done);
    if (ring === before) continue;
    rings[step.at] = ring;
    history.push(ring);
  }
  return { rings, history, done };
}

Deno.test("a report counts for the decision that it was made for and no other, whichever claimant wins", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const { history, done } = historyOf(steps);
      for (const ring of history) {
        for (const step of [...pendingTransfers(ring), ...resizeSteps(ring)]) {
          const modules = done.get(decisionText(ring, step)) ?? new Set();
          for (const module of step.completedModules) {
            assert(modules.has(module), `${module} of ${step.partition}`);
          }
          if (step.status === "complete") {
            assertEquals([...modules].sort(), MODULES);
          }
        }
      }
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("merging rings with reports about decisions of one term and version is a join, and they are read as they were written", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const { history } = historyOf(steps);
      assertEquals(checkRingMergeLaws(history, { ringsMax: 5 }), []);
      for (const ring of history) {
        const { bytes } = encodeRing(ring);
        assertEquals(decodeRing(bytes).ring.progress, ring.progress);
        assertEquals(decodeRing(bytes).bytes, bytes);
      }
    }),
    { numRuns: 100 },
  );
});

Deno.test("what claimants of a split cluster have decided comes to its end once they have met", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      let ring = historyOf(steps).rings
        .reduce((merged, each) => mergeRings(merged, each));
      const { claimant, generations } = ring.ownership;
      if (generations.resize?.phase === "binding") {
        // It is given up in time.
        ring = enterResizePhase(ring, claimant, "copying");
      }
      ring = decideAnew(ring, claimant);
      assertEquals(decideAnew(ring, claimant), ring);
      const all = ring.ownership.owners.map((_, partition) => partition);
      for (const node of currentMembers(ring).toSorted(compareTexts)) {
        ring = completeTransfers(ring, node, all, null, MODULES);
        ring = markSeen(ring, node, ring.clock);
      }
      for (const step of [...pendingTransfers(ring), ...resizeSteps(ring)]) {
        assertEquals([step.partition, step.status], [
          step.partition,
          "complete",
        ]);
      }
    }),
    { numRuns: 1_000 },
  );
});
