import { assertEquals } from "@std/assert";
import type { ClusterProcess } from "../cluster/cluster_process.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { writeGetBody } from "../kv/kv_command_codec.ts";
import { moduleIdOf, writeVnodeRequestHeader } from "../vnode/vnode_wire.ts";
import { markConsistent } from "../ring/consistent_buckets.ts";
import { freshRing } from "../ring/ring_change.ts";
import { type Ring, ringVersion } from "../ring/ring.ts";
import { NodeParts } from "./node_parts.ts";
import { PartNews } from "./part_news.ts";
import type { VnodeManager } from "./vnode_manager.ts";

const fresh = freshRing({
  clusterName: "default",
  size: 8,
  seed: "0000000000000001",
  node: { name: "a", address: "a:1", nodeId: "id-a" },
  wallMs: 0,
});

const request = new ByteWriter(64);
writeVnodeRequestHeader(request, moduleIdOf("kv"), 3, 0, 0, 1_000);
writeGetBody("accounts", "ann", request);
/** A request to a vnode for a key of a bucket. */
const getOfAccounts = request.copy();

/**
 * The news of a node, what its masters are told to run, and how often it is
 * told that it has left.
 */
class Bench {
  readonly parts: NodeParts;
  readonly owned: number[][] = [];
  left = 0;
  readonly #news: PartNews;

  constructor() {
    const log = { child: () => log };
    const parts = this.parts = new NodeParts(
      { name: "a" } as never,
      { log } as never,
      [],
    );
    parts.vnodes = {
      ringResized: () => {},
      own: (vnodes: number[]) => void this.owned.push(vnodes),
      clusterChanged: () => {},
      ownedBy: () => undefined,
    } as Partial<VnodeManager> as VnodeManager;
    this.#news = new PartNews(parts, {
      hasStarted: () => true,
      hasLeft: () => void this.left++,
      fail: (reason) => {
        throw new Error(reason);
      },
    });
  }

  ringChanged(ring: Ring): void {
    this.parts.cluster = { ring, hasLeft: false } as ClusterProcess;
    this.#news.clusterChanged({
      type: "ring_changed",
      ring,
      ringVersion: ringVersion(ring),
    });
  }
}

Deno.test("PartNews has masters run what the ring assigns, and records its consistent buckets", () => {
  const bench = new Bench();
  const isNoted = (): boolean => {
    const { buckets } = bench.parts;
    return buckets.isMistaken(getOfAccounts, 0, getOfAccounts.length);
  };
  bench.ringChanged(fresh);
  assertEquals([bench.owned.length, bench.left, isNoted()], [1, 0, false]);
  const mark = { bucket: "accounts", numbers: [1, 2, 3, 4], wallMs: 1 };
  bench.ringChanged(markConsistent(fresh, "a", mark));
  assertEquals([bench.owned.length, bench.left, isNoted()], [2, 0, true]);
});

Deno.test("PartNews reports again that the node has left when a restarted cluster part shows the ring it is alone in", () => {
  const bench = new Bench();
  bench.parts.left();
  bench.ringChanged(fresh);
  assertEquals([bench.owned, bench.left], [[], 1]);
});
