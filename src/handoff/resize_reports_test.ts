import { assertEquals } from "@std/assert";
import { silentLog } from "../environment/log.ts";
import { resizeSteps, type Ring } from "../ring/ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  completeTransfers,
  enterResizePhase,
  setStatus,
} from "../ring/ring_change.ts";
import type { RingResize } from "../ring/ring_generations.ts";
import { aloneOf, facts } from "../ring/testing/small_rings.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import { type FollowingTransfer, ResizeReports } from "./resize_reports.ts";
import { decidedResize, SPREAD_TARGET } from "./transfer_plan.ts";

/** The reports of `a`, which owns all of a ring that is resized to partitions of `to`. */
class Bench {
  ring: Ring;
  /** The ring as it is recorded, which may be ahead of the published one. */
  recorded: Ring;
  /** Lets vnodes vouch. */
  vouch: () => void = () => {};
  readonly #reports: ResizeReports;

  constructor(ring: Ring) {
    this.ring = this.recorded = ring;
    const world: Partial<HandoffWorld> = {
      self: "a",
      log: silentLog,
      ring: () => this.ring,
      askVnode: () =>
        new Promise((resolve) => {
          this.vouch = () => resolve(new Uint8Array());
        }),
      transferComplete: (partitions, module, by) => {
        this.recorded = completeTransfers(
          this.recorded,
          "a",
          partitions,
          module,
          ["kv"],
          by,
        );
      },
    };
    this.#reports = new ResizeReports(world as HandoffWorld, () => {});
  }

  /** The ring is another one from now on. */
  becomes(ring: Ring): void {
    this.ring = this.recorded = ring;
  }

  report(...following: FollowingTransfer[]): void {
    this.#reports.report(following);
  }

  get complete(): number[] {
    return resizeSteps(this.recorded)
      .filter(({ status }) => status === "complete")
      .map(({ partition }) => partition);
  }
}

function begun(ring: Ring, to: string): Ring {
  return beginResize(ring, "a", new Array<string>(16).fill(to));
}

/** The ring of `a` and `b`. */
function ofTwo(): Ring {
  return setStatus(
    addJoining(aloneOf("a", 8), facts("b"), 0),
    "a",
    "b",
    "valid",
  );
}

/** What follows for the resize of `ring`, of partition 3. */
function following(ring: Ring): FollowingTransfer {
  return {
    name: "resize/kv/3",
    number: 1,
    wanted: {
      kind: "resize",
      module: "kv",
      sourcePartition: 3,
      target: SPREAD_TARGET,
      targetPartition: 0,
      keySpaces: null,
      decided: decidedResize(ring.ownership.generations.resize as RingResize),
      blocked: null,
    },
  };
}

Deno.test("ResizeReports.report() reports what follows for this resize and for no other", () => {
  const ring = ofTwo();
  const toB = begun(ring, "b");
  const bench = new Bench(toB);
  bench.report(following(toB));
  assertEquals(bench.complete, [3]);
  // Another claimant's, in the same term and version, or a later one.
  for (const toA of [begun(ring, "a"), begun(abortResize(toB, "a"), "a")]) {
    bench.becomes(toA);
    bench.report(following(toB));
    assertEquals(bench.complete, []);
    bench.report(following(toA));
    assertEquals(bench.complete, [3]);
  }
});

Deno.test("ResizeReports.report() reports nothing of a phase that the ring is not in any more", async () => {
  const copying = begun(ofTwo(), "b");
  const binding = enterResizePhase(copying, "a", "binding");
  const other = enterResizePhase(begun(ofTwo(), "a"), "a", "binding");
  for (const now of [enterResizePhase(binding, "a", "copying"), other]) {
    const bench = new Bench(binding);
    bench.report(following(copying));
    // This node has heard of it, and has yet to store it.
    bench.recorded = now;
    bench.vouch();
    await Promise.resolve();
    assertEquals(bench.complete, []);
  }
  const bench = new Bench(binding);
  bench.report(following(copying));
  bench.vouch();
  await Promise.resolve();
  assertEquals(bench.complete, [3]);
});
