/**
 * Coverage queries whose coordinators are in the main thread, in a worker and in
 * a subprocess: the same cases for all, and what becomes of queries when their
 * coordinators are killed or hang, and when their callers leave.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { connect } from "../../src/node/connect.ts";
import { COVERAGE_FSM_HOST } from "../../src/node/coverage_fsm_sup.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import type {
  CoverageOptions,
  CoverageQuery,
} from "../../src/request/coverage_client.ts";
import type { CoverageReport } from "../../src/request/coverage_report.ts";
import { COVERAGE_WINDOW_BYTES } from "../../src/vnode/coverage_streams.ts";
import type { Child } from "../../supervisors/child.ts";
import type { ProgramChild } from "../../supervisors/program.ts";
import { renderTree } from "../../supervisors/tree_view.ts";
import muteModule, { coverageSeen, untilSeen } from "../fixtures/mute_vnode.ts";
import {
  assertFail,
  coordinatorHostOf,
  PLACED_COOKIE,
  PlacedCluster,
  PLACEMENTS,
  PROMPT_MS,
} from "../harness/placed_cluster.ts";

const RING_SIZE = 16;
/** Vnodes that a query with N = 3 asks in a ring of 16. */
const ASKED = 6;

type Asker = Pick<WhorlNode, "module">;

function silence(
  asker: Asker,
  options?: CoverageOptions,
): CoverageQuery<unknown> {
  return asker.module(muteModule).coverage("silence", undefined, options);
}

/** Begins `count` queries that nobody answers, and resolves when their vnodes have heard them. */
async function underWay(
  askers: readonly Asker[],
  count: number,
): Promise<Promise<WhorlError>[]> {
  const expected = coverageSeen.begun + ASKED * askers.length * count;
  const queries = askers.flatMap((asker) =>
    Array.from({ length: count }, () => failureOf(silence(asker)))
  );
  await untilSeen(() => coverageSeen.begun >= expected);
  return queries;
}

function failureOf(query: CoverageQuery<unknown>): Promise<WhorlError> {
  return assertRejects(() => Array.fromAsync(query), WhorlError);
}

/** Asserts that a query through `asker` gets every key space once. */
async function assertServes(asker: Asker): Promise<CoverageReport> {
  const query = asker.module(muteModule).coverage("spaces", undefined);
  const chunks = await Array.fromAsync(query);
  const covered = chunks.flatMap(({ value }) =>
    value.keySpaces ??
      [2, 1, 0].map((back) => (value.partition - back + RING_SIZE) % RING_SIZE)
  );
  assertEquals(
    covered.sort((a, b) => a - b),
    Array.from({ length: RING_SIZE }, (_, keySpace) => keySpace),
  );
  assertEquals(query.report?.complete, true);
  return query.report as CoverageReport;
}

const hostOf = (node: WhorlNode): Child =>
  coordinatorHostOf(node, ["coverage_fsm_sup", COVERAGE_FSM_HOST]);

for (const placement of PLACEMENTS) {
  Deno.test(`coverage queries coordinated in a ${placement} are answered, and report what went wrong`, async (t) => {
    await using cluster = await PlacedCluster.start(placement);
    const { first, nodes } = cluster;
    await using client = await connect({
      nodes: [first.address],
      cookie: PLACED_COOKIE,
      environment: cluster.environment("elsewhere"),
    });

    await t.step("through every node, and for a remote client", async () => {
      for (const asker of [...nodes, client]) {
        const { asked, answered, missing } = await assertServes(asker);
        assertEquals(asked.length, ASKED);
        assertEquals([answered.length, missing.length], [RING_SIZE, 0]);
        for (const { node, state } of asked) {
          assert(nodes.some(({ name }) => name === node));
          assertEquals(state, "answered");
        }
      }
    });

    await t.step("all keys of a bucket are listed", async () => {
      const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`).sort();
      for (const key of keys) await first.kv.put("b", key, 1, { w: "all" });
      for (const { kv } of [...nodes, client]) {
        assertEquals((await Array.fromAsync(kv.keys("b"))).sort(), keys);
      }
    });

    await t.step("other vnodes answer for those that fail", async () => {
      const broken = [0, 3, 6, 9, 12, 15];
      const query = client.module(muteModule).coverage("broken", broken, {
        n: 4,
      });
      const partitions = (await Array.fromAsync(query)).map(({ value }) =>
        value
      );
      assertEquals(query.report?.complete, true);
      assertEquals(partitions.filter((p) => broken.includes(p)), []);
      const failed = (query.report?.asked ?? []).filter(({ state }) =>
        state === "failed"
      );
      assert(failed.length > 0);
      // One that is asked for two shares falls with both.
      for (const { error } of failed) {
        const { code } = error!;
        assert(code === "vnode_error" || code === "vnode_crashed", code);
      }
    });

    await t.step("key spaces that nobody can report are named", async () => {
      const all = [...Array(RING_SIZE).keys()];
      const broken = (mode: "all" | "allup") =>
        first.module(muteModule).coverage("broken", all, { mode });
      const error = await failureOf(broken("all"));
      assertEquals(error.code, "insufficient_vnodes");
      const partial = broken("allup");
      assertEquals(await Array.fromAsync(partial), []);
      assertEquals(partial.report?.complete, false);
      assertEquals(partial.report?.missing, all);
    });

    await t.step(
      "a request waits for a silent vnode until the deadline",
      async () => {
        const startedAt = performance.now();
        const query = silence(first, { timeoutMs: 200 });
        const error = await failureOf(query);
        const tookMs = performance.now() - startedAt;
        assertEquals(error.code, "timeout");
        assert(tookMs >= 199 && tookMs < PROMPT_MS, `took ${tookMs} ms`);
        assertEquals(query.report?.answered, []);
        assertEquals(query.report?.asked[0]?.state, "open");
      },
    );

    await t.step(
      "a request gives up on a vnode that has been silent for too long",
      async () => {
        const query = silence(client, { idleMs: 50 });
        const error = await failureOf(query);
        assertEquals(error.code, "insufficient_vnodes");
        const failed = query.report?.asked.filter(({ state }) =>
          state === "failed"
        );
        assertEquals(failed?.[0]?.error?.code, "timeout");
      },
    );

    await t.step("vnodes send no more than their windows allow", async () => {
      const before = coverageSeen.yielded;
      const chunkBytes = COVERAGE_WINDOW_BYTES / 4;
      const query = client.module(muteModule).coverage("endless", chunkBytes);
      let taken = 0;
      for await (const { value } of query) {
        assertEquals(value.length, chunkBytes);
        if (++taken === 200) break;
      }
      // A batch on the way and one being made for each vnode, and two pages.
      const ahead = coverageSeen.yielded - before - taken;
      assert(ahead <= ASKED * 10 + 2 * 24, `${ahead} chunks ahead`);
    });

    await t.step(
      "a caller that stops iterating stops every vnode",
      async () => {
        for (const asker of [first, client]) {
          const left = coverageSeen.stopped + ASKED;
          for await (
            const _ of asker.module(muteModule).coverage("endless", 1_000)
          ) break;
          await untilSeen(() => coverageSeen.stopped >= left);
          const begun = coverageSeen.begun + ASKED;
          const abort = new AbortController();
          const aborted = failureOf(silence(asker, { signal: abort.signal }));
          await untilSeen(() => coverageSeen.begun >= begun);
          const stopped = coverageSeen.stopped + ASKED;
          abort.abort();
          assertEquals((await aborted).code, "cancelled");
          await untilSeen(() => coverageSeen.stopped >= stopped);
        }
      },
    );

    await t.step("invalid queries are refused", async () => {
      const strange = {
        ...muteModule,
        coverage: { ...muteModule.coverage, unknown: muteModule.commands.hear },
      };
      const errors = [
        failureOf(first.module(strange).coverage("unknown", undefined)),
        failureOf(silence(first, { n: 0 })),
        failureOf(silence(first, { primaryVnodeCoverage: 4 })),
        failureOf(silence(first, { timeoutMs: 0.5 })),
      ];
      assertEquals(
        (await Promise.all(errors)).map(({ code }) => code),
        [
          "unknown_command",
          "invalid_argument",
          "invalid_argument",
          "invalid_argument",
        ],
      );
    });

    await t.step("the tree shows where they are", async () => {
      const queries = await underWay([first], 2);
      const tree = renderTree(first.tree());
      assert(tree.includes("coverage_fsm_sup  (simple_one_for_one)"), tree);
      assertEquals(
        tree.includes(`${COVERAGE_FSM_HOST}  (${placement}`),
        placement !== "task",
      );
      hostOf(first).kill();
      await assertFail(queries, "coordinator_lost");
    });
  });

  Deno.test(`coverage queries coordinated in a ${placement} that is killed are answered for, and it is replaced`, async () => {
    await using cluster = await PlacedCluster.start(placement);
    const { first, nodes } = cluster;
    await using client = await connect({
      nodes: [first.address],
      cookie: PLACED_COOKIE,
      environment: cluster.environment("elsewhere"),
    });
    for (let round = 1; round <= 3; round++) {
      const queries = await underWay([first, client], 3);
      const killed = hostOf(first);
      killed.kill();
      await assertFail(queries, "coordinator_lost");
      assertEquals(first.parts.coverage?.size, 0);
      await assertServes(first);
      await assertServes(client);
      assert(hostOf(first) !== killed);
    }
    // Puts and gets have coordinators of their own.
    await first.kv.put("b", "k", 1);
    assertEquals((await nodes[1]!.kv.get("b", "k")).value, 1);
  });

  Deno.test(`coverage queries coordinated in a ${placement} are refused beyond their bound`, async () => {
    await using cluster = await PlacedCluster.start(placement, {
      coverageQueriesMax: 4,
    }, 1);
    const { first } = cluster;
    const taken = await underWay([first], 4);
    await assertFail([failureOf(silence(first))], "overload");
    const { started, refused } = first.parts.coverage!.counts;
    assertEquals({ started, refused }, { started: 4, refused: 1 });
    hostOf(first).kill();
    await assertFail(taken, "coordinator_lost");
    await assertServes(first);
  });

  Deno.test(`coverage queries coordinated in a ${placement} are answered when their node stops`, async () => {
    const cluster = await PlacedCluster.start(placement, {}, 1);
    const queries = await underWay([cluster.first], 3);
    await cluster[Symbol.asyncDispose]();
    for (const { code } of await Promise.all(queries)) {
      // Elsewhere a question for the next page may come when they have ended.
      const codes = placement === "task"
        ? ["closed"]
        : ["closed", "coordinator_lost"];
      assert(codes.includes(code), code);
    }
  });
}

Deno.test("queries of a killed subprocess are answered, and it is replaced", async () => {
  await using cluster = await PlacedCluster.start("subprocess");
  const queries = await underWay([cluster.first], 3);
  const { pid } = hostOf(cluster.first) as ProgramChild;
  Deno.kill(pid as number, "SIGKILL");
  await assertFail(queries, "coordinator_lost");
  await assertServes(cluster.first);
  assert((hostOf(cluster.first) as ProgramChild).pid !== pid);
});

Deno.test("a hanging subprocess of coverage queries is detected, its queries are answered, and it is replaced", async () => {
  await using cluster = await PlacedCluster.start("subprocess");
  const queries = await underWay([cluster.first], 3);
  const { pid } = hostOf(cluster.first) as ProgramChild;
  Deno.kill(pid as number, "SIGSTOP");
  // Heartbeats bear three seconds of silence.
  await assertFail(queries, "coordinator_lost", 6_000);
  await assertServes(cluster.first);
  assert((hostOf(cluster.first) as ProgramChild).pid !== pid);
});

Deno.test("a single killed coordinator of a coverage query notifies its caller and every vnode", async () => {
  await using cluster = await PlacedCluster.start("task");
  const { first } = cluster;
  const stoppedBefore = coverageSeen.stopped;
  const [query] = await underWay([first], 1) as [Promise<WhorlError>];
  const [coordinator] = (hostOf(first) as unknown as {
    whichChildren(): Iterable<Child>;
  }).whichChildren();
  coordinator?.kill();
  await assertFail([query], "coordinator_lost");
  await untilSeen(() => coverageSeen.stopped >= stoppedBefore + ASKED);
  await assertServes(first);
});

for (const placement of PLACEMENTS) {
  Deno.test(`coverage queries coordinated in a ${placement} end at every vnode as soon as their client is gone`, async () => {
    await using cluster = await PlacedCluster.start(placement);
    const { first } = cluster;
    await using other = await connect({
      nodes: [first.address],
      cookie: PLACED_COOKIE,
      environment: cluster.environment("elsewhere"),
    });
    const client = await connect({
      nodes: [first.address],
      cookie: PLACED_COOKIE,
      environment: cluster.environment("elsewhere"),
    });
    const stays = await underWay([other], 1);
    const queries = await underWay([client], 2);
    // One that waits for its caller, not for vnodes.
    const begunBefore = coverageSeen.begun;
    const idle = client.module(muteModule).coverage("endless", 100_000)
      [Symbol.asyncIterator]();
    await idle.next();
    assertEquals(coverageSeen.begun - begunBefore, ASKED);
    const stoppedBefore = coverageSeen.stopped;
    await client.close();
    const startedAt = performance.now();
    await assertFail(queries, "closed");
    await untilSeen(() => coverageSeen.stopped >= stoppedBefore + 3 * ASKED);
    const tookMs = performance.now() - startedAt;
    // Their own time is a minute, and so is a coordinator's patience.
    assert(tookMs < PROMPT_MS, `took ${tookMs} ms`);
    await assertServes(other);
    assertEquals(coverageSeen.stopped, stoppedBefore + 3 * ASKED);
    hostOf(first).kill();
    await assertFail(stays, "coordinator_lost");
  });
}

Deno.test("a node stops its share of coverage queries as soon as the link to their coordinator is lost", async () => {
  await using cluster = await PlacedCluster.start("task", {}, 2);
  const [first, second] = cluster.nodes as [WhorlNode, WhorlNode];
  const begunBefore = coverageSeen.begun;
  const stoppedBefore = coverageSeen.stopped;
  const startedAt = performance.now();
  // More than the other node may take.
  const query = silence(first, { timeoutMs: PROMPT_MS + 500 });
  const failed = failureOf(query);
  await untilSeen(() => coverageSeen.begun >= begunBefore + ASKED);
  // Nobody can tell the other node anything more.
  second.parts.links?.link(first.name)?.close("cut by the test");
  await untilSeen(() => coverageSeen.stopped > stoppedBefore);
  assert(performance.now() - startedAt < PROMPT_MS);
  const stopped = coverageSeen.stopped - stoppedBefore;
  assertEquals((await failed).code, "timeout");
  const lost = query.report?.asked.filter(({ node, state }) =>
    node === second.name && state === "failed"
  );
  assertEquals(stopped, lost?.length);
});
