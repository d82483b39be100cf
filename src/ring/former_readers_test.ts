import { assertEquals } from "@std/assert";
import {
  createFormerReaders,
  followRing,
  type FormerReaders,
  mayAsk,
} from "./former_readers.ts";
import type { Ring } from "./ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  enterResizePhase,
  installResize,
  invite,
  markSeen,
  rejoin,
  setStatus,
} from "./ring_change.ts";
import { firstVnodeOf } from "./ring_generations.ts";
import { aloneOf, facts } from "./testing/small_rings.ts";

/** A ring of three members. */
function cluster(): Ring {
  let ring = aloneOf("a", 8);
  for (const name of ["b", "c"]) {
    ring = setStatus(addJoining(ring, facts(name), 0), "a", name, "valid");
  }
  return ring;
}

/** `ring` on its way to 16 partitions, in the phase in which they are read. */
function reading(ring: Ring): Ring {
  const begun = beginResize(ring, "a", Array<string>(16).fill("a"));
  return enterResizePhase(
    enterResizePhase(begun, "a", "binding"),
    "a",
    "reading",
  );
}

/** A node that has used each of `rings`. */
function after(...rings: readonly Ring[]): FormerReaders {
  const readers = createFormerReaders();
  for (const ring of rings) followRing(readers, ring);
  return readers;
}

/** Those of `nodes` that may ask the vnode. */
function mayAskOf(
  readers: FormerReaders,
  vnode: number,
  nodes: readonly string[] = ["b", "c", "guest"],
  current: Ring = readers.ring as Ring,
): string[] {
  return nodes.filter((node) => mayAsk(readers, node, vnode, current));
}

const PRESENT = 5;
const FUTURE = firstVnodeOf(1) + 5;

Deno.test("mayAsk() lets anybody ask while there is one ring to read by", () => {
  const ring = cluster();
  const copying = beginResize(ring, "a", Array<string>(16).fill("a"));
  for (
    const each of [ring, copying, enterResizePhase(copying, "a", "binding")]
  ) {
    assertEquals(mayAskOf(after(each), PRESENT), ["b", "c", "guest"]);
  }
});

Deno.test("mayAsk() lets nodes use the former ring that were known when others began to read from the next one", () => {
  const read = reading(cluster());
  const readers = after(cluster(), read);
  assertEquals(mayAskOf(readers, PRESENT), ["b", "c"]);
  // A node that asks by the future ring knows of it.
  assertEquals(mayAskOf(readers, FUTURE), ["b", "c", "guest"]);
  followRing(readers, installResize(read, "a"));
  assertEquals(mayAskOf(readers, PRESENT), ["b", "c"]);
  assertEquals(mayAskOf(readers, FUTURE), ["b", "c", "guest"]);
});

Deno.test("mayAsk() lets a node learned of later ask once it is known to know the ring", () => {
  const read = reading(cluster());
  // Admitted by a former claimant, whose ring it uses.
  const heard = invite(read, "c", facts("guest"), 0);
  const readers = after(cluster(), read, heard);
  assertEquals(mayAskOf(readers, PRESENT), ["b", "c"]);
  const known = markSeen(heard, "guest", heard.clock);
  assertEquals(
    mayAskOf(readers, PRESENT, ["b", "c", "guest"], known),
    ["b", "c", "guest"],
  );
  // That is not forgotten when the ring changes.
  followRing(readers, installResize(known, "a"));
  assertEquals(mayAskOf(readers, PRESENT), ["b", "c", "guest"]);
});

Deno.test("mayAsk() refuses a node known before once it is no longer a member, or down", () => {
  const read = reading(cluster());
  const down = setStatus(read, "a", "c", "down");
  const readers = after(cluster(), read, down);
  assertEquals(mayAskOf(readers, PRESENT), ["b"]);
  // It is back, and says so in a ring that contains all of this.
  followRing(readers, rejoin(down, "c"));
  assertEquals(mayAskOf(readers, PRESENT), ["b", "c"]);
});

Deno.test("mayAsk() on a node that was away lets only nodes use the former ring that it knows to know the current one", () => {
  const read = reading(cluster());
  for (
    const readers of [after(read), after(cluster(), installResize(read, "a"))]
  ) {
    assertEquals(mayAskOf(readers, PRESENT), []);
    const known = markSeen(
      readers.ring as Ring,
      "b",
      (readers.ring as Ring).clock,
    );
    assertEquals(
      mayAskOf(readers, PRESENT, ["b", "c", "guest"], known),
      ["b"],
    );
  }
});

Deno.test("mayAsk() lets every node ask again after a resize was aborted", () => {
  const read = reading(cluster());
  const readers = after(cluster(), read, abortResize(read, "a"));
  assertEquals(mayAskOf(readers, PRESENT), ["b", "c", "guest"]);
});

Deno.test("mayAsk() treats a node that was behind at a resize as behind at the next one", () => {
  const first = reading(cluster());
  const heard = invite(first, "c", facts("guest"), 0);
  const second = enterResizePhase(
    beginResize(
      installResize(heard, "a"),
      "a",
      Array<string>(8).fill("a"),
    ),
    "a",
    "reading",
  );
  const readers = after(cluster(), first, installResize(heard, "a"), second);
  assertEquals(mayAskOf(readers, FUTURE), ["b", "c"]);
});

/** `ring`, seen by `nodes`. */
function seenBy(ring: Ring, ...nodes: readonly string[]): Ring {
  return nodes.reduce(
    (seen, node) => markSeen(seen, node, ring.clock),
    ring,
  );
}

/** `ring` as its claimant publishes it, and as it is once all have seen it. */
function published(ring: Ring): { ring: Ring; agreed: Ring } {
  return { ring: seenBy(ring, "a"), agreed: seenBy(ring, "a", "b", "c") };
}

Deno.test("mayAsk() on a restarted owner lets healthy members keep asking when a later resize is read", () => {
  const first = published(installResize(reading(cluster()), "a"));
  const begun = published(
    beginResize(first.agreed, "a", Array<string>(8).fill("a")),
  );
  const next = published(enterResizePhase(begun.agreed, "a", "reading"));
  // It is told of no ring that others have already seen, since they learn of it
  // later.
  for (
    const readers of [
      after(first.ring, begun.ring, next.ring),
      // The rings in between are stored together.
      after(first.ring, next.ring),
    ]
  ) {
    assertEquals(mayAskOf(readers, FUTURE), ["b", "c"]);
  }
});

Deno.test("mayAsk() lets a node that joined since the first resize keep asking when the next one is read", () => {
  const read = published(reading(cluster()));
  const first = published(installResize(read.agreed, "a"));
  const joined = addJoining(first.agreed, facts("d"), 0);
  const grown = seenBy(setStatus(joined, "a", "d", "valid"), "a");
  const agreed = seenBy(grown, "a", "b", "c", "d");
  const begun = seenBy(
    beginResize(agreed, "a", Array<string>(8).fill("a")),
    "a",
  );
  const next = seenBy(enterResizePhase(begun, "a", "reading"), "a");
  const readers = after(cluster(), read.ring, first.ring, grown, begun, next);
  assertEquals(mayAskOf(readers, FUTURE, ["b", "c", "d"]), ["b", "c", "d"]);
});

Deno.test("mayAsk() lets a node ask that knows of the phase, though not of the latest ring", () => {
  const read = reading(cluster());
  const later = setStatus(seenBy(read, "b"), "a", "c", "leaving");
  assertEquals(mayAskOf(after(read), PRESENT, ["b", "c"], later), ["b"]);
  assertEquals(mayAskOf(after(read, later), PRESENT, ["b", "c"]), ["b"]);
});

Deno.test("mayAsk() forgets what was known in another cluster", () => {
  const read = seenBy(reading(cluster()), "a", "b", "c");
  const other = {
    ...reading(cluster()),
    clusterId: { ...read.clusterId, seed: "0000000000000002" },
  };
  assertEquals(mayAskOf(after(read), PRESENT), ["b", "c"]);
  assertEquals(mayAskOf(after(read, other), PRESENT), []);
});
