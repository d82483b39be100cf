import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Ring } from "../ring/ring.ts";
import { freshRing } from "../ring/ring_change.ts";
import {
  expectOffer,
  type InboundOffer,
  offerData,
  refuseOffer,
} from "./inbound_offer.ts";

const offer: InboundOffer = {
  transfer: Number.MAX_SAFE_INTEGER,
  kind: "ownership",
  module: "kv",
  sourcePartition: 3,
  targetPartition: 3,
  term: 1,
  version: 5,
};

/**
 * A ring of 8 with all partitions owned by `owner`, of which 3 moves to `next`.
 */
function ringOf(owner: string, next?: string): Ring {
  const ring = freshRing({
    clusterName: "test",
    size: 8,
    seed: "0123456789abcdef",
    node: { name: owner } as never,
    wallMs: 0,
  });
  if (next === undefined) return ring;
  const transfer = {
    partition: 3,
    owner,
    nextOwner: next,
    term: 1,
    version: 5,
  };
  return { ...ring, ownership: { ...ring.ownership, next: [transfer] } };
}

/** Why `b` refuses an offer of `a`; `null` if it does not. */
function refusal(ring: Ring, extra: Partial<InboundOffer>): string | null {
  const error = refuseOffer(ring, "b", ["kv"], "a", { ...offer, ...extra });
  if (error === null) return null;
  assertEquals(error.code, "handoff_refused");
  return error.message.split(" as ")[1] ?? "";
}

Deno.test("expectOffer() undoes offerData()", () => {
  assertEquals(expectOffer(offerData(offer)), offer);
});

Deno.test("expectOffer() refuses anything else with protocol_error", () => {
  const data = offerData(offer);
  const wrong: unknown[] = [
    null,
    data.slice(1),
    [...data, 0],
    ...data.map((_, at) => data.map((each, i) => i === at ? null : each)),
    data.map((each, i) => i === 0 ? 0 : each),
    data.map((each, i) => i === 1 ? "theft" : each),
    data.map((each, i) => i === 2 ? "x".repeat(33) : each),
    data.map((each, i) => i === 4 ? -1 : each),
  ];
  for (const each of wrong) {
    const error = assertThrows(() => expectOffer(each), WhorlError);
    assertEquals(error.code, "protocol_error");
  }
  fc.assert(fc.property(fc.anything(), (value) => {
    try {
      expectOffer(value);
    } catch (error) {
      assert(isWhorlError(error, "protocol_error"), `${error}`);
    }
  }));
});

Deno.test("refuseOffer() accepts a partition that the same decision promises", () => {
  assertEquals(refusal(ringOf("a", "b"), {}), null);
  const why = "the ring here does not say so";
  assertEquals(refusal(ringOf("a", "c"), {}), why);
  assertEquals(refusal(ringOf("a"), {}), why);
  assertEquals(refusal(ringOf("b"), {}), why);
  assertEquals(refusal(ringOf("a", "b"), { version: 4 }), why);
  assertEquals(refusal(ringOf("a", "b"), { term: 2 }), why);
  assertEquals(refusal(ringOf("a", "b"), { targetPartition: 4 }), why);
});

Deno.test("refuseOffer() accepts hints and repairs of the node's own partitions", () => {
  for (const kind of ["hinted", "repair"] as const) {
    assertEquals(refusal(ringOf("b"), { kind }), null);
    assertEquals(refusal(ringOf("b", "c"), { kind }), null);
    assertEquals(refusal(ringOf("a", "b"), { kind }), "a owns it");
  }
});

Deno.test("refuseOffer() refuses unknown partitions, modules that are not running, and resizes", () => {
  assertEquals(
    refusal(ringOf("b"), { kind: "hinted", targetPartition: 8 }),
    "there is no such partition",
  );
  assertEquals(
    refusal(ringOf("a", "b"), { module: "notes" }),
    "it does not run 'notes'",
  );
  assertEquals(
    refusal(ringOf("b"), { kind: "resize" }),
    "the ring is not being resized",
  );
});
