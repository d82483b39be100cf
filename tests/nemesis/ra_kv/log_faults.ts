/**
 * The write-ahead log of a node's Raft groups: it falls, or its files come back
 * from a crash other than they were.
 *
 * @module
 */
import { seededChance } from "../../../src/base/chance.ts";
import { reasonOf } from "../../../src/base/errors.ts";
import { anyPlan, type Fault, nodeClaim } from "../fault.ts";
import type { NemesisCluster } from "../nemesis_cluster.ts";
import type { NemesisNode } from "../nemesis_node.ts";
import { shortName } from "../short_name.ts";
import { damageLog, LOG_DAMAGES, type LogDamage } from "./log_damage.ts";

/** What falls when the write-ahead log does: all that stands on it is restarted as well. */
export const WAL_PATH: readonly string[] = ["raft_sup", "raft_logs"];

interface KillPlan {
  readonly node: string;
  readonly everyMs: number;
}

const walKill: Fault<KillPlan> = {
  name: "wal_kill",
  says:
    "the write-ahead log of a node is killed again and again, and restarted with all members on it",
  draw(chance, nodes) {
    const node = chance.pick(nodes);
    // The supervisor bears ten restarts in ten seconds.
    const everyMs = 1_000 + chance.below(1_500);
    return {
      plan: { node, everyMs },
      claims: [nodeClaim(node)],
      words: `the WAL of ${shortName(node)} every ${everyMs} ms`,
    };
  },
  strike(cluster, { node: name, everyMs }) {
    const node = cluster.node(name);
    const kill = (): void => void killWal(node).catch(cluster.tell);
    kill();
    const timer = setInterval(kill, everyMs);
    return () => clearInterval(timer);
  },
};

/** Kills the write-ahead log of a node, unless it is just being restarted. */
export async function killWal(node: NemesisNode): Promise<boolean> {
  return await node.control.killPart(WAL_PATH);
}

interface DamagePlan {
  readonly node: string;
  readonly damage: LogDamage;
  /** Chooses files and places in them, which are not known before. */
  readonly seed: number;
}

/** Time that a node is not heard before it is killed, in milliseconds. */
const UNHEARD_MS = 150;

/**
 * On one node at a time: the others have what it has lost, until all are equal
 * again. What it acknowledged in its last ten milliseconds is more than its
 * watermark knows of, so that nobody could tell that it is gone; so it is not
 * heard for a moment before it is killed.
 */
const logDamage: Fault<DamagePlan> = {
  name: "log_damage",
  says:
    "a node is killed and its Raft logs come back with flipped bits, cut, or without some files or all of them",
  oncePerRound: true,
  draw(chance, nodes) {
    const node = chance.pick(nodes);
    const damage = chance.pick(LOG_DAMAGES);
    return {
      plan: { node, damage, seed: chance.below(2 ** 32) },
      claims: [nodeClaim(node)],
      words: `${damage.replaceAll("_", " ")} of ${shortName(node)}`,
    };
  },
  async strike(cluster, { node: name, damage, seed }) {
    const node = cluster.node(name);
    await killUnheard(cluster, node);
    const done = await damageLog(
      `${node.dataDirectory}/raft`,
      damage,
      seededChance(seed),
    );
    cluster.tell(`${shortName(name)}: ${done}`);
    return async () => {
      try {
        await node.start();
      } catch (error) {
        cluster.tell(
          `${shortName(name)} refuses its damaged logs: ${reasonOf(error)}`,
        );
        // Its operator lets it begin with nothing.
        await Deno.remove(`${node.dataDirectory}/raft`, { recursive: true });
        await node.start();
      }
    };
  },
};

/** SIGKILL of a node that has acknowledged nothing for a moment. */
async function killUnheard(
  { network, nodes }: NemesisCluster,
  node: NemesisNode,
): Promise<void> {
  const weather = network.impose((from) =>
    from === node.name ? { blocked: true } : undefined
  );
  try {
    await new Promise((resolve) => setTimeout(resolve, UNHEARD_MS));
    await node.kill();
    // With their connections goes what is still held back.
    for (const other of nodes) {
      if (other !== node) network.cut(node.name, other.name);
    }
  } finally {
    weather[Symbol.dispose]();
  }
}

/** See the module comment. */
export const LOG_FAULTS: readonly Fault[] = [
  anyPlan(walKill),
  anyPlan(logDamage),
];
