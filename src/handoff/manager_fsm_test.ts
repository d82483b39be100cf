import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  admitsInbound,
  createManager,
  type ManagerEffect,
  type ManagerEvent,
  type ManagerState,
  reasonFor,
  REFUSED_MS_MAX,
  REFUSED_MS_MIN,
  REFUSED_REST,
  RETRY_MS_MAX,
  RETRY_MS_MIN,
  stepManager,
} from "./manager_fsm.ts";
import type { TransferKind } from "./transfer.ts";
import { transferName, type WantedTransfer } from "./transfer_plan.ts";

function transfer(
  partition: number,
  kind: TransferKind = "ownership",
  extra: Partial<WantedTransfer> = {},
): WantedTransfer {
  return {
    kind,
    module: "kv",
    sourcePartition: partition,
    target: "b",
    targetPartition: partition,
    keySpaces: null,
    decided: { term: 1, version: 1 },
    blocked: null,
    ...extra,
  };
}

/** Effects in short: `begin 3`, `stop 3 for now`, `stop 3 for good`, `forget 3`, `inbound 2`, `at 500`. */
function show(effects: readonly ManagerEffect[]): string[] {
  const partition = (name: string) => name.split("/")[2];
  return effects.map((effect) => {
    switch (effect.type) {
      case "begin":
      case "forget":
        return `${effect.type} ${effect.transfer.sourcePartition}`;
      case "stop":
        return `stop ${partition(effect.name)} for ${
          effect.resumable ? "now" : "good"
        }`;
      case "finish":
        return `finish ${partition(effect.name)}`;
      case "stop_inbound":
        return `inbound ${effect.count}`;
      case "set_timer":
        return `at ${effect.atMs}`;
    }
  });
}

class Bench {
  readonly manager: ManagerState;
  nowMs = 0;

  constructor(concurrency = 2) {
    this.manager = createManager({
      concurrency,
      inbound: true,
      outbound: true,
    });
  }

  step(event: ManagerEvent): string[] {
    return show(stepManager(this.manager, event, this.nowMs));
  }

  want(...transfers: WantedTransfer[]): string[] {
    return this.step({ type: "wanted", transfers });
  }

  fail(
    of: WantedTransfer,
    { refused = false, yields = false, jitter = 0 } = {},
  ): string[] {
    return this.step({
      type: "failed",
      name: transferName(of),
      refused,
      yields,
      jitter,
      reason: "it broke",
    });
  }

  complete(of: WantedTransfer): string[] {
    return this.step({ type: "completed", name: transferName(of) });
  }

  enable(
    direction: "inbound" | "outbound" | "both",
    enabled: boolean,
  ): string[] {
    return this.step({ type: "enabled", direction, enabled });
  }
}

Deno.test("stepManager() starts repairs, then hints, then ownership, by partition, up to the concurrency", () => {
  const bench = new Bench(3);
  assertEquals(
    bench.want(
      transfer(1),
      transfer(9, "hinted"),
      transfer(4, "hinted"),
      transfer(7, "repair"),
      transfer(0),
    ),
    ["begin 7", "begin 4", "begin 9"],
  );
  assertEquals(bench.complete(transfer(4, "hinted")), ["begin 0"]);
});

Deno.test("reasonFor() says what a transfer waits for, or why it last failed", () => {
  const bench = new Bench(1);
  const reasons = (): (string | null)[] =>
    [...bench.manager.transfers.values()].map((each) =>
      reasonFor(bench.manager, each)
    );
  bench.want(
    transfer(1),
    transfer(2),
    transfer(3, "ownership", { blocked: "b does not serve kv now" }),
  );
  assertEquals(reasons(), [
    null,
    "1 may run at once",
    "b does not serve kv now",
  ]);
  bench.fail(transfer(1), { refused: true });
  bench.complete(transfer(2));
  bench.nowMs = RETRY_MS_MAX;
  assertEquals(reasons(), ["it broke", "b does not serve kv now"]);
  bench.step({ type: "concurrency", concurrency: 0 });
  assertEquals(reasons()[0], "0 may run at once");
  bench.enable("outbound", false);
  assertEquals(reasons(), [
    "outbound transfers are disabled",
    "b does not serve kv now",
  ]);
});

Deno.test("stepManager() counts transfers in and out together", () => {
  const bench = new Bench(2);
  bench.step({ type: "inbound", count: 1 });
  assertEquals(bench.want(transfer(1), transfer(2)), ["begin 1"]);
  assertEquals(admitsInbound(bench.manager), false);
  assertEquals(bench.complete(transfer(1)), ["begin 2"]);
  bench.complete(transfer(2));
  assertEquals(admitsInbound(bench.manager), true);
  bench.step({ type: "inbound", count: 2 });
  assertEquals(admitsInbound(bench.manager), false);
  assertEquals(bench.want(transfer(3)), []);
  assertEquals(bench.step({ type: "inbound", count: 1 }), ["begin 3"]);
});

Deno.test("stepManager() stops surplus transfers when the concurrency is lowered, outbound ones first, and restarts them when it is raised", () => {
  const bench = new Bench(4);
  bench.step({ type: "inbound", count: 2 });
  bench.want(transfer(1), transfer(2));
  assertEquals(bench.step({ type: "concurrency", concurrency: 3 }), [
    "stop 2 for now",
  ]);
  // It is already being stopped.
  assertEquals(bench.step({ type: "concurrency", concurrency: 1 }), [
    "stop 1 for now",
    "inbound 1",
  ]);
  bench.step({ type: "inbound", count: 1 });
  assertEquals(bench.fail(transfer(2)), []);
  assertEquals(bench.fail(transfer(1)), []);
  assertEquals(bench.step({ type: "concurrency", concurrency: 3 }), [
    "begin 1",
    "begin 2",
  ]);
  assertEquals(bench.step({ type: "concurrency", concurrency: 0 }), [
    "stop 2 for now",
    "stop 1 for now",
    "inbound 1",
  ]);
});

Deno.test("stepManager() pauses and resumes each direction by itself", () => {
  const bench = new Bench(4);
  bench.step({ type: "inbound", count: 1 });
  bench.want(transfer(1));
  assertEquals(bench.enable("inbound", false), ["inbound 1"]);
  bench.step({ type: "inbound", count: 0 });
  assertEquals(admitsInbound(bench.manager), false);
  assertEquals(bench.enable("outbound", false), ["stop 1 for now"]);
  bench.fail(transfer(1));
  assertEquals(bench.want(transfer(1), transfer(2)), []);
  assertEquals(bench.enable("inbound", true), []);
  assertEquals(admitsInbound(bench.manager), true);
  assertEquals(bench.enable("both", true), ["begin 1", "begin 2"]);
  assertEquals(bench.enable("both", false), [
    "stop 1 for now",
    "stop 2 for now",
  ]);
});

Deno.test("stepManager() retries a failed transfer after a pause that doubles up to RETRY_MS_MAX", () => {
  const bench = new Bench();
  bench.want(transfer(1));
  let pauseMs = RETRY_MS_MIN;
  for (let i = 0; i < 30; i++) {
    const atMs = bench.nowMs + pauseMs / 2;
    assertEquals(bench.fail(transfer(1)), [`at ${atMs}`]);
    bench.nowMs = atMs - 1;
    assertEquals(bench.step({ type: "tick" }), [`at ${atMs}`]);
    bench.nowMs = atMs;
    assertEquals(bench.step({ type: "tick" }), ["begin 1"]);
    pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2);
  }
});

Deno.test("stepManager() retries refused transfers sooner, and spreads the retries of those that failed together", () => {
  const bench = new Bench();
  bench.want(transfer(1), transfer(2));
  const half = REFUSED_MS_MIN / 2;
  assertEquals(bench.fail(transfer(1), { refused: true }), [`at ${half}`]);
  assertEquals(bench.fail(transfer(2), { refused: true, jitter: 0.5 }), [
    `at ${half}`,
  ]);
  bench.nowMs = half;
  assertEquals(bench.step({ type: "tick" }), ["begin 1", `at ${1.5 * half}`]);
  for (let i = 0; i < 20; i++) {
    bench.fail(transfer(1), { refused: true });
    bench.nowMs += REFUSED_MS_MAX;
    bench.step({ type: "tick" });
  }
  const [effect] = bench.fail(transfer(1), { refused: true });
  assertEquals(effect, `at ${bench.nowMs + REFUSED_MS_MAX / 2}`);
});

Deno.test("The manager pauses a refused transfer for REFUSED_REST times as long as the refusal took, and RETRY_MS_MAX at most", () => {
  const bench = new Bench();
  const refused = transfer(1);
  bench.want(refused);
  bench.nowMs = 500;
  const pauseMs = REFUSED_REST * 500;
  assertEquals(bench.fail(refused, { refused: true }), [
    `at ${500 + pauseMs / 2}`,
  ]);
  bench.nowMs += pauseMs / 2;
  assertEquals(bench.step({ type: "tick" }), ["begin 1"]);
  bench.nowMs += RETRY_MS_MAX;
  assertEquals(bench.fail(refused, { refused: true }), [
    `at ${bench.nowMs + RETRY_MS_MAX / 2}`,
  ]);
});

Deno.test("stepManager() leaves the slot of a refused transfer to a waiting inbound one, until the next event", () => {
  const bench = new Bench();
  bench.want(transfer(1), transfer(2), transfer(3));
  const half = REFUSED_MS_MIN / 2;
  assertEquals(bench.fail(transfer(1), { refused: true, yields: true }), [
    `at ${half}`,
  ]);
  assert(admitsInbound(bench.manager));
  assertEquals(bench.step({ type: "inbound", count: 1 }), [`at ${half}`]);
  assertEquals(bench.step({ type: "inbound", count: 0 }), [
    "begin 3",
    `at ${half}`,
  ]);
});

Deno.test("stepManager() restarts a stopped transfer without a pause", () => {
  const bench = new Bench();
  bench.want(transfer(1));
  bench.enable("outbound", false);
  bench.enable("outbound", true);
  assertEquals(bench.fail(transfer(1)), ["begin 1"]);
  assertEquals(
    bench.manager.transfers.get(transferName(transfer(1)))?.failures,
    0,
  );
});

Deno.test("stepManager() does not count a refusal for lack of room as a failure", () => {
  const bench = new Bench();
  bench.want(transfer(1));
  for (let times = 0; times < 5; times++) {
    bench.fail(transfer(1), { refused: true });
    bench.nowMs += REFUSED_MS_MAX;
    assertEquals(bench.step({ type: "tick" }), ["begin 1"]);
  }
  const known = bench.manager.transfers.get(transferName(transfer(1)));
  assertEquals([known?.failures, known?.refusals], [0, 5]);
  // A break after refusals still has the first pause.
  const retryAt = bench.nowMs + RETRY_MS_MIN / 2;
  assertEquals(bench.fail(transfer(1)), [`at ${retryAt}`]);
  assertEquals(known?.failures, 1);
});

Deno.test("stepManager() waits for a blocked target, and begins at once when it is back", () => {
  const bench = new Bench();
  const blocked = transfer(1, "ownership", { blocked: "b is down" });
  assertEquals(bench.want(blocked), []);
  assertEquals(bench.want(transfer(1)), ["begin 1"]);
  bench.fail(transfer(1));
  assertEquals(bench.want(blocked), []);
  assertEquals(bench.want(transfer(1)), ["begin 1"]);
});

Deno.test("stepManager() stops an unwanted transfer for good, and forgets it once it has ended", () => {
  const bench = new Bench();
  bench.want(transfer(1), transfer(2), transfer(3));
  bench.fail(transfer(2));
  assertEquals(bench.want(), [
    "stop 1 for good",
    "forget 2",
    "stop 3 for good",
  ]);
  assertEquals(bench.fail(transfer(1)), ["forget 1"]);
  assertEquals(bench.complete(transfer(3)), []);
  assertEquals(bench.manager.transfers.size, 0);
  // It is unknown by now.
  assertEquals(bench.fail(transfer(1)), []);
});

Deno.test("stepManager() keeps a transfer that is wanted again before it has ended", () => {
  const bench = new Bench();
  bench.want(transfer(1));
  bench.want();
  assertEquals(bench.want(transfer(1)), []);
  assertEquals(bench.fail(transfer(1)), ["begin 1"]);
});

Deno.test("stepManager() starts over when a transfer was decided anew", () => {
  const bench = new Bench();
  bench.want(transfer(1));
  const anew = transfer(1, "ownership", { decided: { term: 1, version: 2 } });
  assertEquals(bench.want(anew), ["stop 1 for good"]);
  assertEquals(bench.want(anew), []);
  assertEquals(bench.fail(anew), ["begin 1"]);
  assertEquals(
    bench.manager.transfers.get(transferName(anew))?.wanted.decided,
    { term: 1, version: 2 },
  );
});

Deno.test("stepManager() never exceeds the concurrency, and forgets or finishes everything", () => {
  const events = fc.array(fc.tuple(fc.nat(9), fc.nat(100)), { maxLength: 80 });
  fc.assert(
    fc.property(events, (steps) => {
      const bench = new Bench(3);
      const running = new Map<string, WantedTransfer>();
      let inbound = 0;
      const all = Array.from({ length: 6 }, (_, i) => transfer(i));
      const step = (event: ManagerEvent): void => {
        for (const effect of stepManager(bench.manager, event, bench.nowMs)) {
          if (effect.type === "begin") {
            assert(!running.has(effect.name), "it runs already");
            running.set(effect.name, effect.transfer);
            const { concurrency, outbound } = bench.manager.config;
            assert(outbound && inbound + running.size <= concurrency);
          } else if (effect.type === "stop") assert(running.has(effect.name));
          else if (effect.type === "stop_inbound") {
            inbound = Math.max(0, inbound - effect.count);
          } else if (effect.type === "forget") {
            assert(!running.has(effect.name), "it runs still");
          }
        }
        bench.manager.inbound = inbound;
      };
      for (const [kind, choice] of steps) {
        const [name, of] = [...running][choice % Math.max(1, running.size)] ??
          [];
        if (kind < 3) {
          step({
            type: "wanted",
            transfers: all.filter((_, i) => (choice >> i) % 2 === 0),
          });
        } else if (kind < 5 && name !== undefined && of !== undefined) {
          running.delete(name);
          step(
            kind === 3 ? { type: "completed", name } : {
              type: "failed",
              name,
              refused: choice % 2 === 0,
              yields: choice % 4 === 0,
              reason: "",
              jitter: choice / 101,
            },
          );
        } else if (kind === 5) {
          if (admitsInbound(bench.manager)) inbound++;
          step({ type: "inbound", count: inbound });
        } else if (kind === 6) {
          inbound = Math.max(0, inbound - 1);
          step({ type: "inbound", count: inbound });
        } else if (kind === 7) {
          step({ type: "concurrency", concurrency: choice % 5 });
        } else if (kind === 8) {
          step({
            type: "enabled",
            direction: (["inbound", "outbound", "both"] as const)[choice % 3]!,
            enabled: choice % 2 === 0,
          });
        } else {
          bench.nowMs += choice * 20;
          step({ type: "tick" });
        }
      }
      for (const name of [...running.keys()]) {
        running.delete(name);
        step({ type: "completed", name });
      }
    }),
    { numRuns: 1_000 },
  );
});

/** A step of a resize: before or after the ring gets its new size. */
function spread(
  partition: number,
  follows: boolean,
  extra: Partial<WantedTransfer> = {},
): WantedTransfer {
  return transfer(partition, "resize", {
    target: "*",
    targetPartition: 1024,
    spread: { ringSize: 16, firstVnode: 1024, follows },
    decided: follows ? { term: 1, version: 7 } : null,
    ...extra,
  });
}

Deno.test("stepManager() does not count following transfers, and finishes them when the ring has changed", () => {
  const bench = new Bench(1);
  assertEquals(bench.want(spread(1, true), spread(2, true)), ["begin 1"]);
  const follows = (each: WantedTransfer) =>
    bench.step({ type: "follows", name: transferName(each) });
  assertEquals(follows(spread(1, true)), ["begin 2"]);
  assertEquals(follows(spread(2, true)), []);
  assertEquals(admitsInbound(bench.manager), true);
  // Not before every node uses the new ring.
  const early = spread(1, false, { blocked: "some do not" });
  assertEquals(bench.want(early, spread(2, false)), ["finish 2"]);
  assertEquals(bench.want(spread(1, false), spread(2, false)), ["finish 1"]);
  assertEquals(bench.want(spread(1, false), spread(2, false)), []);
  assertEquals(bench.complete(spread(1, false)), []);
});

Deno.test("stepManager() stops following transfers when the resize is aborted or decided anew, or transfers are disabled", () => {
  const bench = new Bench(4);
  const follow = (...each: WantedTransfer[]) => {
    bench.want(...each);
    for (const one of each) {
      bench.step({ type: "follows", name: transferName(one) });
    }
  };
  follow(spread(1, true), spread(2, true));
  const anew = spread(2, true, { decided: { term: 1, version: 9 } });
  assertEquals(bench.want(anew), ["stop 1 for good", "stop 2 for good"]);
  bench.fail(spread(1, true));
  assertEquals(bench.fail(spread(2, true)), ["begin 2"]);
  bench.step({ type: "follows", name: transferName(anew) });
  // In the same term and version, another claimant has begun another resize.
  const other = spread(2, true, {
    decided: { term: 1, version: 9, resize: "2" },
  });
  assertEquals(bench.want(other), ["stop 2 for good"]);
  assertEquals(bench.fail(anew), ["begin 2"]);
  bench.step({ type: "follows", name: transferName(other) });
  assertEquals(bench.enable("outbound", false), ["stop 2 for now"]);
  bench.fail(other);
  assertEquals(bench.enable("outbound", true), ["begin 2"]);
});

Deno.test("stepManager() lets a vnode send one transfer at a time", () => {
  const bench = new Bench(4);
  assertEquals(bench.want(spread(1, true), transfer(1, "repair")), ["begin 1"]);
  assertEquals(bench.complete(transfer(1, "repair")), ["begin 1"]);
});
