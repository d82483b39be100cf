/**
 * Whoever leads the members of `ra_kv` is cut off from the others, and not from
 * its clients. It takes itself for the leader for a while, in which another one
 * may lead already; or certainly does, when it has stood still until then.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../../src/base/errors.ts";
import { anyPlan, type Fault, nodeClaim } from "../fault.ts";
import type { NemesisCluster } from "../nemesis_cluster.ts";
import type { NemesisNode } from "../nemesis_node.ts";
import { pause } from "../pause.ts";
import { shortName } from "../short_name.ts";
import { GROUP } from "./ra_kv_load.ts";

/** Time to find out who leads, in milliseconds. */
const FIND_MS_MAX = 1_000;
/** Time the others get to have another leader, in milliseconds. */
const REPLACED_MS_MAX = 6_000;
/** Pause before who leads is asked again, in milliseconds. */
const ASK_AGAIN_MS = 50;

const leaderAlone: Fault<null> = {
  name: "leader_alone",
  says: "whoever leads is cut off from the others, and not from its clients",
  draw() {
    return {
      plan: null,
      claims: ["partition"],
      words: "whoever leads is alone",
    };
  },
  async strike(cluster) {
    const leader = await leaderAmong(cluster, cluster.nodes);
    if (leader === undefined) return undefined;
    cluster.tell(`${shortName(leader.name)} leads and is alone`);
    return leaveAlone(cluster, leader);
  },
};

/**
 * Its connections stay, and it has just been answered when it stands still: so
 * it goes on as the leader, and finds out by its next look for a majority, more
 * than a second later. Clients that wait for it are answered first of all.
 */
const leaderAsleep: Fault<null> = {
  name: "leader_asleep",
  says:
    "whoever leads is alone and stands still until the others have another leader, and goes on alone",
  draw(_chance, nodes) {
    return {
      plan: null,
      // Whom it will be is not known yet, and the others have to elect.
      claims: ["partition", ...nodes.map(nodeClaim)],
      words: "whoever leads is alone, and sleeps until another one leads",
    };
  },
  async strike(cluster, _plan, signal) {
    const leader = await leaderAmong(cluster, cluster.nodes);
    if (leader === undefined) return undefined;
    const reach = leaveAlone(cluster, leader);
    leader.pause();
    try {
      const heir = await nextLeader(cluster, leader, signal);
      cluster.tell(
        `${shortName(leader.name)} led and goes on, and ${
          heir === undefined ? "nobody leads" : `${shortName(heir.name)} leads`
        }`,
      );
      if (heir !== undefined) return reach;
      reach();
      return undefined;
    } catch (error) {
      reach();
      throw error;
    } finally {
      leader.resume();
    }
  },
};

/** Cuts a node off from all others, until the returned function is called. */
function leaveAlone(
  { network }: NemesisCluster,
  { name }: NemesisNode,
): () => void {
  const weather = network.impose((from, to) =>
    from === name || to === name ? { blocked: true } : undefined
  );
  return () => weather[Symbol.dispose]();
}

/** Who leads the others once they have another leader. */
async function nextLeader(
  cluster: NemesisCluster,
  former: NemesisNode,
  signal: AbortSignal,
): Promise<NemesisNode | undefined> {
  const others = cluster.nodes.filter((node) => node !== former);
  const untilMs = performance.now() + REPLACED_MS_MAX;
  while (performance.now() < untilMs) {
    const leader = await leaderAmong(cluster, others);
    if (leader !== undefined && leader !== former) return leader;
    await pause(ASK_AGAIN_MS, signal);
  }
  return undefined;
}

/** Who leads, as the first of `nodes` says that knows it. */
async function leaderAmong(
  cluster: NemesisCluster,
  nodes: readonly NemesisNode[],
): Promise<NemesisNode | undefined> {
  for (const asked of nodes.filter(({ running }) => running)) {
    try {
      const { raKv } = await asked.client();
      const { leader } = await raKv.members(GROUP, { timeoutMs: FIND_MS_MAX });
      return cluster.node(leader);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      cluster.tell(
        `${shortName(asked.name)} knows no leader: ${reasonOf(error)}`,
      );
    }
  }
  return undefined;
}

/** See the module comment. */
export const LEADER_FAULTS: readonly Fault[] = [
  anyPlan(leaderAlone),
  anyPlan(leaderAsleep),
];
