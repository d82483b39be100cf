import { assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import type { Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import {
  overloadRefusal,
  TOLD_MS_MAX,
  ToldOverloads,
} from "./told_overloads.ts";

const VNODE = { node: "a", moduleId: 7, vnode: 3 };

function overload(againAfterMs?: unknown): WhorlError {
  const details = againAfterMs === undefined ? {} : { againAfterMs };
  return new WhorlError("overload", "It is not done", { details });
}

Deno.test("ToldOverloads knows for how long not to ask a vnode, and then forgets it", () => {
  const told = new ToldOverloads();
  assertEquals([told.empty, told.leftMs(VNODE, 1_000)], [true, 0]);
  told.hear(VNODE, overload(50), 1_000);
  assertEquals(told.leftMs(VNODE, 1_000), 50);
  assertEquals(told.leftMs({ ...VNODE, vnode: 4 }, 1_000), 0);
  assertEquals(told.leftMs({ ...VNODE, moduleId: 8 }, 1_000), 0);
  // It has moved to another node.
  assertEquals(told.leftMs({ ...VNODE, node: "b" }, 1_000), 0);
  assertEquals([told.leftMs(VNODE, 1_049), told.empty], [1, false]);
  assertEquals([told.leftMs(VNODE, 1_050), told.empty], [0, true]);
});

Deno.test("ToldOverloads only hears overload with a time, and believes no long one", () => {
  const told = new ToldOverloads();
  told.hear(
    VNODE,
    new WhorlError("timeout", "", { details: { againAfterMs: 50 } }),
    0,
  );
  for (const afterMs of [undefined, "50", NaN, -1, 0]) {
    told.hear(VNODE, overload(afterMs), 0);
  }
  assertEquals(told.empty, true);
  told.hear(VNODE, overload(Infinity), 0);
  assertEquals(told.leftMs(VNODE, 0), TOLD_MS_MAX);
});

const REPLICAS: Replica[] = [0, 1, 2].map((node) => ({
  partition: node + 4,
  node,
  primary: true,
}));

const RULE: QuorumRule = {
  kind: "write",
  n: 3,
  need: 2,
  primaries: 0,
  durable: 0,
  nodeConfirms: 0,
  strict: false,
  timeoutMs: 1_000,
};

Deno.test("overloadRefusal() refuses what cannot succeed without overloaded replicas, until the first can be asked again", () => {
  const refusal = (leftMs: number[], rule: Partial<QuorumRule> = {}) =>
    overloadRefusal(
      REPLICAS,
      { ...RULE, ...rule },
      { keyPartition: 3, ringSize: 64 },
      ({ node }) => leftMs[node] as number,
    );
  assertEquals(refusal([0, 0, 0]), undefined);
  assertEquals(refusal([0, 80, 0]), undefined);
  const refused = refusal([0, 80.5, 30.5]);
  assertEquals([refused?.code, refused?.details], [
    "overload",
    { partition: 4, againAfterMs: 31, keyPartition: 3, ringSize: 64 },
  ]);
  assertEquals(refusal([0, 80, 30], { need: 1 }), undefined);
  assertEquals(refusal([0, 0, 1], { need: 3 })?.code, "overload");
  // Their load is not the reason why it cannot succeed.
  assertEquals(refusal([1, 1, 1], { need: 4, n: 4 }), undefined);
});
