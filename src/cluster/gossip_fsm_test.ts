import { assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { memberStatus, type Ring, ringReady } from "../ring/ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  enterResizePhase,
  freshRing,
  invite,
  isAutoJoining,
  isInvited,
  markSeen,
  putFacts,
  putRingMeta,
  setStatus,
  takeOverClaim,
} from "../ring/ring_change.ts";
import { encodeRing } from "../ring/ring_codec.ts";
import { ageOfVnode, firstVnodeOf } from "../ring/ring_generations.ts";
import { originOf, originsOf } from "../ring/ring_origin.ts";
import {
  createGossip,
  type GossipEffect,
  type GossipEvent,
  type GossipState,
  stepGossip,
  storedHere,
} from "./gossip_fsm.ts";
import { GOSSIP_TOKENS_MAX, GOSSIP_TOKENS_PERIOD_MS } from "./gossip_tokens.ts";
import { facts } from "../ring/testing/small_rings.ts";

/** A ring of `names`, all valid, made by the first. */
function ringOf(...names: string[]): Ring {
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: facts(names[0] as string),
    wallMs: 0,
  });
  for (const name of names.slice(1)) {
    ring = addJoining(ring, facts(name), 0);
    ring = setStatus(ring, names[0] as string, name, "valid");
  }
  return ring;
}

function gossipOf(self: string, ring: Ring): GossipState {
  return createGossip(self, ring, true, seededChance(1), 0);
}

function step(gossip: GossipState, event: GossipEvent, nowMs = 0) {
  return stepGossip(gossip, event, nowMs);
}

function types(effects: readonly GossipEffect[]): string[] {
  return effects.map((effect) => effect.type);
}

/** The digest a gossip would send now. */
function digestOf(gossip: GossipState, wanted = false) {
  const [effect] = step(gossip, { type: "peer_up", node: "somebody" });
  if (effect?.type !== "send_digest") throw new Error("No digest");
  return { ...effect.digest, wanted };
}

function targets(effects: readonly GossipEffect[]): string[] {
  return effects.flatMap((effect) =>
    effect.type === "send_digest" ? [effect.to] : []
  );
}

Deno.test("stepGossip() publishes the stored ring at its start, and a ring that is not stored yet once it is stored", () => {
  const ring = ringOf("a");
  const first = createGossip("a", ring, false, seededChance(1), 0);
  assertEquals(types(step(first, { type: "started", ring })), [
    "ring_changed",
    "store_ring",
  ]);
  assertEquals(storedHere(first), null);
  assertEquals(types(step(first, { type: "ring_stored" }))[0], "publish_ring");
  assertEquals(storedHere(first)?.ring.clock, ring.clock);

  const again = gossipOf("a", ring);
  assertEquals(types(step(again, { type: "started", ring })), [
    "publish_ring",
    "ring_changed",
  ]);
  const moved = putFacts(ring, { ...facts("a"), address: "a:2" }, 1);
  const third = gossipOf("a", ring);
  assertEquals(types(step(third, { type: "started", ring: moved })), [
    "publish_ring",
    "ring_changed",
    "store_ring",
  ]);
});

Deno.test("storedHere() ignores a stored ring of another cluster", () => {
  const gossip = gossipOf("a", ringOf("a"));
  step(gossip, { type: "ring_adopted", ring: ringOf("b", "a") });
  assertEquals(gossip.stored?.ring.clusterId.claimant, "a");
  assertEquals(storedHere(gossip), null);
  step(gossip, { type: "ring_stored" });
  assertEquals(storedHere(gossip)?.ring.clusterId.claimant, "b");
});

Deno.test("stepGossip() stores a change before it publishes or announces it", () => {
  const gossip = gossipOf("a", ringOf("a", "b"));
  const ring = putRingMeta(gossip.current.ring, "a", "x", 1, 1);
  assertEquals(types(step(gossip, { type: "ring_updated", ring })), [
    "ring_changed",
    "store_ring",
  ]);
  // While the disk is busy others hear of the ring before.
  const before = encodeRing(ringOf("a", "b")).digest;
  assertEquals(digestOf(gossip).digest, before);
  assertEquals(types(step(gossip, { type: "ring_stored" })), [
    "publish_ring",
    "announce_soon",
  ]);
  assertEquals(digestOf(gossip).digest, encodeRing(ring).digest);
});

Deno.test("stepGossip() does not publish a ring of a cluster that the node left while the ring was being stored", () => {
  const gossip = gossipOf("a", ringOf("a"));
  const ring = putRingMeta(gossip.current.ring, "a", "x", 1, 1);
  step(gossip, { type: "ring_updated", ring });
  step(gossip, { type: "ring_adopted", ring: ringOf("b", "a") });
  assertEquals(types(step(gossip, { type: "ring_stored" })), ["store_ring"]);
  assertEquals(types(step(gossip, { type: "ring_stored" })), [
    "publish_ring",
    "announce_soon",
  ]);
});

Deno.test("stepGossip() stores changes that arrive during a store in one next store", () => {
  const gossip = gossipOf("a", ringOf("a", "b"));
  let ring = putRingMeta(gossip.current.ring, "a", "x", 1, 1);
  step(gossip, { type: "ring_updated", ring });
  for (let i = 0; i < 5; i++) {
    ring = putRingMeta(ring, "a", "x", i, 2);
    assertEquals(types(step(gossip, { type: "ring_updated", ring })), [
      "ring_changed",
    ]);
  }
  const effects = step(gossip, { type: "ring_stored" });
  assertEquals(types(effects), ["publish_ring", "announce_soon", "store_ring"]);
  assertEquals(types(step(gossip, { type: "ring_stored" })), ["publish_ring"]);
});

Deno.test("stepGossip() neither stores nor announces a change that leaves the ring equal", () => {
  const gossip = gossipOf("a", ringOf("a", "b"));
  const again = { ...gossip.current.ring };
  assertEquals(step(gossip, { type: "ring_updated", ring: again }), []);
});

Deno.test("stepGossip() announces a ring to two members, and so to all through them", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  const ring = ringOf(...names);
  for (const from of names) {
    const reached = new Set([from]);
    let edge = [from];
    let hops = 0;
    while (reached.size < names.length) {
      edge = edge.flatMap((node) =>
        targets(step(gossipOf(node, ring), { type: "announce" }))
      );
      for (const node of edge) reached.add(node);
      if (++hops > 10) throw new Error(`Not all are reached from ${from}`);
    }
    assertEquals(hops <= Math.ceil(Math.log2(names.length)) + 1, true);
  }
});

Deno.test("stepGossip() requests a ring when digests differ, and sends its ring only on request", () => {
  const a = gossipOf("a", ringOf("a", "b"));
  const b = gossipOf("b", ringOf("a", "b"));
  const ring = putRingMeta(a.current.ring, "a", "x", 1, 1);
  step(a, { type: "ring_updated", ring });
  step(a, { type: "ring_stored" });
  const asked = step(b, {
    type: "digest_received",
    from: "a",
    digest: digestOf(a),
  });
  assertEquals(types(asked), ["send_digest"]);
  const [question] = asked;
  if (question?.type !== "send_digest") throw new Error("No question");
  assertEquals([question.to, question.digest.wanted], ["a", true]);
  const [answer] = step(a, {
    type: "digest_received",
    from: "b",
    digest: question.digest,
  });
  if (answer?.type !== "send_ring") throw new Error("No ring");
  step(b, { type: "ring_received", from: "a", ring: answer.ring });
  assertEquals(b.current.digest, a.current.digest);
});

Deno.test("stepGossip() learns from equal digests which members have seen the ring, without a transfer of the ring", () => {
  const a = gossipOf("a", ringOf("a", "b", "c"));
  const b = gossipOf("b", ringOf("a", "b", "c"));
  assertEquals(ringReady(a.current.ring), false);
  const digest = { ...digestOf(b), agreed: ["b", "c"] };
  const effects = step(a, { type: "digest_received", from: "b", digest });
  assertEquals(types(effects), ["ring_changed", "announce_soon"]);
  assertEquals(ringReady(a.current.ring), true);
});

Deno.test("stepGossip() answers a digest that lacks something with its own, and sends nothing once both are equal", () => {
  const a = gossipOf("a", ringOf("a", "b"));
  const b = gossipOf("b", ringOf("a", "b"));
  const alone = { ...digestOf(b), agreed: ["b"] };
  // a learns of b, and b lacks a: it is told with the announcement that is due.
  step(a, { type: "digest_received", from: "b", digest: alone });
  assertEquals(targets(step(a, { type: "announce" })), ["b"]);
  // The same again finds nothing to learn and is answered at once.
  assertEquals(
    targets(step(a, { type: "digest_received", from: "b", digest: alone })),
    ["b"],
  );
  step(b, { type: "digest_received", from: "a", digest: digestOf(a) });
  step(b, { type: "announce" });
  assertEquals(
    step(a, { type: "digest_received", from: "b", digest: digestOf(b) }),
    [],
  );
});

Deno.test("stepGossip() sends the ring it has stored, not one that is being stored", () => {
  const gossip = gossipOf("a", ringOf("a", "b"));
  const ring = putRingMeta(gossip.current.ring, "a", "x", 1, 1);
  step(gossip, { type: "ring_updated", ring });
  const other = putRingMeta(ringOf("a", "b"), "b", "y", 1, 1);
  const digest = digestOf(gossipOf("b", other), true);
  const [sent] = step(gossip, { type: "digest_received", from: "b", digest });
  if (sent?.type !== "send_ring") throw new Error("No ring");
  assertEquals(sent.ring.ring.meta.has("x"), false);
});

Deno.test("stepGossip() does not announce the stored ring while a newer one is being stored", () => {
  const ring = ringOf("a", "b");
  const peer = gossipOf("a", markSeen(ring, "b", ring.clock));
  const gossip = gossipOf("b", ring);
  step(gossip, {
    type: "ring_updated",
    ring: putRingMeta(gossip.current.ring, "b", "x", 1, 1),
  });
  // An answer would be answered, and so on for as long as the disk takes.
  const digest = digestOf(peer);
  assertEquals(
    step(gossip, { type: "digest_received", from: "a", digest }),
    [],
  );
  step(gossip, { type: "ring_stored" });
  assertEquals(targets(step(gossip, { type: "announce" })), ["a"]);
});

Deno.test("stepGossip() announces to the sender of a ring what that ring lacked, once the merged ring is stored", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  const base = ringOf(...names);
  const gossip = gossipOf("a", putRingMeta(base, "a", "x", 1, 1));
  // g is no child of a, so the announcement alone would not reach it.
  const ring = encodeRing(putRingMeta(base, "g", "y", 1, 1));
  step(gossip, { type: "ring_received", from: "g", ring });
  step(gossip, { type: "ring_stored" });
  assertEquals(targets(step(gossip, { type: "announce" })), ["b", "c", "g"]);
});

Deno.test("stepGossip() refuses rings and digests of another cluster", () => {
  const gossip = gossipOf("a", ringOf("a", "b"));
  const other = freshRing({
    clusterName: "default",
    size: 8,
    seed: "00000000000000ff",
    node: facts("b"),
    wallMs: 0,
  });
  const refused = [{ type: "refused", from: "b", reason: "wrong_cluster" }];
  assertEquals(
    step(gossip, { type: "ring_received", from: "b", ring: encodeRing(other) }),
    refused as GossipEffect[],
  );
  const digest = digestOf(gossipOf("b", other));
  const answered = step(gossip, { type: "digest_received", from: "b", digest });
  // It is said to be a fellow member, so it is asked whether it has gone.
  assertEquals(types(answered), ["refused", "ask_host", "send_digest"]);
  // The answer to an answer would never end.
  assertEquals(
    step(gossip, {
      type: "digest_received",
      from: "b",
      digest: { ...digest, wanted: true },
    }).map(({ type }) => type),
    ["refused", "ask_host"],
  );
  assertEquals(gossip.current.ring.members.size, 2);
});

Deno.test("stepGossip() answers members of its previous cluster once the ring of its new one is stored", () => {
  const last = ringOf("a", "b");
  const gossip = gossipOf("b", last);
  const alone = freshRing({
    clusterName: "default",
    size: 8,
    seed: "00000000000000ff",
    node: facts("b"),
    wallMs: 0,
  });
  step(gossip, { type: "ring_adopted", ring: alone });
  // What is stored equals what the other one holds: they would agree for ever.
  const digest = digestOf(gossipOf("a", last));
  const heard = step(gossip, { type: "digest_received", from: "a", digest });
  assertEquals(types(heard), ["refused"]);
  step(gossip, { type: "ring_stored" });
  const told = step(gossip, { type: "announce" });
  assertEquals(targets(told), ["a"]);
});

Deno.test("stepGossip() ends a join when its host says that it has left the cluster", () => {
  const host = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000002",
    node: facts("host"),
    wallMs: 0,
  });
  const guest = gossipOf("guest", addJoining(host, facts("guest"), 0));
  const elsewhere = digestOf(gossipOf("host", ringOf("a", "host")));
  assertEquals(
    types(step(guest, {
      type: "digest_received",
      from: "host",
      digest: elsewhere,
    })),
    // A digest may be from before the host came into this cluster.
    ["refused", "ask_host", "send_digest"],
  );
  const gone = (seed: string, from = "host") =>
    types(step(guest, { type: "host_gone", host: from, seed }));
  assertEquals(gone("0000000000000009"), []);
  assertEquals(gone("0000000000000002", "another"), []);
  assertEquals(gone("0000000000000002"), ["removed"]);
  // A member that owns data never goes on anybody's word.
  const member = gossipOf("host", host);
  assertEquals(
    types(step(member, {
      type: "digest_received",
      from: "guest",
      digest: elsewhere,
    })).includes("ask_host"),
    false,
  );
  const seed = "0000000000000002";
  assertEquals(step(member, { type: "host_gone", host: "guest", seed }), []);
});

Deno.test("stepGossip() declares a member down when that member says it is in another cluster", () => {
  const base = ringOf("a", "b");
  const gossip = gossipOf("b", base);
  const elsewhere = digestOf(gossipOf("a", {
    ...ringOf("a"),
    clusterId: { claimant: "a", seed: "0000000000000007" },
  }));
  const asked = step(gossip, {
    type: "digest_received",
    from: "a",
    digest: elsewhere,
  });
  assertEquals(types(asked), ["refused", "ask_host", "send_digest"]);
  const { seed } = base.clusterId;
  step(gossip, { type: "host_gone", host: "a", seed });
  assertEquals(memberStatus(gossip.current.ring, "a"), "down");
  // Once is enough.
  assertEquals(step(gossip, { type: "host_gone", host: "a", seed }), []);
});

Deno.test("stepGossip() leaves the cluster when it is exiting and the last member that could release it has gone to another cluster", () => {
  const ring = setStatus(ringOf("a", "b", "c"), "b", "b", "exiting");
  const { seed } = ring.clusterId;
  const gossip = gossipOf("b", ring);
  const gone = (host: string) =>
    step(gossip, { type: "host_gone", host, seed });
  assertEquals(types(gone("c")), ["ring_changed", "store_ring"]);
  assertEquals(gone("a"), [{ type: "removed", joining: false }]);
});

Deno.test("stepGossip() refuses rings from nodes that are not members, and sends its own ring to a removed member", () => {
  const base = ringOf("a", "b");
  const theirs = encodeRing(putRingMeta(base, "b", "x", 1, 1));
  const stranger = gossipOf("a", base);
  assertEquals(
    types(step(stranger, { type: "ring_received", from: "z", ring: theirs })),
    ["refused"],
  );
  const gossip = gossipOf("a", setStatus(base, "a", "b", "invalid"));
  const effects = step(gossip, {
    type: "ring_received",
    from: "b",
    ring: theirs,
  });
  assertEquals(types(effects), ["send_ring"]);
  assertEquals(gossip.current.ring.meta.has("x"), false);
});

Deno.test("stepGossip() accepts a ring from a member that is down, and answers it", () => {
  const base = ringOf("a", "b");
  const gossip = gossipOf("a", setStatus(base, "a", "b", "down"));
  // Each has declared the other down.
  const theirs = encodeRing(setStatus(base, "b", "a", "down"));
  step(gossip, { type: "ring_received", from: "b", ring: theirs });
  assertEquals(memberStatus(gossip.current.ring, "a"), "joining");
  assertEquals(memberStatus(gossip.current.ring, "b"), "down");
  assertEquals(gossip.owed.has("b"), true);
});

Deno.test("stepGossip() confirms an invitation that it receives after it has joined", () => {
  const host = ringOf("host");
  const first = invite(host, "host", facts("guest"), 0);
  const guest = gossipOf("guest", addJoining(first, facts("guest"), 0));
  const second = encodeRing(invite(first, "host", facts("guest"), 0));
  step(guest, { type: "ring_received", from: "host", ring: second });
  assertEquals(isInvited(guest.current.ring, "guest"), false);
  assertEquals(memberStatus(guest.current.ring, "guest"), "joining");
});

Deno.test("stepGossip() marks its node as joining again when a ring says that it was declared down", () => {
  const base = ringOf("a", "b");
  const gossip = gossipOf("b", base);
  const ring = encodeRing(setStatus(base, "a", "b", "down"));
  step(gossip, { type: "ring_received", from: "a", ring });
  assertEquals(memberStatus(gossip.current.ring, "b"), "joining");
});

Deno.test("stepGossip() reports that its node was removed when a ring says so, and whether it was a member", () => {
  const member = ringOf("a", "b");
  const joining = addJoining(ringOf("a"), facts("b"), 0);
  for (const [base, isJoining] of [[member, false], [joining, true]] as const) {
    const gossip = gossipOf("b", base);
    const ring = encodeRing(setStatus(base, "a", "b", "invalid"));
    assertEquals(
      step(gossip, { type: "ring_received", from: "a", ring }),
      [{ type: "removed", joining: isJoining }],
    );
  }
});

Deno.test("stepGossip() does not join a cluster whose members have removed each other", () => {
  const base = addJoining(ringOf("a", "b"), facts("g"), 0);
  const gossip = gossipOf("g", setStatus(base, "a", "b", "invalid"));
  const theirs = encodeRing(setStatus(base, "b", "a", "invalid"));
  const events = (from: string) =>
    step(gossip, { type: "ring_received", from, ring: theirs });
  // From a removed member nothing is heard, from another guest it is.
  assertEquals(types(events("b")), ["send_ring"]);
  const other = addJoining(setStatus(base, "b", "a", "invalid"), facts("h"), 0);
  assertEquals(
    step(gossip, {
      type: "ring_received",
      from: "h",
      ring: encodeRing(other),
    }),
    [{ type: "removed", joining: true }],
  );
});

Deno.test("stepGossip() keeps the join's choice to need no commit when it confirms an invitation", () => {
  const host = ringOf("host");
  const first = invite(host, "host", facts("guest"), 0);
  const guest = gossipOf(
    "guest",
    addJoining(first, facts("guest"), 0, { autoJoin: true }),
  );
  const second = encodeRing(invite(first, "host", facts("guest"), 0));
  step(guest, { type: "ring_received", from: "host", ring: second });
  assertEquals(isAutoJoining(guest.current.ring, "guest"), true);
});

Deno.test("stepGossip() tells a member that it takes out of the cluster", () => {
  const gossip = gossipOf("a", ringOf("a", "b", "c", "d", "e", "f"));
  const ring = setStatus(gossip.current.ring, "a", "f", "invalid");
  step(gossip, { type: "ring_updated", ring });
  step(gossip, { type: "ring_stored" });
  assertEquals(targets(step(gossip, { type: "announce" })), ["b", "c", "f"]);
});

Deno.test("stepGossip() sends at most one ring per token, and gets new tokens as time passes", () => {
  const gossip = gossipOf("a", ringOf("a", "b"));
  const other = putRingMeta(ringOf("a", "b"), "b", "x", 1, 1);
  const digest = digestOf(gossipOf("b", other), true);
  const ask = (nowMs: number) =>
    types(step(gossip, { type: "digest_received", from: "b", digest }, nowMs));
  for (let i = 0; i < GOSSIP_TOKENS_MAX; i++) {
    assertEquals(ask(0), ["send_ring"]);
  }
  assertEquals(ask(0), []);
  assertEquals(ask(GOSSIP_TOKENS_PERIOD_MS / GOSSIP_TOKENS_MAX), ["send_ring"]);
  assertEquals(ask(GOSSIP_TOKENS_PERIOD_MS / GOSSIP_TOKENS_MAX), []);
  // Whoever went without hears of it again.
  assertEquals(targets(step(gossip, { type: "tick" }, 1_000)), ["b"]);
});

Deno.test("stepGossip() sends its digest now and then to a member that is down, which may have declared the others down", () => {
  const ring = setStatus(ringOf("a", "b"), "a", "b", "down");
  const gossip = gossipOf("a", ring);
  step(gossip, { type: "peer_up", node: "b" });
  assertEquals(targets(step(gossip, { type: "tick" }, 1_000)), ["b"]);
  // Its word is of a ring in which it is the one that is there.
  const theirs = setStatus(ringOf("a", "b"), "b", "a", "down");
  const [wants] = step(gossip, {
    type: "digest_received",
    from: "b",
    digest: digestOf(gossipOf("b", theirs)),
  });
  assertEquals(wants?.type, "send_digest");
  step(gossip, { type: "ring_received", from: "b", ring: encodeRing(theirs) });
  const { ring: now } = gossip.current;
  assertEquals([memberStatus(now, "a"), isAutoJoining(now, "a")], [
    "joining",
    true,
  ]);
});

Deno.test("stepGossip() sends no digest to a member that is down if there is no link to it", () => {
  let ring = ringOf("a", "b", "c", "d");
  for (const node of ["c", "d"]) ring = setStatus(ring, "a", node, "down");
  const gossip = gossipOf("a", ring);
  for (const node of ["c", "d"]) step(gossip, { type: "peer_up", node });
  step(gossip, { type: "peer_down", node: "d" });
  const told = new Set(
    Array.from({ length: 64 }, () => targets(step(gossip, { type: "tick" })))
      .flat(),
  );
  assertEquals([...told].sort(), ["b", "c"]);
  step(gossip, { type: "peer_down", node: "c" });
  for (let i = 0; i < 64; i++) {
    assertEquals(targets(step(gossip, { type: "tick" })), ["b"]);
  }
});

Deno.test("stepGossip() publishes the generation of vnodes it may hold when another claimant's ring replaces its own", () => {
  const ring = ringOf("a", "b", "c");
  const begun = beginResize(ring, "a", new Array<string>(16).fill("a"));
  const gossip = gossipOf("b", begun);
  const won = takeOverClaim(setStatus(ring, "c", "a", "down"), "c");
  step(gossip, { type: "ring_received", from: "c", ring: encodeRing(won) });
  const { ring: now } = gossip.current;
  assertEquals(now.ownership.generations.resize, null);
  assertEquals(originOf(now, "b"), { generation: 1, size: 16 });
  // One that was given up is known to all.
  const given = gossipOf("b", begun);
  const aborted = abortResize(begun, "a");
  step(given, { type: "ring_received", from: "a", ring: encodeRing(aborted) });
  assertEquals(originOf(given.current.ring, "b"), null);
  // Unless a claimant wins that has never heard of it, be it before this node
  // has dropped what had come for it.
  step(given, { type: "ring_received", from: "c", ring: encodeRing(won) });
  const { ring: last } = given.current;
  assertEquals(last.ownership.claimant, "c");
  assertEquals(originOf(last, "b"), { generation: 1, size: 16 });
  assertEquals(ageOfVnode(last, 1_027, originsOf(last, "b")), "former");
});

Deno.test("stepGossip() still says where its node comes from when it loses another generation, whatever becomes of that", () => {
  const [first, second, third] = [[1, 64], [9, 16], [3, 32]]
    .map(([generation, size]) => ({ generation, size }));
  let ring = ringOf("a", "b", "c");
  const own = { ...facts("b"), origin: "1/64", lostOrigins: "3/32" };
  ring = putFacts(ring, own, 1);
  const begun = beginResize(ring, "a", new Array<string>(16).fill("a"));
  const reading = enterResizePhase(begun, "a", "reading");
  // The other claimant has no resize, or has begun one by that number and given it up.
  const took = takeOverClaim(setStatus(ring, "c", "a", "down"), "c");
  const other = beginResize(took, "c", new Array<string>(16).fill("c"));
  for (const before of [begun, reading]) {
    for (const won of [took, abortResize(other, "c")]) {
      const gossip = gossipOf("b", before);
      step(gossip, { type: "ring_received", from: "c", ring: encodeRing(won) });
      const { ring: now } = gossip.current;
      const origins = originsOf(now, "b");
      assertEquals(origins[0], first);
      assertEquals(ageOfVnode(now, 1_029, origins), "former");
      // Copies that no one has read may go where that number is known as given up.
      const areCopies = before === begun && won !== took;
      // Of others, the latest comes first.
      const others = areCopies ? [third] : [second, third];
      assertEquals(origins.slice(1), others);
      assertEquals(
        ageOfVnode(now, firstVnodeOf(9) + 5, origins),
        areCopies ? "aborted" : "former",
      );
    }
  }
});

Deno.test("stepGossip() sends nothing before its first ring is stored", () => {
  const gossip = createGossip("a", ringOf("a"), false, seededChance(1), 0);
  assertEquals(step(gossip, { type: "peer_up", node: "b" }), []);
  assertEquals(step(gossip, { type: "tick" }), []);
});

Deno.test("markSeen() of other members spreads with announcements, and never marks a later ring than the one they saw", () => {
  const ring = ringOf("a", "b");
  const gossip = gossipOf("a", markSeen(ring, "b", ring.clock));
  assertEquals(digestOf(gossip).agreed, ["a", "b"]);
  const later = putRingMeta(gossip.current.ring, "a", "x", 1, 1);
  step(gossip, { type: "ring_updated", ring: later });
  step(gossip, { type: "ring_stored" });
  assertEquals(digestOf(gossip).agreed, ["a"]);
});
