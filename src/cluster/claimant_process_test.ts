import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { silentLog } from "../environment/log.ts";
import { addJoining, putFacts } from "../ring/ring_change.ts";
import type { Ring } from "../ring/ring.ts";
import { ClaimantProcess } from "./claimant_process.ts";
import { WHORL_CLAIM } from "./capability.ts";
import type { ClusterReply } from "./cluster_codec.ts";
import type { StoreOutcome } from "./ring_waits.ts";
import { agreed, cluster } from "./testing/claimant_bench.ts";
import { aloneOf, facts } from "../ring/testing/small_rings.ts";

/** A claimant with one node that is joining, whose disk answers when the test wants. */
function claimant() {
  const runtime = new ManualRuntime();
  const ring = addJoining(
    aloneOf("a", 8),
    facts("b"),
    0,
  );
  const updates: Ring[] = [];
  const storing: ((outcome: StoreOutcome) => void)[] = [];
  const process = new ClaimantProcess("a", ring, 4, {
    runtime,
    log: silentLog,
    updateRing: (updated) => void updates.push(updated),
    whenStored: (_ring, run) => void storing.push(run),
  });
  const replies: ClusterReply[] = [];
  const clear = () =>
    process.request(
      "a",
      { method: "clear" },
      1_000,
      (reply) => void replies.push(reply),
    );
  const disk = (outcome: StoreOutcome) => {
    for (const run of storing.splice(0)) run(outcome);
  };
  return { runtime, process, updates, replies, clear, disk };
}

Deno.test("ClaimantProcess.request() answers once the ring with its change is stored", () => {
  const { updates, replies, clear, disk, runtime } = claimant();
  clear();
  assertEquals(updates.length, 1);
  assertEquals(replies, []);
  disk("stored");
  assertEquals(replies, [{ ok: true, result: ["b"] }]);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("ClaimantProcess.request() does not report success for a change that was not kept", () => {
  const { replies, clear, disk, runtime } = claimant();
  clear();
  disk("abandoned");
  const [reply, ...rest] = replies;
  assertEquals(reply?.ok === false && reply.error.code, "cancelled");
  assertEquals(rest, []);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("ClaimantProcess.stop() answers each waiting request once, with closed", () => {
  const { process, replies, clear, disk, runtime } = claimant();
  clear();
  process.stop();
  disk("stopped");
  clear();
  assertEquals(
    replies.map((reply) => reply.ok ? "ok" : reply.error.code),
    ["closed", "closed"],
  );
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("ClaimantProcess.request() encodes a plan so that the requester's version can read it", () => {
  const { process, replies, updates, disk } = claimant();
  const before = WHORL_CLAIM.replace("membership=v2,", "membership=");
  const older = { ...facts("b"), capabilities: before };
  const ring = putFacts(cluster("a", "b", "c"), older, 1);
  const take = (reply: ClusterReply) => void replies.push(reply);
  process.ringChanged(agreed(ring));
  process.request("b", { method: "resize", size: 16 }, 1_000, take);
  disk("stored");
  const guest = { ...facts("d"), capabilities: WHORL_CLAIM };
  process.ringChanged(agreed(addJoining(updates.at(-1) as Ring, guest, 0)));
  process.request("b", { method: "plan" }, 1_000, take);
  process.request("c", { method: "plan" }, 1_000, take);
  const [, forOlder, forPresent] = replies.map((reply) =>
    reply.ok ? reply.result as unknown[] : reply.error
  );
  assertEquals((forOlder as unknown[]).length, 3);
  assertEquals(forPresent, [...forOlder as unknown[], ["d"]]);
});
