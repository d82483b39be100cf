import { assertEquals } from "@std/assert";
import type { Ring } from "../../ring/ring.ts";
import { encodeRing } from "../../ring/ring_codec.ts";
import {
  addJoining,
  freshRing,
  markSeen,
  setOwnership,
  setStatus,
  takeOverClaim,
  transfersTowards,
} from "../../ring/ring_change.ts";
import { checkRingAgreement, type RingSighting } from "./ring_agreement.ts";

const facts = (name: string) => ({
  name,
  nodeId: `id of ${name}`,
  address: `${name}:1`,
});

function ringOf(owners: string): Ring {
  const fresh = freshRing({
    clusterName: "c",
    size: 8,
    node: facts("a"),
    wallMs: 0,
    seed: "0123456789abcdef",
  });
  const joined = setStatus(
    addJoining(fresh, facts("b"), 0),
    "a",
    "b",
    "valid",
  );
  return setOwnership(joined, "a", { owners: [...owners] });
}

const settled = ringOf("abababab");
const member = (
  node: string,
  ring: Ring,
  serves?: number[],
): RingSighting => ({ node, ring: encodeRing(ring).bytes, serves });
const check = (...members: RingSighting[]) =>
  checkRingAgreement(members).map(({ check, message }) =>
    `${check}: ${message}`
  );

Deno.test("checkRingAgreement() passes members with one ring that serve their own partitions", () => {
  assertEquals(
    check(
      member("a", settled, [0, 2, 4, 6]),
      // What members have seen is not part of the ring.
      member("b", markSeen(settled, "b", settled.clock), [1, 3, 5, 7]),
    ),
    [],
  );
  assertEquals(check({ node: "a", ring: settled }, member("b", settled)), []);
});

Deno.test("checkRingAgreement() describes how two rings differ", () => {
  const other = setStatus(ringOf("abababbb"), "a", "b", "leaving");
  const [violation] = check(member("a", settled), member("b", other));
  assertEquals(
    violation!.replace(/[0-9a-f]{16}/g, "#"),
    "ring_agreement: a and b hold different rings, # and #: the owner of partition 6 is a and b; the status of b is valid and leaving; the clock is a:4 b:2 and a:5 b:2",
  );
});

Deno.test("checkRingAgreement() reports partitions served twice, by the wrong member, or by none", () => {
  assertEquals(
    check(
      member("a", settled, [0, 2, 4, 6, 1]),
      member("b", settled, [1, 3, 5]),
    ),
    [
      "one_owner: Partition 1 is served by a and b",
      "one_owner: a serves partition 1, which its ring gives to b",
      "one_owner: b does not serve partition 7, which its ring gives to it",
    ],
  );
});

Deno.test("checkRingAgreement() reports two claimants, and one that is not a member", () => {
  const b = takeOverClaim(settled, "b");
  const messages = check(member("a", settled), member("b", b));
  assertEquals(
    messages.at(-1),
    "one_claimant: There is more than one claimant: a says a; b says b",
  );
  const removed = setStatus(settled, "b", "a", "invalid");
  assertEquals(check(member("b", removed)), [
    "one_claimant: The claimant a is a removed member",
  ]);
});

Deno.test("checkRingAgreement() reports leftover transfers", () => {
  const { owners } = settled.ownership;
  const moving = setOwnership(settled, "a", {
    next: transfersTowards(settled, owners.with(3, "a")),
  });
  assertEquals(check(member("a", moving), member("b", moving)), [
    "ring_agreement: Partition 3 still is to move to a",
  ]);
});

Deno.test("checkRingAgreement() reports a malformed ring", () => {
  const [violation] = check({ node: "a", ring: new Uint8Array([1]) });
  assertEquals(
    violation!.startsWith("ring_agreement: The ring of a cannot be read: "),
    true,
  );
});
