import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { setTimeout as nodeTimeout } from "node:timers";
import {
  answersLater,
  type Awaitable,
  command,
  type CommandDeclaration,
  defineVnode,
  type VnodeModule,
} from "../../mod.ts";
import { notesSimulation } from "../../examples/notes/notes_simulation.ts";
import { notesModule } from "../../examples/notes/notes_vnode.ts";
import { drawSchedule, simulate, UNDECIDED } from "../../src/simulation/mod.ts";
import { decodeSchedule } from "../../src/simulation/schedule/schedule_codec.ts";
import {
  KEPT_MEMBERSHIP_SEEDS,
  KEPT_RAFT_SEEDS,
  KEPT_SEEDS,
} from "./kept_seeds.ts";
import { CLUSTERS } from "./collected_clusters.ts";
import { LONG_RUN } from "./trace_digest.ts";

Deno.test("simulate() gives the same trace of a seed, byte for byte, here again and in another process", async () => {
  const { trace } = await simulate(LONG_RUN);
  assert(trace.events.length >= 10_000, `${trace.events.length} events`);
  const lines = trace.toString();
  assert(!lines.includes("file://"), "the trace says where this checkout lies");
  const again = await simulate(LONG_RUN);
  assert(again.trace.toString() === lines, "another trace");
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      new URL("trace_digest.ts", import.meta.url).href,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).output();
  assertEquals(
    new TextDecoder().decode(output.stdout).trim(),
    `${trace.events.length} ${trace.digest()}`,
  );
});

Deno.test("simulate() leaves no cluster that outlives collections of the young, but for some", async () => {
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--v8-flags=--expose-gc,--min-semi-space-size=64,--max-semi-space-size=64",
      new URL("collected_clusters.ts", import.meta.url).href,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).output();
  const collected = Number(new TextDecoder().decode(output.stdout));
  // A function of each master that was among what is old once kept all of them.
  assert(collected >= CLUSTERS / 4, `${collected} of ${CLUSTERS}`);
});

Deno.test("simulate() gives the same run with and without a trace", async () => {
  for (const seed of [3, 4]) {
    const silent = await simulate({ seed });
    const traced = await simulate({ seed, trace: true });
    assertEquals(silent.trace.events, []);
    assertEquals(
      [silent.events, silent.virtualMs, silent.history],
      [traced.events, traced.virtualMs, traced.history],
    );
  }
});

Deno.test("simulate() finds nothing wrong with 300 seeds, each with faults of its own", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const { violations, schedule } = await simulate({ seed });
    assert(schedule.faults.length > 0);
    assertEquals(violations, [], `seed ${seed}`);
  }
});

Deno.test("simulate() finds nothing wrong with 60 seeds in which members come and go", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { violations, schedule } = await simulate({
      seed,
      profile: "membership",
    });
    assert(schedule.changes.length > 0);
    assertEquals(violations, [], `seed ${seed}`);
  }
});

Deno.test("simulate() finds nothing wrong with 40 seeds of a Raft group", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { violations, counts } = await simulate({ seed, profile: "raft" });
    assertEquals(violations, [], `seed ${seed}`);
    assert(counts.ok > 20);
  }
});

Deno.test("simulate() gives the same run of a Raft group with and without a trace, which tells of roles and terms", async () => {
  const silent = await simulate({ seed: 3, profile: "raft" });
  const { trace, ...traced } = await simulate({
    seed: 3,
    profile: "raft",
    trace: true,
  });
  assertEquals(
    [silent.events, silent.virtualMs, silent.history],
    [traced.events, traced.virtualMs, traced.history],
  );
  const lines = trace.toString();
  for (const text of [" raft  ", "leader in term 1", "raft append of term 1"]) {
    assertStringIncludes(lines, text);
  }
});

Deno.test("simulate() finds nothing wrong any more with seeds that once failed", async () => {
  for (const { seed, found } of KEPT_SEEDS) {
    const { violations } = await simulate({ seed });
    assertEquals(violations, [], `seed ${seed}: ${found}`);
  }
  for (const { seed, found } of KEPT_MEMBERSHIP_SEEDS) {
    const { violations } = await simulate({ seed, profile: "membership" });
    assertEquals(violations, [], `membership seed ${seed}: ${found}`);
  }
  for (const { seed, found } of KEPT_RAFT_SEEDS) {
    const { violations } = await simulate({ seed, profile: "raft" });
    assertEquals(violations, [], `Raft seed ${seed}: ${found}`);
  }
});

Deno.test("simulate() has a client outside turn away from a node that knows of too few vnodes, and go on at the next one", async () => {
  // Both clients are at n2 when that is cut off.
  const { trace } = await simulate({ seed: 913_368, trace: true });
  const turned = trace.events.filter(({ kind }) => kind === "turn");
  assertEquals(turned.map(({ place, text }) => [place, text]), [
    ["c1", "away from n2@n2 after 3 refusals"],
    ["c2", "away from n2@n2 after 3 refusals"],
  ]);
  for (const { atMs, place } of turned) {
    assert(
      trace.events.some((event) =>
        event.atMs > atMs && event.place === place && event.kind === "ok"
      ),
      `${place} got nothing done any more`,
    );
  }
});

Deno.test("simulate() leaves operations out of a schedule without changing the others", async () => {
  const schedule = drawSchedule(5, { faults: [] });
  const whole = await simulate({ seed: 5, schedule });
  const some = await simulate({
    seed: 5,
    schedule: {
      ...schedule,
      operations: schedule.operations.filter((number) => number % 2 === 0),
    },
  });
  const inputs = ({ history }: typeof whole) =>
    history.map(({ client, key, input }) =>
      JSON.stringify([client, key, (input as { value?: unknown }).value])
    );
  const kept = new Set(inputs(whole));
  assert(
    some.history.length > 20 && some.history.length < whole.history.length,
  );
  for (const input of inputs(some)) assert(kept.has(input), input);
});

Deno.test("simulate() catches notes that are acknowledged before they are stored within 500 seeds", async () => {
  let caught: string[] = [];
  for (let seed = 1; caught.length === 0 && seed <= 500; seed++) {
    const { violations } = await simulate({
      seed,
      ...notesSimulation(notesModule(true)),
    });
    caught = violations.map(({ check }) => check);
  }
  assertEquals([...new Set(caught)], ["acknowledged_notes"]);
});

Deno.test("the schedule that caught the hasty notes still does, and the careful ones pass it", async () => {
  const schedule = decodeSchedule(
    await Deno.readTextFile(
      new URL("../../examples/notes/lost_note.json", import.meta.url),
    ),
  );
  const { seed } = schedule;
  const hasty = await simulate({
    seed,
    schedule,
    ...notesSimulation(notesModule(true)),
  });
  assert(hasty.violations.length > 0);
  for (const { check } of hasty.violations) {
    assertEquals(check, "acknowledged_notes");
  }
  const careful = await simulate({
    seed,
    schedule,
    ...notesSimulation(notesModule(false)),
  });
  assertEquals(careful.violations, []);
});

type AskCommands = {
  readonly ask: CommandDeclaration<null, number, never>;
};

function askModule(answer: () => Awaitable<number>): VnodeModule<AskCommands> {
  return defineVnode({
    name: "ask",
    commands: { ask: command() },
    init: () => ({
      handleCommand: { ask: () => answer() },
      *fold() {},
      encodeHandoffItem: () => null,
      handleHandoffData() {},
      isEmpty: () => true,
      delete() {},
    }),
  });
}

function ask(module: VnodeModule<AskCommands>) {
  return simulate({
    seed: 1,
    faults: [],
    operations: 3,
    vnode: module,
    workload: async ({ record, number }) => {
      await record(
        `k${number}`,
        "ask",
        (access) =>
          access.module(module).request("b", `k${number}`, "ask", null),
      );
    },
  });
}

const REAL_WORLD: Record<string, () => unknown> = {
  "Date.now": () => Date.now(),
  "new Date": () => new Date(),
  "Math.random": () => Math.random(),
  "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(1)),
  "crypto.randomUUID": () => crypto.randomUUID(),
  "performance.now": () => performance.now(),
  "setTimeout": () => setTimeout(() => {}, 1),
  "setInterval": () => setInterval(() => {}, 1),
  "node:timers setTimeout": () => nodeTimeout(() => {}, 1),
  "fetch": () => fetch("http://127.0.0.1:1/"),
  "WebSocket": () => new WebSocket("ws://127.0.0.1:1/"),
  "Worker": () => new Worker("data:text/javascript,", { type: "module" }),
  "Deno.readTextFile": () => Deno.readTextFile("/dev/null"),
};

/** That the call is refused in a handler, and behind a promise whose error is swallowed. */
const REACHES: Record<string, (call: () => unknown) => Awaitable<number>> = {
  "": (call) => {
    call();
    return 1;
  },
  " behind a promise, and swallows the error": async (call) => {
    await Promise.resolve().then(call).catch(() => {});
    return 1;
  },
};

for (const [how, reach] of Object.entries(REACHES)) {
  for (const [call, act] of Object.entries(REAL_WORLD)) {
    Deno.test(`simulate() fails a vnode that calls ${call}${how}, and names the call`, async () => {
      const { violations } = await ask(askModule(() => reach(act)));
      const found = violations.find(({ check }) => check === "real_world");
      assertStringIncludes(`${found?.message}`, `called ${call} `);
    });
  }
}

Deno.test("simulate() fails a request that is never answered", async () => {
  const silent = defineVnode<AskCommands>({
    name: "ask",
    commands: { ask: command() },
    init: () => ({
      handleCommand: { ask: () => answersLater },
      *fold() {},
      encodeHandoffItem: () => null,
      handleHandoffData() {},
      isEmpty: () => true,
      delete() {},
    }),
  });
  // The vnodes say nothing, but the coordinator answers for them: nothing is wrong but that nothing is done.
  const { violations, counts } = await ask(silent);
  assertEquals(violations.map(({ check }) => check), ["progress"]);
  assertEquals(counts, { ok: 0, failed: 0, unknown: 3 });
});

Deno.test("simulate() does not pass what a check could not decide, and says so", async () => {
  const { violations, undecided } = await simulate({
    seed: 1,
    faults: [],
    operations: 3,
    check: () => [{ check: UNDECIDED, message: "Whether it is so" }],
  });
  assertEquals(violations.map(({ check }) => check), [UNDECIDED]);
  assertEquals(undecided, ["Whether it is so"]);
});

Deno.test("simulate() fails a workload that throws, and says where", async () => {
  const { violations } = await simulate({
    seed: 1,
    faults: [],
    operations: 1,
    acknowledgedMin: 0,
    workload: () => Promise.reject(new Error("the workload's own")),
  });
  assertEquals(violations.map(({ check }) => check), ["workload"]);
  assertStringIncludes(`${violations[0]?.message}`, "the workload's own");
});
