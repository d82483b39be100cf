/**
 * One node of a measured Raft group. Lines of JSON on standard input say what to
 * do; each is answered with one on standard output. The end of the input ends
 * the node.
 *
 * @module
 */
import { Session } from "node:inspector/promises";
import { startMeasuredNode } from "../measured_node.ts";
import { type CompactionRun, runCompaction } from "./compaction.ts";
import { type RaftLoad, runRaftLoad } from "./load.ts";

type Order =
  | {
    readonly do: "start";
    readonly cluster: string;
    readonly members: readonly string[];
  }
  | { readonly do: "leader"; readonly cluster: string }
  /** Waits until this node's member has applied all that its leader has. */
  | { readonly do: "caught_up"; readonly cluster: string }
  | { readonly do: "load"; readonly load: RaftLoad; readonly profile?: string }
  | {
    readonly do: "compaction";
    readonly run: CompactionRun;
    readonly profile?: string;
  };

const GROUP = "bench";
const { node, options, serve } = await startMeasuredNode();

async function profiled<T>(
  path: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (path === undefined) return await work();
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  const result = await work();
  const { profile } = await session.post("Profiler.stop");
  await Deno.writeTextFile(path, JSON.stringify(profile));
  session.disconnect();
  return result;
}

await serve(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case "start":
      return await node.raKv.startCluster(order.cluster, order.members);
    case "leader":
      return node.parts.raft!.member(order.cluster)!.leader ?? null;
    case "caught_up":
      await node.raKv.get(order.cluster, "k", { from: "local" });
      return node.parts.raft!.member(order.cluster)!.appliedIndex;
    case "load":
      return await profiled(
        order.profile,
        () => runRaftLoad(node.raKv, GROUP, order.load),
      );
    case "compaction":
      return await profiled(
        order.profile,
        () =>
          runCompaction(
            node,
            GROUP,
            `${options.dataDirectory}/raft`,
            order.run,
          ),
      );
    default:
      return order satisfies never;
  }
});
