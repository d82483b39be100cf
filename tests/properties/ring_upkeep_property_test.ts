/**
 * Laws of what a claimant makes of a ring, from whatever the merge of random
 * histories can lead to.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { memberStatus, type Ring } from "../../src/ring/ring.ts";
import { decodeRing, encodeRing } from "../../src/ring/ring_codec.ts";
import {
  assumeDone,
  heirs,
  ownsNothing,
  tendRing,
} from "../../src/ring/ring_upkeep.ts";
import { ringHistory } from "./random_rings.ts";

const TARGET_N = 4;

/** A random ring and what its claimant makes of it. */
const tended = ringHistory.map((history) => {
  const before = history.at(-1) as Ring;
  const { claimant } = before.ownership;
  return { before, after: tendRing(before, claimant, TARGET_N).ring, claimant };
});

Deno.test("tendRing() has nothing left to do in a ring that it tended", () => {
  fc.assert(
    fc.property(tended, ({ after, claimant }) => {
      assertEquals(tendRing(after, claimant, TARGET_N), {
        ring: after,
        reasons: [],
        isNews: false,
      });
    }),
    { numRuns: 300 },
  );
});

Deno.test("tendRing() loses no partition, and gives none to who cannot own it", () => {
  fc.assert(
    fc.property(tended, ({ after }) => {
      const able = heirs(after);
      const { owners, next } = after.ownership;
      assertEquals(owners.length, after.size);
      if (able.length === 0) return;
      for (const owner of owners) {
        assert(
          !["invalid", undefined].includes(memberStatus(after, owner)),
          `${owner} owns`,
        );
      }
      for (const { owner, nextOwner, partition } of next) {
        assert(able.includes(nextOwner), `${nextOwner} gets`);
        assertEquals(owners[partition], owner);
      }
      // Whoever is to go loses all.
      owners.forEach((owner, partition) => {
        if (able.includes(owner)) return;
        assert(next.some((transfer) => transfer.partition === partition));
      });
    }),
    { numRuns: 300 },
  );
});

Deno.test("tendRing() lets everybody go who wants to, once transfers are done, if somebody stays", () => {
  fc.assert(
    fc.property(tended, ({ after, claimant }) => {
      if (heirs(after).length === 0) return;
      const done = assumeDone(after, claimant);
      const { ring } = tendRing(done, claimant, TARGET_N);
      for (const node of ring.members.keys()) {
        const status = memberStatus(ring, node);
        assert(status !== "leaving" && status !== "exiting", `${node} stays`);
        if (status === "invalid") assert(ownsNothing(ring, node));
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("a tended ring is one that other nodes can read", () => {
  fc.assert(
    fc.property(tended, ({ after }) => {
      const { bytes, digest } = encodeRing(after);
      assertEquals(decodeRing(bytes).digest, digest);
    }),
    { numRuns: 100 },
  );
});
