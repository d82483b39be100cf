/**
 * Coordinators in the main thread, in a worker and in a subprocess: the same
 * cases for all, and what becomes of requests when they are killed or hang.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { connect } from "../../src/node/connect.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { HOST_RESTARTS_MAX } from "../../src/node/coordinator_sup.ts";
import { OP_FSM_HOST } from "../../src/node/op_fsm_sup.ts";
import type { Child } from "../../supervisors/child.ts";
import type { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import type { ProgramChild } from "../../supervisors/program.ts";
import { Supervisor } from "../../supervisors/supervisor.ts";
import { renderTree } from "../../supervisors/tree_view.ts";
import {
  assertFail,
  coordinatorHostOf,
  PLACED_COOKIE,
  PlacedCluster,
  PLACEMENTS,
  PROMPT_MS,
} from "../harness/placed_cluster.ts";
import muteModule, { heardSoFar, untilHeard } from "../fixtures/mute_vnode.ts";

/** Far later than any of these tests may take: what ends before it was not waited for. */
const LONG_MS = 60_000;

/** Five of these are more than may wait for a node: `LINK_BACKLOG_BYTES_MAX`. */
const LARGE_BYTES = 6 * 1024 * 1024;

/** A request that no vnode will answer; resolves to its error once that has come. */
function unanswered(
  node: Pick<WhorlNode, "module">,
  timeoutMs = LONG_MS,
): Promise<WhorlError> {
  return assertRejects(
    () =>
      node.module(muteModule).request("b", "k", "hear", undefined, {
        timeoutMs,
      }),
    WhorlError,
  );
}

/** Starts `count` of these, and resolves when their vnodes have heard them. */
async function underWay(
  nodes: readonly Pick<WhorlNode, "module">[],
  count: number,
): Promise<Promise<WhorlError>[]> {
  const before = heardSoFar();
  const requests = nodes.flatMap((node) =>
    Array.from({ length: count }, () => unanswered(node))
  );
  await untilHeard(before + 3 * requests.length);
  return requests;
}

async function assertServes(node: WhorlNode, value: string): Promise<void> {
  const { context } = await node.kv.get("b", "served");
  await node.kv.put("b", "served", value, context === null ? {} : { context });
  assertEquals((await node.kv.get("b", "served")).value, value);
}

const hostOf = (node: WhorlNode): Child =>
  coordinatorHostOf(node, ["op_fsm_sup", OP_FSM_HOST]);

function restartsOf(node: WhorlNode): number {
  const supervisor = node.root.child("op_fsm_sup");
  const [of, id] = supervisor instanceof Supervisor
    ? [supervisor, OP_FSM_HOST]
    : [node.root, "op_fsm_sup"];
  return of.whichChildren().find((child) => child.id === id)?.restarts ?? 0;
}

for (const placement of PLACEMENTS) {
  Deno.test(`coordinators placed as ${placement} serve, and report what went wrong`, async (t) => {
    await using cluster = await PlacedCluster.start(placement);
    const { first, nodes } = cluster;

    await t.step("every node puts, gets and deletes", async () => {
      for (const [i, node] of nodes.entries()) {
        const put = await node.kv.put("b", `key ${i}`, { from: i });
        assertEquals(put.replicas.length, 3);
        for (const reader of nodes) {
          const got = await reader.kv.get("b", `key ${i}`, { r: "all" });
          assertEquals(got.value, { from: i });
        }
        const { context } = put;
        await node.kv.delete("b", `key ${i}`, { context, w: "all" });
        assertEquals((await first.kv.get("b", `key ${i}`)).values, []);
      }
    });

    await t.step("a write goes to a node with the key", async () => {
      const one = { n: 1, w: 1, r: 1 };
      for (let i = 0; i < 16; i++) await first.kv.put("one", `${i}`, i, one);
      for (let i = 0; i < 16; i++) {
        assertEquals((await nodes[1]?.kv.get("one", `${i}`, one))?.value, i);
      }
      const { forwarded } = first.parts.requests!.counts;
      assert(forwarded > 0 && forwarded < 16, `${forwarded}`);
    });

    await t.step("a remote client gets the same answers", async () => {
      await using client = await connect({
        nodes: [first.address],
        cookie: PLACED_COOKIE,
        environment: cluster.environment("elsewhere"),
      });
      await client.kv.put("b", "far", "away");
      assertEquals((await client.kv.get("b", "far")).value, "away");
      const { replies } = await client.module(muteModule)
        .request("b", "k", "echo", "hello", { r: 3 });
      assertEquals(replies, ["hello", "hello", "hello"]);
    });

    await t.step(
      "a quorum that fails says what each replica answered",
      async () => {
        const client = first.module(muteModule);
        const error = await assertRejects(
          () => client.request("b", "k", "refuse", undefined, { w: 3 }),
          WhorlError,
        );
        assertEquals(error.code, "quorum_unavailable");
        assertEquals(error.details.option, "w");
        assertEquals(error.details.needed, 3);
        const answers = error.details.answers as Record<string, unknown>[];
        assertEquals(
          answers.map(({ node }) => node).sort(),
          nodes.map(({ name }) => name),
        );
        assertEquals(client.failures("refuse", error)[0], "unwilling");
        const failed = answers.filter(({ state }) => state === "failed");
        assert(failed.length > 0);
        for (const { code, message } of failed) {
          assertEquals([code, message], ["unwilling", "It does not want to"]);
        }
      },
    );

    await t.step("an invalid quorum is refused", async () => {
      const error = await assertRejects(
        () => first.kv.get("b", "k", { n: 8, r: 8, nodeConfirms: 4 }),
        WhorlError,
      );
      assertEquals(error.code, "insufficient_vnodes");
      assertEquals(error.details.option, "nodeConfirms");
    });

    await t.step(
      "a request waits for a silent vnode until the deadline",
      async () => {
        const startedAt = performance.now();
        const error = await unanswered(first, 200);
        const tookMs = performance.now() - startedAt;
        assertEquals(error.code, "timeout");
        assert(tookMs >= 199 && tookMs < PROMPT_MS, `took ${tookMs} ms`);
        const answers = error.details.answers as Record<string, unknown>[];
        assertEquals(
          answers.map(({ state }) => state),
          Array(3).fill("missing"),
        );
      },
    );

    await t.step("the tree shows where they are", async () => {
      const requests = await underWay([first], 2);
      const tree = renderTree(first.tree());
      assertEquals(tree.includes("op_fsm_sup  (simple_one_for_one)"), true);
      assertEquals(
        tree.includes(`${OP_FSM_HOST}  (${placement}`),
        placement !== "task",
      );
      if (placement !== "task") assert(tree.includes("… 2 more"), tree);
      hostOf(first).kill();
      await assertFail(requests, "coordinator_lost");
    });
  });

  Deno.test(`coordinators placed as ${placement} that are killed are answered for and replaced`, async () => {
    await using cluster = await PlacedCluster.start(placement);
    const { first, nodes } = cluster;
    await using client = await connect({
      nodes: [first.address],
      cookie: PLACED_COOKIE,
      environment: cluster.environment("elsewhere"),
    });
    for (let round = 1; round <= 3; round++) {
      const requests = await underWay([first, client], 5);
      const [, second] = nodes as [WhorlNode, WhorlNode];
      const untouched = await underWay([second], 1);
      const killed = hostOf(first);
      killed.kill();
      await assertFail(requests, "coordinator_lost");
      assertEquals(first.parts.requests?.size, 0);
      await assertServes(first, `round ${round}`);
      assert(hostOf(first) !== killed);
      assertEquals(restartsOf(first), round);
      // Their coordinator is elsewhere.
      hostOf(second).kill();
      await assertFail(untouched, "coordinator_lost");
    }
  });

  Deno.test(`coordinators placed as ${placement} refuse one request more than their bound`, async () => {
    await using cluster = await PlacedCluster.start(placement, {
      requestsMax: 8,
    }, 1);
    const { first } = cluster;
    const taken = await underWay([first], 8);
    await assertFail([unanswered(first)], "overload");
    assertEquals(first.parts.requests?.counts, {
      started: 8,
      refused: 1,
      forwarded: 0,
      repairs: 0,
    });
    hostOf(first).kill();
    await assertFail(taken, "coordinator_lost");
    await assertServes(first, "again");
  });

  Deno.test(`coordinators placed as ${placement} write through others when the link to the coordinating node is full`, async () => {
    await using cluster = await PlacedCluster.start(placement);
    const { first, nodes } = cluster;
    const two = { n: 2, w: 1 };
    // Keys of which the same node has the first replica, and this one has none.
    const keysOf = new Map<string, string[]>();
    let keys: string[] = [];
    for (let i = 0; keys.length < 6; i++) {
      const { replicas } = await first.kv.put("b", `${i}`, i, two);
      if (replicas.some(({ node }) => node === first.name)) continue;
      const node = replicas[0]?.node ?? "";
      keys = [...keysOf.get(node) ?? [], `${i}`];
      keysOf.set(node, keys);
    }
    const full = nodes.findIndex(({ name }) => keysOf.get(name) === keys);
    const [small, ...large] = keys as [string, ...string[]];
    const goOn = cluster.stall(0, full);
    // Each is on its way to that node when the next one comes.
    const stalled = Promise.allSettled(
      large.map((key) =>
        first.kv.put("b", key, new Uint8Array(LARGE_BYTES), {
          ...two,
          timeoutMs: LONG_MS,
        })
      ),
    );
    const { replicas } = await first.kv.put("b", small, "written", two);
    assertEquals(
      replicas.map(({ node, state }) => [node, state === "done"]),
      [[nodes[full]?.name, false], [nodes[3 - full]?.name, true]],
    );
    goOn();
    await stalled;
    const got = await first.kv.get("b", small, { n: 2, r: 2 });
    assert(got.values.includes("written"));
  });

  Deno.test(`coordinators placed as ${placement} answer all requests in progress when their node stops`, async () => {
    const cluster = await PlacedCluster.start(placement, {}, 1);
    const requests = await underWay([cluster.first], 5);
    await cluster[Symbol.asyncDispose]();
    await assertFail(requests, "closed");
  });
}

Deno.test("a coordinator that is killed alone answers its caller, and the others continue", async () => {
  await using cluster = await PlacedCluster.start("task");
  const { first } = cluster;
  const [killed] = await underWay([first], 1) as [Promise<WhorlError>];
  const supervisor = hostOf(first) as DynamicSupervisor<[]>;
  const [coordinator] = supervisor.whichChildren();
  const others = await underWay([first], 2);
  coordinator?.kill();
  await assertFail([killed], "coordinator_lost");
  assertEquals(supervisor.size, 2);
  assertEquals(hostOf(first), supervisor);
  await assertServes(first, "all the same");
  supervisor.kill();
  await assertFail(others, "coordinator_lost");
});

Deno.test("a worker of coordinators that is ended from outside has its requests answered and is replaced", async () => {
  await using cluster = await PlacedCluster.start("worker", {}, 1);
  const requests = await underWay([cluster.first], 3);
  const host = hostOf(cluster.first);
  const { promise: ended, resolve } = Promise.withResolvers<unknown>();
  host.onExit(resolve);
  host.stop({ type: "crash", error: { name: "Error", message: "asked to" } });
  await assertFail(requests, "closed");
  // What reaches it between its last answer and its end shares its fate.
  await ended;
  await assertServes(cluster.first, "again");
  assertEquals(restartsOf(cluster.first), 1);
});

Deno.test("requests of a killed subprocess of coordinators are answered, and it is replaced", async () => {
  await using cluster = await PlacedCluster.start("subprocess");
  const requests = await underWay([cluster.first], 3);
  const { pid } = hostOf(cluster.first) as ProgramChild;
  Deno.kill(pid as number, "SIGKILL");
  await assertFail(requests, "coordinator_lost");
  await assertServes(cluster.first, "again");
  assert((hostOf(cluster.first) as ProgramChild).pid !== pid);
});

Deno.test("a hanging subprocess of coordinators is detected, its requests are answered, and it is replaced", async () => {
  await using cluster = await PlacedCluster.start("subprocess");
  const requests = await underWay([cluster.first], 3);
  const { pid } = hostOf(cluster.first) as ProgramChild;
  Deno.kill(pid as number, "SIGSTOP");
  // Comes while it hangs: nobody can know yet, so it shares the fate of the others.
  const late = unanswered(cluster.first);
  // Heartbeats bear three seconds of silence.
  await assertFail([...requests, late], "coordinator_lost", 6_000);
  await assertServes(cluster.first, "again");
  assert((hostOf(cluster.first) as ProgramChild).pid !== pid);
});

Deno.test("a deadline is kept even if the subprocess of coordinators hangs", async () => {
  await using cluster = await PlacedCluster.start("subprocess", {}, 1);
  const { pid } = hostOf(cluster.first) as ProgramChild;
  Deno.kill(pid as number, "SIGSTOP");
  await assertFail([unanswered(cluster.first, 300)], "timeout");
  Deno.kill(pid as number, "SIGCONT");
  await assertServes(cluster.first, "again");
  assertEquals(restartsOf(cluster.first), 0);
});

/** Lets this process open no more files, until the returned function is called. */
async function openNoFiles(): Promise<() => Promise<void>> {
  // There beforehand, since nothing can be started meanwhile.
  const shell = new Deno.Command("sh", { stdin: "piped", stdout: "piped" })
    .spawn();
  const lines = shell.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const writer = shell.stdin.getWriter();
  const run = async (command: string): Promise<string> => {
    await writer.write(new TextEncoder().encode(`${command}; echo end\n`));
    // It may come in pieces, and the last one says that it has been done.
    let said = "";
    while (!said.endsWith("end\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error(`The shell has ended: ${said}`);
      said += value;
    }
    return said.slice(0, -"end\n".length).trim();
  };
  const prlimit = `prlimit --pid ${Deno.pid} --nofile`;
  const before = await run(`${prlimit} --noheadings --output SOFT`);
  await run(`${prlimit}=3:`);
  return async () => {
    await run(`${prlimit}=${before}:`);
    await writer.close();
    await lines.cancel();
    await shell.status;
  };
}

Deno.test({
  name:
    "a node whose host of coordinators cannot be started waits longer and longer, and refuses callers at once",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using cluster = await PlacedCluster.start("subprocess", {}, 1);
    const { first } = cluster;
    const { promise: delayed, resolve } = Promise.withResolvers<void>();
    let delays = 0;
    const { parts } = first;
    const told = parts.onReport;
    parts.onReport = (report) => {
      told(report);
      if (report.type === "restart_delayed" && ++delays === 4) resolve();
    };
    const supervisor = first.root.child("op_fsm_sup");
    // From now on: it may be there again before this test knows that it can.
    const { promise: restarted, resolve: found } = Promise.withResolvers<
      void
    >();
    first.subscribe((event) => {
      if (event.type === "part_restarted" && event.part === OP_FSM_HOST) {
        found();
      }
    });
    const openAgain = await openNoFiles();
    try {
      hostOf(first).kill();
      await delayed;
      await assertFail([unanswered(first)], "closed");
    } finally {
      await openAgain();
    }
    await restarted;
    await assertServes(first, "again");
    assertEquals(first.root.child("op_fsm_sup"), supervisor);
  },
});

Deno.test("a node survives coordinators that crash too often", async () => {
  await using cluster = await PlacedCluster.start("worker", {}, 1);
  const { first } = cluster;
  const supervisor = first.root.child("op_fsm_sup");
  const { promise: restarted, resolve } = Promise.withResolvers<void>();
  first.subscribe((event) => {
    if (event.type === "part_restarted" && event.part === "op_fsm_sup") {
      resolve();
    }
  });
  for (let kills = 0; kills <= HOST_RESTARTS_MAX; kills++) {
    const [request] = await underWay([first], 1) as [Promise<WhorlError>];
    hostOf(first).kill();
    await assertFail([request], "coordinator_lost");
    if (kills === HOST_RESTARTS_MAX) await restarted;
    await assertServes(first, `after ${kills}`);
  }
  assert(first.root.child("op_fsm_sup") !== supervisor);
});
