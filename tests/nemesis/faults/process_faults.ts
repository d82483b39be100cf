/**
 * Processes that are killed, or stand still.
 *
 * @module
 */
import { anyPlan, drawSome, type Fault, nodeClaim } from "../fault.ts";
import { shortName } from "../short_name.ts";

interface NodesPlan {
  readonly nodes: readonly string[];
}

/** Chance of every node being killed at the same time. */
const ALL_KILLED_CHANCE = 0.3;

const kill: Fault<NodesPlan> = {
  name: "kill",
  says: "SIGKILL of some nodes, now and then of all; started again at the end",
  draw(chance, names) {
    const nodes = chance.chance(ALL_KILLED_CHANCE)
      ? [...names]
      : drawSome(chance, names, 1, minority(names.length));
    return {
      plan: { nodes },
      claims: nodes.map(nodeClaim),
      words: `SIGKILL ${nodes.map(shortName).join(", ")}`,
    };
  },
  async strike(cluster, { nodes }) {
    const killed = nodes.map((name) => cluster.node(name));
    await Promise.all(killed.map((node) => node.kill()));
    return async () => {
      await Promise.all(killed.map((node) => node.start()));
    };
  },
};

const pause: Fault<NodesPlan> = {
  name: "pause",
  says: "SIGSTOP of some nodes, SIGCONT at the end",
  draw(chance, names) {
    const nodes = drawSome(chance, names, 1, minority(names.length));
    return {
      plan: { nodes },
      claims: nodes.map(nodeClaim),
      words: `SIGSTOP ${nodes.map(shortName).join(", ")}`,
    };
  },
  strike(cluster, { nodes }) {
    const paused = nodes.map((name) => cluster.node(name));
    for (const node of paused) node.pause();
    return () => {
      for (const node of paused) node.resume();
    };
  },
};

/** The largest number of nodes that leaves a majority of others. */
function minority(count: number): number {
  return Math.max(1, Math.floor((count - 1) / 2));
}

/** See the module's text. */
export const PROCESS_FAULTS: readonly Fault[] = [anyPlan(kill), anyPlan(pause)];
