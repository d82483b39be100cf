import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { majorityOf, quorumIndex } from "./quorum_index.ts";

Deno.test("majorityOf() is more than half", () => {
  const voters = [1, 2, 3, 4, 5, 6, 7];
  assertEquals(voters.map(majorityOf), [1, 2, 2, 3, 3, 4, 4]);
});

Deno.test("quorumIndex() is the highest number that a majority has reached (paper, 5.3)", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(12), { minLength: 1, maxLength: 9 }), (all) => {
      let highest = 0;
      for (let index = 1; index <= 12; index++) {
        const reached = all.filter((own) => own >= index).length;
        if (reached >= majorityOf(all.length)) highest = index;
      }
      assertEquals(quorumIndex([...all]), highest);
    }),
  );
});

Deno.test("quorumIndex() is 0 if there are no voters", () => {
  assertEquals(quorumIndex([]), 0);
});
