/**
 * Processes that are killed, stand still, or seldom get the processor.
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

interface StarvePlan extends NodesPlan {
  readonly runMs: number;
  readonly waitMs: number;
}

const starve: Fault<StarvePlan> = {
  name: "starve",
  says: "a node, or all, get the processor for a part of the time only",
  draw(chance, names) {
    const nodes = chance.chance(0.3) ? [...names] : [chance.pick(names)];
    const runMs = 5 + chance.below(25);
    const waitMs = 20 + chance.below(180);
    return {
      plan: { nodes, runMs, waitMs },
      claims: nodes.map(nodeClaim),
      words: `${nodes.map(shortName).join(", ")}: ${runMs} ms of ${
        runMs + waitMs
      }`,
    };
  },
  strike(cluster, { nodes: names, runMs, waitMs }) {
    const nodes = names.map((name) => cluster.node(name));
    const resume = (): void => {
      for (const node of nodes) node.resume();
    };
    let waiting: ReturnType<typeof setTimeout> | undefined;
    const turns = setInterval(() => {
      clearTimeout(waiting);
      resume();
      for (const node of nodes) node.pause();
      waiting = setTimeout(resume, waitMs);
    }, runMs + waitMs);
    return () => {
      clearInterval(turns);
      clearTimeout(waiting);
      resume();
    };
  },
};

/** The largest number of nodes that leaves a majority of others. */
function minority(count: number): number {
  return Math.max(1, Math.floor((count - 1) / 2));
}

/** See the module comment. */
export const PROCESS_FAULTS: readonly Fault[] = [
  anyPlan(kill),
  anyPlan(pause),
  anyPlan(starve),
];
