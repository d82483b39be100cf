/**
 * Whoever leads the members of `ra_kv` is cut off from the others, and not from
 * its clients. It takes itself for the leader for a while, in which another one
 * may lead already.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../../src/base/errors.ts";
import { anyPlan, type Fault } from "../fault.ts";
import type { NemesisCluster } from "../nemesis_cluster.ts";
import type { NemesisNode } from "../nemesis_node.ts";
import { shortName } from "../short_name.ts";
import { GROUP } from "./ra_kv_load.ts";

/** Time to find out who leads, in milliseconds. */
const FIND_MS_MAX = 1_000;

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
    const leader = await leaderOf(cluster);
    if (leader === undefined) return () => {};
    cluster.tell(`${shortName(leader.name)} leads and is alone`);
    const weather = cluster.network.impose((from, to) =>
      from === leader.name || to === leader.name ? { blocked: true } : undefined
    );
    return () => weather[Symbol.dispose]();
  },
};

async function leaderOf(
  cluster: NemesisCluster,
): Promise<NemesisNode | undefined> {
  for (const asked of cluster.nodes.filter(({ running }) => running)) {
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

/** See the module's text. */
export const LEADER_FAULTS: readonly Fault[] = [anyPlan(leaderAlone)];
