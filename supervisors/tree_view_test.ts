import { assertEquals } from "@std/assert";
import { treeOf } from "./child.ts";
import { DynamicSupervisor } from "./dynamic_supervisor.ts";
import { ManualRuntime } from "./manual_runtime.ts";
import { type Process, spawn } from "./process.ts";
import { startSupervisor } from "./supervisor.ts";
import { renderTree } from "./tree_view.ts";

Deno.test("renderTree() shows what else is to be known of a process", () => {
  assertEquals(
    renderTree({
      id: "kv-0",
      kind: "worker",
      status: "running",
      restarts: 1,
      remark: "its store is full",
      children: [],
    }),
    "kv-0  (worker, 1 restart, its store is full)",
  );
});

Deno.test("renderTree() draws a tree with its restarts and what does not run", async () => {
  const runtime = new ManualRuntime();
  const idle = (): Process => spawn(() => {}, { runtime });
  const requests = new DynamicSupervisor({
    name: "op_fsm_sup",
    runtime,
    start: (name: string) => spawn(() => {}, { runtime, name }),
  });
  for (let i = 0; i < 22; i++) requests.startChild(`op ${i}`);
  const root = await startSupervisor({
    name: "node",
    strategy: "rest_for_one",
    intensity: 5,
    runtime,
    children: [
      {
        id: "cluster_sup",
        type: "supervisor",
        start: () =>
          startSupervisor({
            name: "cluster",
            runtime,
            children: [
              { id: "ring_holder", start: idle },
              { id: "gossip", restart: "transient", start: idle },
            ],
          }),
      },
      { id: "op_fsm_sup", type: "supervisor", start: () => requests },
      { id: "admin", start: idle },
    ],
  });
  root.child("admin")!.kill();
  await runtime.settle();
  const cluster = root.child("cluster_sup") as Awaited<
    ReturnType<typeof startSupervisor>
  >;
  (cluster.child("gossip") as Process).exit("normal");
  await runtime.settle();
  const tree = treeOf(root);
  // Plain data: it can be sent and printed as JSON.
  assertEquals(JSON.parse(JSON.stringify(tree)), tree);
  const lines = renderTree(tree).split("\n");
  assertEquals(
    [...lines.slice(0, 6), ...lines.slice(-4)],
    [
      "node  (rest_for_one)",
      "├─ cluster_sup  (one_for_one)",
      "│  ├─ ring_holder  (task)",
      "│  └─ gossip  (task, stopped, last exit: normal)",
      "├─ op_fsm_sup  (simple_one_for_one)",
      "│  ├─ op 0  (task)",
      "│  ├─ op 18  (task)",
      "│  ├─ op 19  (task)",
      "│  └─ … 2 more",
      "└─ admin  (task, 1 restart, last exit: killed)",
    ],
  );
  await root.shutdown();
});
