/**
 * Disks of a formed cluster: most runs are about what comes after, and joining
 * the nodes each time would cost more than all the rest. The cluster is formed
 * once, by the production protocol and without faults, and each run starts with
 * copies of the resulting disks.
 *
 * @module
 */
import type { NodeOptions } from "../node/node_options.ts";
import type { VnodeModule } from "../vnode/vnode.ts";
import { formCluster, stopCluster } from "./cluster_life.ts";
import { drawSchedule } from "./schedule/draw_schedule.ts";
import type { RealWorldGuard } from "./real_world_guard.ts";
import { SimulatedCluster } from "./simulated_cluster.ts";
import type { DiskImage } from "./disk/simulated_disk.ts";
import { Trace } from "./trace/trace.ts";
import { VirtualTime } from "./virtual_time.ts";

/** Most kinds of cluster whose disks are kept. */
const KEPT_MAX = 16;

/** The disks of clusters formed in this thread. */
const kept = new Map<string, readonly DiskImage[]>();

/** What determines the disks of a formed cluster. */
export interface FormedOptions {
  readonly nodes: number;
  readonly ringSize: number;
  readonly vnode: VnodeModule | undefined;
  readonly node: Partial<NodeOptions> | undefined;
}

/**
 * One disk per node, as forming such a cluster leaves them.
 *
 * @throws {Error} If such a cluster cannot be formed.
 */
export async function formedDisks(
  options: FormedOptions,
  guard: RealWorldGuard,
): Promise<readonly DiskImage[]> {
  const { nodes, ringSize, vnode, node } = options;
  const kind = JSON.stringify([nodes, ringSize, vnode?.name, node]);
  const known = kept.get(kind);
  if (known !== undefined) return known;
  const schedule = drawSchedule("formed disks", {
    nodes,
    ringSize,
    operations: 0,
    faults: [],
  });
  const time = new VirtualTime(guard);
  const cluster = new SimulatedCluster({
    schedule: {
      ...schedule,
      network: {
        delayMsMin: 0.1,
        delayMsMax: 0.1,
        lossProbability: 0,
        repeatProbability: 0,
        reorderProbability: 0,
      },
    },
    time,
    trace: new Trace(false, () => time.now()),
    vnode,
    node,
  });
  const services = ["kv", ...(vnode === undefined ? [] : [vnode.name])];
  const violations = [
    ...await formCluster(cluster, services),
    ...await stopCluster(cluster),
  ];
  if (violations[0] !== undefined) throw new Error(violations[0].message);
  const disks = cluster.machines.map(({ disk }) => disk.image());
  if (kept.size === KEPT_MAX) kept.clear();
  kept.set(kind, disks);
  return disks;
}
