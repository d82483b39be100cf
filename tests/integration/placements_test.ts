/**
 * Vnodes in trouble, with their masters as tasks, workers and subprocesses: who
 * asked is answered, what fell is started again, and nothing else is touched.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import type { ProcessPlacement } from "../../src/node/node_options.ts";
import type { ModuleClient } from "../../src/node/module_client.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import counter from "../fixtures/counter_vnode.ts";
import reluctant, {
  RELUCTANT_FILE_VARIABLE,
} from "../fixtures/reluctant_vnode.ts";
import trouble from "../fixtures/trouble_vnode.ts";
import { childAt } from "../harness/node_parts_view.ts";
import { NODE_GAVE_UP } from "../harness/process_wire.ts";
import type { ProcessNode } from "../harness/process_node.ts";
import { type TestCluster, withCluster } from "../harness/test_cluster.ts";

const PLACEMENTS: readonly ProcessPlacement[] = [
  "task",
  "worker",
  "subprocess",
];
/** One vnode answers for all. */
const ONE = { n: 1 } as const;

type Trouble = ModuleClient<typeof trouble.commands>;

/** One node that runs `module`. */
function withNode(
  placement: ProcessPlacement,
  module: string,
  test: (node: WhorlNode, cluster: TestCluster) => Promise<void>,
): Promise<void> {
  return withCluster(
    {
      kind: "in_process",
      nodes: 1,
      placement,
      modules: [new URL(`../fixtures/${module}.ts`, import.meta.url).href],
    },
    async (cluster) => {
      const node = cluster.node(0).inside as WhorlNode;
      assert(await node.settled(20_000));
      await test(node, cluster);
      // Whatever has happened to one module, the others have not noticed.
      await node.kv.put("b", "k", "still here");
      assertEquals((await node.kv.get("b", "k")).value, "still here");
    },
  );
}

/** The failure of a request to one vnode, as that vnode told it. */
async function answerOf(
  request: Promise<unknown>,
): Promise<{ code: string; message: string }> {
  const error = await assertRejects(() => request, WhorlError);
  assertEquals(error.code, "quorum_unavailable", error.message);
  const answers = error.details.answers as { code: string; message: string }[];
  assertEquals(answers.length, 1);
  return answers[0] as { code: string; message: string };
}

/** Keys of different partitions. */
async function twoKeys(client: Trouble): Promise<[string, string]> {
  const partitions = new Map<number, string>();
  for (let i = 0; partitions.size < 2; i++) {
    const { replicas: [replica] } = await client.request(
      "b",
      `k${i}`,
      "state",
      undefined,
      ONE,
    );
    partitions.set(replica?.partition as number, `k${i}`);
  }
  return [...partitions.values()] as [string, string];
}

for (const placement of PLACEMENTS) {
  Deno.test(`${placement}: commands reach the vnodes of a key and come back typed, from inside and from a client`, () =>
    withNode(placement, "counter_vnode", async (node, cluster) => {
      await using client = await cluster.client();
      const inside = node.module(counter);
      const outside = client.module(counter);
      const { replies, replicas } = await inside.request("b", "k", "add", {
        name: "x",
        by: 2,
      }, { w: "all" });
      assertEquals(replies, [2, 2, 2]);
      assertEquals(new Set(replicas.map((r) => r.partition)).size, 3);
      const again = await outside.request("b", "k", "add", {
        name: "x",
        by: 40,
      }, { w: "all" });
      assertEquals(again.replies satisfies readonly (number | undefined)[], [
        42,
        42,
        42,
      ]);
      const read = await inside.request("b", "k", "read", { name: "x" }, {
        r: "all",
      });
      assertEquals(read.replies, [42, 42, 42]);
      const { replies: [where] } = await outside.request(
        "b",
        "k",
        "whereabouts",
        undefined,
        ONE,
      );
      assertEquals(where, {
        node: node.name,
        partition: replicas[0]?.partition as number,
        ringSize: 16,
      });
      const error = await assertRejects(() =>
        outside.request("b", "k", "add", { name: "x", by: NaN })
      );
      const failures: "not_a_number"[] = outside.failures("add", error);
      assertEquals(new Set(failures), new Set(["not_a_number"]));
      // @ts-expect-error -- what is sent is checked by the compiler …
      const wrong = inside.request("b", "k", "add", { name: "x" });
      // … and by the vnode.
      await assertRejects(() => wrong, WhorlError);
      const unknown = await assertRejects(
        // @ts-expect-error -- so is the name of a command.
        () => inside.request("b", "k", "subtract", undefined),
        WhorlError,
      );
      assertEquals(unknown.code, "unknown_command");
    }));

  Deno.test(`${placement}: what a command throws answers its caller and restarts that vnode alone`, () =>
    withNode(placement, "trouble_vnode", async (node) => {
      const client = node.module(trouble);
      const [key, other] = await twoKeys(client);
      let life = 1;
      for (const command of ["throw", "reject", "crash"] as const) {
        await client.request("b", key, "remember", undefined, ONE);
        await client.request("b", other, "remember", undefined, ONE);
        const { code, message } = await answerOf(
          client.request("b", key, command, "I give up", ONE),
        );
        assertEquals(
          code,
          command === "crash" ? "vnode_crashed" : "vnode_error",
        );
        assertStringIncludes(message, "I give up");
        life++;
        const state = await client.request("b", key, "state", undefined, ONE);
        assertEquals(state.replies, [{ life, remembered: 0 }]);
      }
      const state = await client.request("b", other, "state", undefined, ONE);
      assertEquals(state.replies, [{ life: 1, remembered: 3 }]);
    }));

  Deno.test(`${placement}: commands that wait when their vnode falls are answered`, () =>
    withNode(placement, "trouble_vnode", async (node) => {
      const client = node.module(trouble);
      const [key] = await twoKeys(client);
      const silent = client.request("b", key, "silent", undefined, ONE);
      const late = client.request("b", key, "late", 60_000, ONE);
      const thrower = client.request("b", key, "throw", "fall", ONE);
      const codes = await Promise.all(
        [silent, late, thrower].map(async (request) =>
          (await answerOf(request)).code
        ),
      );
      assertEquals(codes, ["vnode_crashed", "vnode_crashed", "vnode_error"]);
    }));

  Deno.test(`${placement}: who gets no answer is told at the deadline, and others are served meanwhile`, () =>
    withNode(placement, "trouble_vnode", async (node) => {
      const client = node.module(trouble);
      const since = performance.now();
      const silent = client.request("b", "k", "silent", undefined, {
        ...ONE,
        timeoutMs: 300,
      });
      // Awaited from now on, as on a slow machine its end may come before the others'.
      const told = assertRejects(() => silent, WhorlError);
      const late = client.request("b", "k", "late", 50, ONE);
      assertEquals(
        (await client.request("b", "k", "remember", undefined, ONE)).replies,
        [1],
      );
      assertEquals((await late).replies, ["late by 50 ms"]);
      const error = await told;
      assertEquals(error.code, "timeout");
      const tookMs = performance.now() - since;
      assert(tookMs >= 290 && tookMs < 2_000, `it took ${tookMs} ms`);
    }));

  Deno.test(`${placement}: declared failures and answers that cannot travel reach the caller, and the vnode lives on`, () =>
    withNode(placement, "trouble_vnode", async (node) => {
      const client = node.module(trouble);
      await client.request("b", "k", "remember", undefined, ONE);
      const sad = await answerOf(client.request("b", "k", "fail", "sad", ONE));
      assertEquals(sad, { ...sad, code: "sad", message: "It is sad" });
      const { code } = await answerOf(
        client.request("b", "k", "unencodable", undefined, ONE),
      );
      assertEquals(code, "vnode_error");
      assertEquals(
        (await client.request("b", "k", "remember", undefined, ONE)).replies,
        [2],
      );
    }));

  Deno.test(`${placement}: a vnode whose init throws is reported and started when it can be`, async () => {
    const path = await Deno.makeTempFile();
    Deno.env.set(RELUCTANT_FILE_VARIABLE, path);
    try {
      await withNode(placement, "reluctant_vnode", async (node, cluster) => {
        const client = node.module(reluctant);
        const { message } = await answerOf(
          client.request("b", "k", "hello", undefined, ONE),
        );
        assertStringIncludes(message, "partition");
        const told = await cluster.node(0).events.until(
          "the failure",
          0,
          ({ type, event }) =>
            type === "vnode" &&
            (event as { type: string }).type === "vnode_failed",
        );
        assertStringIncludes(
          JSON.stringify(told.event.event),
          "would rather not",
        );
        await Deno.remove(path);
        const { replies: [hello] } = await client.request(
          "b",
          "k",
          "hello",
          undefined,
          ONE,
        );
        assertStringIncludes(hello ?? "", "hello from");
      });
    } finally {
      Deno.env.delete(RELUCTANT_FILE_VARIABLE);
    }
  });

  Deno.test(`${placement}: a master that is killed in the middle of requests is there again, and they are answered`, () =>
    withNode(placement, "trouble_vnode", async (node, cluster) => {
      const client = node.module(trouble);
      const { events } = cluster.node(0);
      const waiting = ["a", "b", "c"].map((key) =>
        client.request("b", key, "silent", undefined, ONE)
      );
      // They have arrived once a later one has been answered.
      await client.request("b", "a", "remember", undefined, ONE);
      const mark = events.mark;
      childAt(node, ["vnode_sup", "trouble-0"]).kill();
      for (const request of waiting) {
        assertEquals((await answerOf(request)).code, "vnode_crashed");
      }
      // What comes while it is away waits for the next one.
      const state = await client.request("b", "a", "state", undefined, ONE);
      assertEquals(state.replies[0]?.remembered, 0);
      const stopped = await events.until(
        "its end",
        mark,
        ({ type, master }) =>
          type === "master_stopped" && master === "trouble-0",
      );
      assertEquals(stopped.event.reason, "killed");
    }));
}

for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
  Deno.test(`subprocess: a master under ${signal} is found, replaced, and its requests are answered`, () =>
    withNode("subprocess", "trouble_vnode", async (node) => {
      const client = node.module(trouble);
      const { replies: [pid] } = await client.request(
        "b",
        "k",
        "pid",
        undefined,
        ONE,
      );
      assert(pid !== undefined && pid !== Deno.pid);
      const waiting = client.request("b", "k", "silent", undefined, {
        ...ONE,
        timeoutMs: 20_000,
      });
      await client.request("b", "k", "remember", undefined, ONE);
      const since = performance.now();
      Deno.kill(pid as number, signal);
      assertEquals((await answerOf(waiting)).code, "vnode_crashed");
      const foundMs = performance.now() - since;
      assert(
        foundMs < (signal === "SIGKILL" ? 1_000 : 6_000),
        `found after ${foundMs} ms`,
      );
      const { replies: [next] } = await client.request(
        "b",
        "k",
        "pid",
        undefined,
        ONE,
      );
      assert(next !== undefined && next !== pid);
    }));
}

Deno.test("subprocess: a master whose vnode spins is found by its silence, killed and replaced", () =>
  withNode("subprocess", "trouble_vnode", async (node) => {
    const client = node.module(trouble);
    const { code } = await answerOf(
      client.request("b", "k", "hang", undefined, {
        ...ONE,
        timeoutMs: 20_000,
      }),
    );
    assertEquals(code, "vnode_crashed");
    const { replies } = await client.request("b", "k", "state", undefined, ONE);
    assertEquals(replies, [{ life: 1, remembered: 0 }]);
  }));

Deno.test("worker: a master whose vnode spins makes the node end, so that its process is replaced", () =>
  withCluster({
    kind: "processes",
    nodes: 1,
    placement: "worker",
    modules: [new URL("../fixtures/trouble_vnode.ts", import.meta.url).href],
  }, async (cluster) => {
    const node = cluster.node(0) as ProcessNode;
    await using client = await cluster.client();
    const hang = client.module(trouble).request("b", "k", "hang", undefined, {
      ...ONE,
      timeoutMs: 20_000,
    });
    const outcome = hang.then(() => "answered", ({ code }) => code);
    const zombie = await node.events.until(
      "a zombie",
      0,
      ({ type }) => type === "zombie",
    );
    assertEquals(zombie.event.master, "trouble-0");
    assertEquals((await node.ended()).code, NODE_GAVE_UP);
    const failed = await node.events.until(
      "its failure",
      0,
      ({ type }) => type === "failed",
    );
    assertStringIncludes(String(failed.event.reason), "trouble-0");
    await client.close();
    assert(
      ["quorum_unavailable", "connection_closed"].includes(await outcome),
    );
  }));

for (const placement of PLACEMENTS) {
  for (
    const [module, reason] of [
      ["broken_vnode", "broken on purpose"],
      ["no_vnode", "not a vnode module"],
      ["absent_vnode", "absent_vnode.ts"],
    ] as const
  ) {
    Deno.test(`${placement}: a node does not start with ${module}, and says why`, async () => {
      const error = await assertRejects(
        () => withNode(placement, module, () => Promise.resolve()),
        WhorlError,
      );
      assertEquals(error.code, "vnode_module_failed");
      assertStringIncludes(error.message, reason);
      assertStringIncludes(error.message, module);
    });
  }
}
