import { assertEquals, assertStrictEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { Candidate } from "./handshake_fsm.ts";
import type { LinkIdentity } from "./link_peer.ts";
import { PeerBook } from "./peer_book.ts";

const SELF: LinkIdentity = {
  name: "b@h",
  nodeId: "id of b",
  incarnation: 1,
  cluster: "test",
};

/** Another node, as it shows itself on a link that one of both opened. */
function candidate(
  name: string,
  openedBy: "this_node" | "other_node" = "other_node",
): Candidate {
  return {
    name,
    nodeId: `id of ${name}`,
    incarnation: 1,
    cluster: "test",
    kind: "peer",
    address: "far:1",
    openedBy,
    protocolVersion: 1,
    linkId: `link of ${name}`,
    lastLinkId: "",
  };
}

function bookOf(known: Record<string, string> = {}): PeerBook {
  return new PeerBook({
    runtime: new ManualRuntime(),
    identity: SELF,
    knownIdentity: (name) =>
      known[name] === undefined ? undefined : { nodeId: known[name] },
    addressOverrides: new Map([["c@h", "proxy:9"]]),
  });
}

Deno.test("PeerBook.addressOf() returns the address of a wanted peer, or the override of that address", () => {
  const book = bookOf();
  assertEquals(book.find("a@h"), undefined);
  assertEquals(book.addressOf("c@h"), undefined, "it is not wanted");
  for (const name of ["a@h", "c@h"]) book.record(name).address = "far:1";
  assertEquals(book.addressOf("a@h"), "far:1");
  assertEquals(book.addressOf("c@h"), "proxy:9");
  assertStrictEquals(book.record("a@h"), book.find("a@h"));
  book.record("a@h").address = undefined;
  assertEquals(book.addressOf("a@h"), undefined);
  assertEquals([...book.records()].map(({ name }) => name), ["a@h", "c@h"]);
});

Deno.test("PeerBook.decide() uses the recorded identity, the open links and the dials of a name", () => {
  const refused = (reason: string) => ({ type: "refuse", reason });
  const book = bookOf({ "a@h": "id of another" });
  assertEquals(book.decide(candidate("a@h")), refused("name_taken"));
  assertEquals(book.decide(candidate("c@h")), { type: "accept" });

  const arriving = book.record("c@h");
  arriving.arriving = candidate("c@h", "this_node");
  assertEquals(
    book.decide(candidate("c@h", "this_node")),
    refused("duplicate_link"),
  );
  assertEquals(
    book.decideOpened(candidate("c@h", "this_node")),
    refused("duplicate_link"),
  );
  assertEquals(book.decide(candidate("d@h")), { type: "accept" });

  // Both dial at once, and the link of the smaller name stays: b's own.
  const dial = book.dials.begin("peer");
  dial.awaiting = candidate("d@h", "this_node");
  assertEquals(book.decide(candidate("d@h")), refused("duplicate_link"));
  assertEquals(
    book.decideOpened(candidate("d@h", "this_node")),
    { type: "accept" },
    "its own dial is no reason against it",
  );
  book.dials.end(dial);
  assertEquals(book.decide(candidate("d@h")), { type: "accept" });
});
