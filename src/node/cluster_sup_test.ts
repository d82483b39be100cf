import {
  assertEquals,
  assertNotStrictEquals,
  assertRejects,
} from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { seededChance } from "../base/chance.ts";
import { WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import { silentLog } from "../environment/log.ts";
import type { Ring } from "../ring/ring.ts";
import { invite, setStatus } from "../ring/ring_change.ts";
import { encodeRing } from "../ring/ring_codec.ts";
import { aloneOf, facts } from "../ring/testing/small_rings.ts";
import { FrameType } from "../wire/frame_type.ts";
import { clusterSup } from "./cluster_sup.ts";
import type { NodeHome } from "./node_home.ts";
import { NodeParts, present } from "./node_parts.ts";

/** A ring of `a` and `b`, of which both are members. */
function pair(): Ring {
  const ring = invite(aloneOf("a", 8), "a", facts("b"), 0);
  return setStatus(ring, "a", "b", "valid");
}

/** The cluster part of `b` under its supervisor, as a member of {@linkcode pair}; its disk stores a ring when it is told to. */
async function clusterOfB() {
  const runtime = new ManualRuntime();
  const stores: PromiseWithResolvers<void>[] = [];
  const parts = new NodeParts(
    {
      name: "b",
      advertise: "b:1",
      clusterName: "default",
      ringSize: 8,
    } as never,
    {
      now: () => runtime.now(),
      setTimer: (...timer: Parameters<ManualRuntime["setTimer"]>) =>
        runtime.setTimer(...timer),
      clearTimer: (timer: TimerHandle) => runtime.clearTimer(timer),
      random: () => runtime.random(),
      defer: (callback: () => void) => runtime.defer(callback),
      wallClock: () => 0,
      chance: seededChance(1),
      secretBytes: (count: number) => new Uint8Array(count).fill(7),
      log: silentLog,
    } as unknown as Environment,
    [],
  );
  parts.home = {
    nodeId: facts("b").nodeId,
    incarnation: 1,
    storedRing: encodeRing(pair()).bytes,
    storeRing: () => {
      const stored = Promise.withResolvers<void>();
      stores.push(stored);
      return stored.promise;
    },
  } as unknown as NodeHome;
  const starting = clusterSup(parts, () => {}).start(
    new AbortController().signal,
  );
  await runtime.settle();
  stores.shift()?.resolve();
  const supervisor = await starting;
  return { runtime, parts, stores, supervisor };
}

Deno.test("clusterSup() remembers that the node has left if its new ring cannot be stored, although the next part starts with the old one", async () => {
  const { runtime, parts, stores, supervisor } = await clusterOfB();
  const cluster = present(parts.cluster, "cluster");
  assertEquals(parts.hasLeft, false);
  const without = setStatus(cluster.ring, "a", "b", "invalid");
  cluster.handleFrame("a", FrameType.ring, encodeRing(without).bytes);
  await runtime.settle();
  assertEquals([cluster.hasLeft, parts.hasLeft], [true, true]);
  // It is the claimant of its new ring, which nobody else will see.
  await assertRejects(() => cluster.plan(), WhorlError, "cluster of b");
  for (const store of stores.splice(0)) {
    store.reject(new WhorlError("store_full", "No room for the ring"));
  }
  await runtime.settle();
  assertEquals([parts.cluster, parts.hasLeft], [undefined, true]);
  await runtime.advance(1_000);
  const next = present(parts.cluster, "cluster");
  assertNotStrictEquals(next, cluster);
  assertEquals(
    [next.hasLeft, [...next.ring.members.keys()], parts.hasLeft],
    [false, ["a", "b"], true],
  );
  supervisor.stop("shutdown");
  await runtime.settle();
});
