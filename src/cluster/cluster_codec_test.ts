import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { encodeMsgpack } from "../wire/msgpack.ts";
import { expectPlan, resultOf } from "./claimant_result.ts";
import {
  type ClusterRequest,
  decodeDigest,
  decodeJoinOffer,
  decodeReply,
  decodeRequest,
  decodeServices,
  encodeDigest,
  encodeJoinOffer,
  encodeReply,
  encodeRequest,
  encodeServices,
  sameDigest,
} from "./cluster_codec.ts";

Deno.test("cluster payloads are decoded as they were encoded", () => {
  const digest = {
    clusterName: "default",
    seed: "00ff",
    digest: "abcd",
    agreed: ["a", "b"],
    wanted: true,
  };
  assertEquals(decodeDigest(encodeDigest(digest)), digest);
  const list = { incarnation: 3, version: 9, services: ["kv"] };
  assertEquals(decodeServices(encodeServices(list)), list);
  const requests: ClusterRequest[] = [
    { method: "plan", waitMs: 5 },
    { method: "commit", planId: null, waitMs: 5 },
    { method: "commit", planId: "ab", waitMs: 5 },
    { method: "clear", waitMs: 5 },
    {
      method: "stage",
      change: { action: "leave", node: "a", replacement: null },
      waitMs: 5,
    },
    {
      method: "stage",
      change: { action: "force_replace", node: "a", replacement: "b" },
      waitMs: 5,
    },
    { method: "resize", size: 16, waitMs: 5 },
    {
      method: "mark",
      mark: { bucket: "accounts", numbers: [1, 2, 3, 2 ** 48 - 1], wallMs: 9 },
      waitMs: 5,
    },
    { method: "holds_data", partitions: [0, 7] },
    {
      method: "admit",
      guest: { name: "a", address: "a:1", nodeId: "id" },
      seed: "00ff",
      waitMs: 5,
    },
    { method: "belongs", seed: "00ff" },
  ];
  for (const request of requests) {
    assertEquals(decodeRequest(encodeRequest(7, request)), { id: 7, request });
  }
  assertEquals(decodeReply(encodeReply(7, { ok: true, result: [1] })), {
    id: 7,
    reply: { ok: true, result: [1] },
  });
  assertEquals(decodeJoinOffer(encodeJoinOffer("a", null)), {
    node: "a",
    ring: null,
  });
});

Deno.test("sameDigest() compares every field of two digests", () => {
  const digest = {
    clusterName: "default",
    seed: "00ff",
    digest: "abcd",
    agreed: ["a@h", "b@h"],
    wanted: false,
  };
  assertEquals(sameDigest(digest, { ...digest, agreed: ["a@h", "b@h"] }), true);
  for (
    const other of [
      { clusterName: "other" },
      { seed: "00fe" },
      { digest: "abce" },
      { agreed: ["a@h"] },
      { agreed: ["a@h", "c@h"] },
      { agreed: ["a@h", "b@h", "c@h"] },
      { wanted: true },
    ]
  ) assertEquals(sameDigest(digest, { ...digest, ...other }), false);
});

Deno.test("decodeReply() returns an error with its code, message and details", () => {
  const error = new WhorlError("plan_changed", "Cannot", {
    details: { planId: "ab" },
  });
  const { reply } = decodeReply(encodeReply(1, { ok: false, error }));
  if (reply.ok) throw new Error("Not an error");
  const { code, message, details } = reply.error;
  assertEquals([code, message, details], [
    "plan_changed",
    "Cannot",
    { planId: "ab" },
  ]);
});

Deno.test("expectPlan() returns a plan, and refuses other values", () => {
  const plan = {
    planId: "ab",
    changes: [
      { action: "join" as const, node: "b" },
      { action: "force-remove" as const, node: "c" },
      { action: "replace" as const, node: "d", replacement: "b" },
    ],
    transitions: [{
      ringSize: 8,
      members: [{
        node: "a",
        status: "valid" as const,
        partitions: 8,
        nextPartitions: null,
      }],
      transfers: [{ from: "a", to: "b", partitions: 4 }],
      reassigned: [],
      replicasDistinct: false,
    }],
  };
  assertEquals(expectPlan(resultOf({ method: "plan", plan })), plan);
  const resize = { ...plan, postponedJoins: ["e", "f"] };
  const sent = resultOf({ method: "plan", plan: resize });
  assertEquals(expectPlan(sent), resize);
  assertThrows(() => expectPlan(["ab", [["dance", "b"]], []]), WhorlError);
  assertThrows(() => expectPlan(["ab", [["replace", "b"]], []]), WhorlError);
  assertThrows(() => expectPlan(["ab", [["join", "b", "c"]], []]), WhorlError);
  assertThrows(() => expectPlan(null), WhorlError);
});

Deno.test("cluster decoders answer any plain data with a value or a protocol_error", () => {
  const decoders = [
    decodeDigest,
    decodeServices,
    decodeRequest,
    decodeReply,
    decodeJoinOffer,
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...decoders),
      fc.array(
        fc.oneof(
          fc.constantFrom(
            "commit",
            "stage",
            "holds_data",
            "plan",
            "admit",
            "belongs",
          ),
          fc.anything({ maxDepth: 2 }).filter((value) => {
            try {
              encodeMsgpack(value);
              return true;
            } catch (error) {
              if (isWhorlError(error, "invalid_argument")) return false;
              throw error;
            }
          }),
        ),
        { maxLength: 6 },
      ),
      (decode, values) => {
        try {
          decode(encodeMsgpack(values));
        } catch (error) {
          if (!isWhorlError(error, "protocol_error")) throw error;
        }
      },
    ),
    { numRuns: 1000 },
  );
});
