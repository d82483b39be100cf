/**
 * Laws of claim, from rings at random and through changes of membership at
 * random.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { claim, type ClaimInput, claimQuality } from "../../src/ring/claim.ts";

const NAMES = Array.from({ length: 40 }, (_, i) => `node${i}@host`);

/** A ring owned by anybody, and claimants who may be other nodes than its owners. */
const inputs: fc.Arbitrary<ClaimInput> = fc.record({
  ringSize: fc.constantFrom(8, 16, 32, 64),
  owners: fc.integer({ min: 1, max: 12 }),
  draws: fc.array(fc.nat(11), { minLength: 64, maxLength: 64 }),
  claimants: fc.uniqueArray(fc.constantFrom(...NAMES.slice(0, 20)), {
    minLength: 1,
    maxLength: 14,
  }),
}).map(({ ringSize, owners, draws, claimants }) => ({
  owners: draws.slice(0, ringSize).map((draw) => NAMES[draw % owners]!),
  claimants,
}));

Deno.test("claim() is total and balanced, and leavers own nothing", () => {
  fc.assert(
    fc.property(inputs, (input) => {
      const after = claim(input);
      assertEquals(after.length, input.owners.length);
      const claimants = new Set(input.claimants);
      assert(after.every((owner) => claimants.has(owner)));
      const quality = claimQuality(input.owners, after, input.claimants);
      assert(quality.spread <= 1);
    }),
    { numRuns: 60 },
  );
});

Deno.test("claim() leaves as few repeats as the number of nodes permits", () => {
  fc.assert(
    fc.property(inputs, (input) => {
      const { owners, claimants } = input;
      const quality = claimQuality(owners, claim(input), claimants);
      const size = owners.length;
      assertEquals(
        [quality.windowsOf3WithRepeat, quality.windowsOf4WithRepeat],
        claimants.length < 3
          ? [size, size]
          : claimants.length === 3
          ? [2, size]
          : [0, 0],
      );
    }),
    { numRuns: 60 },
  );
});

Deno.test("claim() gives the same ring for the same input, whatever the order of claimants", () => {
  fc.assert(
    fc.property(inputs, (input) => {
      const after = claim(input);
      assertEquals(claim(input), after);
      const claimants = input.claimants.toReversed();
      assertEquals(claim({ ...input, claimants }), after);
    }),
    { numRuns: 25 },
  );
});

Deno.test("claim() changes nothing in a ring it made", () => {
  const targetN = fc.integer({ min: 1, max: 6 });
  fc.assert(
    fc.property(inputs, targetN, (input, targetN) => {
      const after = claim({ ...input, targetN });
      assertEquals(claim({ ...input, owners: after, targetN }), after);
    }),
    { numRuns: 40 },
  );
});

Deno.test("claim() moves nothing but what leaves or joins call for through a cluster's life", () => {
  const changes = fc.array(fc.nat(NAMES.length - 1), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(changes, (changes) => {
      let members = NAMES.slice(0, 9);
      let owners = claim({ owners: Array(64).fill("x"), claimants: members });
      for (const change of changes) {
        // A member leaves, anybody else joins; at least 8 remain.
        const name = NAMES[change]!;
        if (!members.includes(name)) members = [...members, name];
        else if (members.length > 8) {
          members = members.filter((m) => m !== name);
        }
        const after = claim({ owners, claimants: members });
        const quality = claimQuality(owners, after, members);
        assertEquals(quality.windowsOf4WithRepeat, 0);
        // At most the share of one node, twice over for tight rings.
        assert(quality.transfers <= 2 * Math.ceil(64 / 8));
        owners = after;
      }
    }),
    { numRuns: 25 },
  );
});
