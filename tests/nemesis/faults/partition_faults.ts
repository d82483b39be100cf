/**
 * Networks that fall apart. A partition is a list of the directions that carry
 * nothing; whoever holds a connection across it is not told.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";
import { anyPlan, type Fault } from "../fault.ts";
import { shortName } from "../short_name.ts";

/** Directions that are blocked, as `[from, to]`. */
interface PartitionPlan {
  readonly blocked: readonly (readonly [string, string])[];
}

/** Decides what is blocked among `nodes`, which are in a random order, and says it. */
type Shape = (
  nodes: readonly string[],
  chance: Chance,
) => { blocked: (readonly [string, string])[]; words: string };

function partition(
  name: string,
  says: string,
  shape: Shape,
  nodesMin = 2,
): Fault {
  return anyPlan<PartitionPlan>({
    name,
    says,
    unable: (_machine, nodeCount) =>
      nodeCount < nodesMin
        ? `takes at least ${nodesMin} nodes: there are ${nodeCount}`
        : undefined,
    draw(chance, nodes) {
      const { blocked, words } = shape(chance.shuffle([...nodes]), chance);
      return { plan: { blocked }, claims: ["partition"], words };
    },
    strike(cluster, { blocked }) {
      const weather = cluster.network.impose((from, to) =>
        blocked.some(([one, other]) => one === from && other === to)
          ? { blocked: true }
          : undefined
      );
      return () => weather[Symbol.dispose]();
    },
  });
}

/** Blocks everything between nodes of different groups. */
function apart(groups: readonly (readonly string[])[]) {
  const groupOf = new Map(
    groups.flatMap((group) => group.map((node) => [node, group])),
  );
  const all = groups.flat();
  return {
    blocked: between(all, (from, to) => groupOf.get(from) !== groupOf.get(to)),
    words: groups.map((group) => `{${group.map(shortName).sort().join(", ")}}`)
      .join(" | "),
  };
}

function between(
  nodes: readonly string[],
  blocks: (from: string, to: string) => boolean,
): (readonly [string, string])[] {
  return nodes.flatMap((from) =>
    nodes.filter((to) => from !== to && blocks(from, to))
      .map((to) => [from, to] as const)
  );
}

/** See the module comment. */
export const PARTITION_FAULTS: readonly Fault[] = [
  partition(
    "partition_full",
    "every node is alone",
    (nodes) => apart(nodes.map((node) => [node])),
  ),
  partition(
    "partition_one_way",
    "one node is not heard by the others, or does not hear them",
    (nodes, chance) => {
      const [deaf, node] = [chance.chance(0.5), nodes[0] as string];
      return {
        blocked: between(nodes, (from, to) => (deaf ? to : from) === node),
        words: deaf
          ? `${shortName(node)} hears nobody`
          : `nobody hears ${shortName(node)}`,
      };
    },
  ),
  partition(
    "partition_majority",
    "a majority on one side, the others on the other",
    (nodes, chance) => {
      const others = Math.floor((nodes.length - 1) / 2);
      const size = nodes.length - 1 - chance.below(others);
      return apart([nodes.slice(0, size), nodes.slice(size)]);
    },
    3,
  ),
  partition(
    "partition_minority",
    "sides of several nodes, none of which is a majority",
    (nodes) => {
      const half = Math.floor(nodes.length / 2);
      return apart(
        [
          nodes.slice(0, half),
          nodes.slice(half, 2 * half),
          nodes.slice(2 * half),
        ]
          .filter((group) => group.length > 0),
      );
    },
    4,
  ),
  partition(
    "partition_ring",
    "each node reaches its two neighbours on a ring only; of three nodes, two do not reach each other",
    (nodes) => {
      // A ring of three is the whole network, so one of its links is left out.
      const places = nodes.length === 3 ? 4 : nodes.length;
      const place = new Map(nodes.map((node, i) => [node, i]));
      const steps = (from: string, to: string): number =>
        ((place.get(to) as number) - (place.get(from) as number) + places) %
        places;
      return {
        blocked: between(
          nodes,
          (from, to) => ![1, places - 1].includes(steps(from, to)),
        ),
        words: [...nodes, ...nodes.slice(0, nodes.length === 3 ? 0 : 1)]
          .map(shortName).join(" - "),
      };
    },
    3,
  ),
];
