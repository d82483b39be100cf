/**
 * Laws of the rings of three claimants that do not always hear of each other:
 * each begins, aborts and completes resizes, which the others may have read
 * with already.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  markConsistent,
  markTakenOver,
} from "../../src/ring/consistent_buckets.ts";
import type { Ring } from "../../src/ring/ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  enterResizePhase,
  setStatus,
  takeOverClaim,
} from "../../src/ring/ring_change.ts";
import { decodeRing, encodeRing } from "../../src/ring/ring_codec.ts";
import { mergeRings } from "../../src/ring/ring_merge.ts";
import {
  hasNoWayBack,
  originOfResize,
  refuseResize,
} from "../../src/ring/ring_resize.ts";
import { tendRing } from "../../src/ring/ring_upkeep.ts";
import { aloneOf, facts } from "../../src/ring/testing/small_rings.ts";

const TARGET_N = 3;
const NAMES = ["a", "m", "z"] as const;

type Step =
  | { do: "hear"; at: number; of: number }
  | { do: "begin"; at: number; size: number }
  | { do: "abort" | "read"; at: number }
  | { do: "tend"; at: number; mayInstall: boolean };

const at = fc.nat({ max: NAMES.length - 1 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("hear" as const), at, of: at }),
    fc.record({
      do: fc.constant("begin" as const),
      at,
      size: fc.constantFrom(8, 16, 32, 64),
    }),
    fc.record({ do: fc.constantFrom("abort" as const, "read" as const), at }),
    fc.record({
      do: fc.constant("tend" as const),
      at,
      mayInstall: fc.boolean(),
    }),
  ),
  { minLength: 20, maxLength: 60, size: "max" },
);

/** The ring of three members with a consistent bucket, as each of them took it over. */
function splitRings(): Ring[] {
  let ring = aloneOf("m", 8);
  for (const name of ["a", "z"]) {
    ring = setStatus(addJoining(ring, facts(name), 0), "m", name, "valid");
  }
  const mark = { bucket: "x", numbers: [1, 2, 3, 4], wallMs: 0 };
  ring = markConsistent(ring, "m", mark);
  return NAMES.map((name) => name === "m" ? ring : takeOverClaim(ring, name));
}

function carriedOut(step: Step, ring: Ring, rings: readonly Ring[]): Ring {
  const self = NAMES[step.at] as string;
  if (step.do === "hear") return mergeRings(ring, rings[step.of] as Ring);
  const { claimant, generations: { resize } } = ring.ownership;
  if (claimant !== self) return ring;
  switch (step.do) {
    case "begin":
      return refuseResize(ring, step.size) === null
        ? beginResize(ring, self, new Array<string>(step.size).fill("m"))
        : ring;
    case "abort":
      return resize === null || hasNoWayBack(ring)
        ? ring
        : abortResize(ring, self);
    case "read":
      return resize === null || resize.phase === "reading"
        ? ring
        : markTakenOver(
          enterResizePhase(ring, self, "reading"),
          self,
          originOfResize(resize),
        );
    case "tend":
      return tendRing(ring, self, TARGET_N, () => true, {
        mayBind: false,
        mayInstall: step.mayInstall,
      }).ring;
  }
}

Deno.test("decodeRing() gives back every ring that claimants of a split cluster come to", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const rings = splitRings();
      for (const step of steps) {
        const before = rings[step.at] as Ring;
        const ring = carriedOut(step, before, rings);
        if (ring === before) continue;
        assertEquals(decodeRing(encodeRing(ring).bytes).ring, ring);
        rings[step.at] = ring;
      }
    }),
    { numRuns: 600 },
  );
});
