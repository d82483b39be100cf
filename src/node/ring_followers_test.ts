import { assertEquals } from "@std/assert";
import { freshRing } from "../ring/ring_change.ts";
import type { RingView } from "../ring/ring_view.ts";
import { ownPartitions, updateViews } from "./ring_followers.ts";
import type { NodeParts } from "./node_parts.ts";

/** Parts of a node that stands alone in its ring. */
function parts(hasLeft: boolean) {
  const shown: RingView[] = [];
  const owned: number[][] = [];
  const made = {
    hasLeft,
    cluster: {
      ring: freshRing({
        clusterName: "default",
        size: 8,
        seed: "0000000000000001",
        node: { name: "a", address: "a:1", nodeId: "id-a" },
        wallMs: 0,
      }),
      upNodes: () => ["a"],
    },
    modules: [{ name: "kv" }],
    views: new Map(),
    vnodes: {
      ringResized: () => {},
      own: (numbers: number[]) => void owned.push(numbers),
    },
    coordinators: [{
      setView: (_module: number, view: RingView) => void shown.push(view),
    }],
    config: { name: "a" },
  };
  return { parts: made as unknown as NodeParts, shown, owned };
}

Deno.test("updateViews() gives requests the ring, but not one in which a node that has left owns everything", () => {
  const member = parts(false);
  updateViews(member.parts, 1);
  assertEquals([member.shown.length, member.parts.views.size], [1, 1]);
  const gone = parts(true);
  updateViews(gone.parts, 1);
  assertEquals([gone.shown.length, gone.parts.views.size], [0, 0]);
});

Deno.test("ownPartitions() has masters run what this node owns, but not what it owns in its own ring after it has left", () => {
  const member = parts(false);
  ownPartitions(member.parts);
  assertEquals(member.owned, [[0, 1, 2, 3, 4, 5, 6, 7]]);
  const gone = parts(true);
  ownPartitions(gone.parts);
  assertEquals(gone.owned, []);
});
