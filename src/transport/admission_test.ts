import { assertEquals } from "@std/assert";
import { type AdmissionView, decideAdmission } from "./admission.ts";
import type { Candidate } from "./handshake_fsm.ts";
import type { LinkIdentity, LinkPeer } from "./link_peer.ts";

const self: LinkIdentity = {
  name: "m",
  nodeId: "id-m",
  incarnation: 5,
  cluster: "test",
};

function peer(changes: Partial<LinkPeer> = {}): LinkPeer {
  return {
    name: "p",
    nodeId: "id-p",
    incarnation: 3,
    cluster: "test",
    kind: "peer",
    address: "p:1",
    openedBy: "other_node",
    protocolVersion: 1,
    linkId: "new",
    ...changes,
  };
}

function decide(
  candidate: Partial<Candidate>,
  view: Partial<AdmissionView> = {},
): string {
  const decision = decideAdmission(
    { ...peer(), lastLinkId: "none", ...candidate },
    { self, known: undefined, up: undefined, dialing: undefined, ...view },
  );
  return decision.type === "refuse" ? decision.reason : decision.type;
}

Deno.test("decideAdmission() accepts a peer if nothing speaks against it", () => {
  assertEquals(decide({}), "accept");
  assertEquals(decide({}, { known: { nodeId: "id-p" } }), "accept");
});

Deno.test("decideAdmission() refuses a connection of this node to itself", () => {
  assertEquals(decide(self), "self_connection");
  assertEquals(decide({ ...self, kind: "bulk" }), "self_connection");
});

Deno.test("decideAdmission() refuses another process on this node's data", () => {
  assertEquals(decide({ ...self, incarnation: 6 }), "name_taken");
  assertEquals(decide({ ...self, name: "copy" }), "name_taken");
});

Deno.test("decideAdmission() refuses this node's name to another node", () => {
  assertEquals(decide({ name: self.name }), "name_taken");
});

Deno.test("decideAdmission() refuses a name on record for another node, whether or not that one is up", () => {
  assertEquals(decide({}, { known: { nodeId: "first" } }), "name_taken");
  assertEquals(decide({}, { up: peer({ nodeId: "first" }) }), "name_taken");
  assertEquals(
    decide({ kind: "bulk" }, { known: { nodeId: "first" } }),
    "name_taken",
  );
  // A newer incarnation of another node is still another node.
  assertEquals(
    decide({ incarnation: 99 }, { up: peer({ nodeId: "first" }) }),
    "name_taken",
  );
});

Deno.test("decideAdmission() replaces the link of an older incarnation by a newer one, never the reverse", () => {
  const up = peer({ linkId: "old", openedBy: "this_node" });
  assertEquals(decide({ incarnation: 4 }, { up }), "replace");
  assertEquals(decide({ incarnation: 2 }, { up }), "stale_incarnation");
  assertEquals(
    decide({ incarnation: 2 }, { known: { nodeId: "id-p", incarnation: 3 } }),
    "stale_incarnation",
  );
  assertEquals(
    decide({ incarnation: 2, kind: "bulk" }, { up }),
    "stale_incarnation",
  );
});

Deno.test("decideAdmission() accepts a peer that reconnects because its end of the link broke", () => {
  // It opened the old one, so it knows that one is gone.
  assertEquals(
    decide({}, { up: peer({ linkId: "old", openedBy: "other_node" }) }),
    "replace",
  );
  // We opened it, and it shows that it has had it.
  assertEquals(
    decide(
      { lastLinkId: "old" },
      { up: peer({ linkId: "old", openedBy: "this_node" }) },
    ),
    "replace",
  );
});

Deno.test("decideAdmission() refuses a connection that crossed the link which is up", () => {
  assertEquals(
    decide({}, { up: peer({ linkId: "old", openedBy: "this_node" }) }),
    "duplicate_link",
  );
  assertEquals(
    decide({ openedBy: "this_node" }, { up: peer({ linkId: "old" }) }),
    "duplicate_link",
  );
});

Deno.test("decideAdmission() keeps the same one of two crossing connections at both ends", () => {
  for (const [one, other] of [["a", "b"], ["b", "a"], ["n1", "n10"]]) {
    const kept: string[] = [];
    // Each end sees the other's proof while it waits for its own welcome.
    for (const [here, there] of [[one, other], [other, one]]) {
      const verdict = decide(
        { name: there!, nodeId: there! },
        {
          self: { ...self, name: here!, nodeId: here! },
          dialing: peer({ name: there!, nodeId: there! }),
        },
      );
      kept.push(verdict === "accept" ? there! : here!);
    }
    assertEquals(kept[0], kept[1], `${one} and ${other}`);
  }
});

Deno.test("decideAdmission() accepts any number of bulk links and clients", () => {
  const up = peer({ linkId: "old", openedBy: "this_node" });
  assertEquals(decide({ kind: "bulk" }, { up, dialing: peer() }), "accept");
  assertEquals(
    decide({ kind: "client", name: self.name, nodeId: "first" }, { up }),
    "accept",
  );
});
