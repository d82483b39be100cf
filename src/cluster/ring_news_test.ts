import { assertEquals } from "@std/assert";
import type { Ring } from "../ring/ring.ts";
import {
  addJoining,
  completeTransfers,
  freshRing,
  markSeen,
  putFacts,
  setOwnership,
  setStatus,
  transfersTowards,
} from "../ring/ring_change.ts";
import type { ClusterChange } from "./cluster_world.ts";
import { createRingNews, newsOfCurrent, newsOfStored } from "./ring_news.ts";

function facts(name: string, address = `${name}:1`) {
  return { name, address, nodeId: `id-${name}` };
}

function alone(): Ring {
  return freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: facts("a"),
    wallMs: 0,
  });
}

/** A ring of `a` and `b`, in which half of it is to move. */
function moving(): Ring {
  const ring = setStatus(addJoining(alone(), facts("b"), 0), "a", "b", "valid");
  const target = ["a", "b", "a", "b", "a", "b", "a", "b"];
  return setOwnership(ring, "a", { next: transfersTowards(ring, target) });
}

function types(changes: readonly ClusterChange[]): string[] {
  return changes.map((change) => change.type);
}

Deno.test("newsOfStored() reports each member whose status differs from the last reported one", () => {
  const news = createRingNews("a");
  const first = newsOfStored(news, alone());
  assertEquals(types(first.changes), ["member_changed", "ring_changed"]);
  assertEquals(first.changes[0], {
    type: "member_changed",
    node: "a",
    before: null,
    after: "valid",
  });
  assertEquals(types(newsOfStored(news, alone()).changes), ["ring_changed"]);
  const joining = addJoining(alone(), facts("b"), 0);
  assertEquals(newsOfStored(news, joining).changes[0], {
    type: "member_changed",
    node: "b",
    before: null,
    after: "joining",
  });
  const valid = setStatus(joining, "a", "b", "valid");
  assertEquals(newsOfStored(news, valid).changes[0], {
    type: "member_changed",
    node: "b",
    before: "joining",
    after: "valid",
  });
});

Deno.test("newsOfStored() lists the other members once, and again when one joins, leaves or changes its address", () => {
  const news = createRingNews("a");
  const peers = (ring: Ring) => {
    const found = newsOfStored(news, ring).peers;
    return found === null ? null : [...found];
  };
  assertEquals(peers(alone()), null);
  const joining = addJoining(alone(), facts("b"), 0);
  assertEquals(peers(joining), [["b", "b:1"]]);
  assertEquals(peers(setStatus(joining, "a", "b", "valid")), null);
  assertEquals(peers(putFacts(joining, facts("b", "b:2"), 1)), [["b", "b:2"]]);
  assertEquals(peers(setStatus(joining, "a", "b", "invalid")), []);
});

Deno.test("newsOfStored() reports an owner's transfers with each ring, until the owner has marked them complete", () => {
  const ring = moving();
  const owner = createRingNews("a");
  const told = newsOfStored(owner, ring).changes.at(-1);
  assertEquals(
    told?.type === "transfers_pending" &&
      told.transfers.map(({ partition }) => partition),
    [1, 3, 5, 7],
  );
  assertEquals(
    types(newsOfStored(owner, ring).changes),
    ["ring_changed", "transfers_pending"],
  );
  const done = completeTransfers(ring, "a", [1, 3, 5, 7], null, []);
  assertEquals(types(newsOfStored(owner, done).changes), ["ring_changed"]);
  const receiver = newsOfStored(createRingNews("b"), ring);
  assertEquals(types(receiver.changes).includes("transfers_pending"), false);
});

Deno.test("newsOfCurrent() reports when the members start and stop agreeing on the ring", () => {
  const news = createRingNews("a");
  const ring = moving();
  assertEquals(newsOfCurrent(news, ring), []);
  const agreed = markSeen(ring, "b", ring.clock);
  assertEquals(newsOfCurrent(news, agreed), [
    { type: "ring_ready", ready: true },
  ]);
  assertEquals(newsOfCurrent(news, agreed), []);
  const next = setOwnership(agreed, "a", { staged: [] });
  assertEquals(newsOfCurrent(news, next), [
    { type: "ring_ready", ready: false },
  ]);
});
