/**
 * Links that are slow, stutter, break, or change what they carry.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";
import { anyPlan, drawSome, type Fault } from "../fault.ts";
import { shortName } from "../short_name.ts";
import type { LaneConditions } from "../lane.ts";

interface LanesPlan {
  /** Directions, as `[from, to]`. */
  readonly lanes: readonly (readonly [string, string])[];
  readonly conditions: LaneConditions;
}

/** Some directions; all of them every other time. */
function drawLanes(
  chance: Chance,
  nodes: readonly string[],
): (readonly [string, string])[] {
  const all = nodes.flatMap((from) =>
    nodes.filter((to) => to !== from).map((to) => [from, to] as const)
  );
  return chance.chance(0.5)
    ? all
    : drawSome(chance, all, 1, Math.ceil(all.length / 2));
}

function lanesText(
  lanes: LanesPlan["lanes"],
  nodes: readonly string[],
): string {
  return lanes.length === nodes.length * (nodes.length - 1)
    ? "all links"
    : lanes.map(([from, to]) => `${shortName(from)} > ${shortName(to)}`).join(
      ", ",
    );
}

function onLanes(
  name: string,
  says: string,
  draw: (chance: Chance) => { conditions: LaneConditions; words: string },
): Fault {
  return anyPlan<LanesPlan>({
    name,
    says,
    draw(chance, nodes) {
      const lanes = drawLanes(chance, nodes);
      const { conditions, words } = draw(chance);
      return {
        plan: { lanes, conditions },
        claims: [`links ${name}`],
        words: `${words} on ${lanesText(lanes, nodes)}`,
      };
    },
    strike(cluster, { lanes, conditions }) {
      const weather = cluster.network.impose((from, to) =>
        lanes.some(([one, other]) => one === from && other === to)
          ? conditions
          : undefined
      );
      return () => weather[Symbol.dispose]();
    },
  });
}

interface CutPlan {
  /** Pairs of nodes. */
  readonly pairs: readonly (readonly [string, string])[];
  readonly everyMs: number;
}

const cut: Fault<CutPlan> = {
  name: "cut",
  says: "connections between nodes end abruptly, again and again",
  draw(chance, nodes) {
    const all = nodes.flatMap((one, i) =>
      nodes.slice(i + 1).map((other) => [one, other] as const)
    );
    const pairs = drawSome(chance, all, 1, all.length);
    const everyMs = 200 + chance.below(1_300);
    const words = pairs.map((pair) => pair.map(shortName).join(" - ")).join(
      ", ",
    );
    return {
      plan: { pairs, everyMs },
      claims: ["links cut"],
      words: `${words} every ${everyMs} ms`,
    };
  },
  strike(cluster, { pairs, everyMs }) {
    const cutAll = (): void => {
      for (const [one, other] of pairs) cluster.network.cut(one, other);
    };
    cutAll();
    const timer = setInterval(cutAll, everyMs);
    return () => clearInterval(timer);
  },
};

/** See the module comment. */
export const LINK_FAULTS: readonly Fault[] = [
  onLanes("delay", "bytes come later, by up to half a second", (chance) => {
    const delayMs = 20 + chance.below(480);
    return { conditions: { delayMs }, words: `${delayMs} ms` };
  }),
  onLanes(
    "jitter",
    "bytes come later, each time by another while",
    (chance) => {
      const jitterMs = 50 + chance.below(550);
      return { conditions: { jitterMs }, words: `0 to ${jitterMs} ms` };
    },
  ),
  onLanes("stall", "links stand still and flow by turns", (chance) => {
    const [stallMs, flowMs] = [
      200 + chance.below(1_800),
      50 + chance.below(450),
    ];
    return {
      conditions: { stallMs, flowMs },
      words: `${stallMs} ms of ${stallMs + flowMs}`,
    };
  }),
  onLanes("throttle", "few bytes a second pass", (chance) => {
    const bytesPerSecond = 5_000 * 2 ** chance.below(6);
    return {
      conditions: { bytesPerSecond },
      words: `${bytesPerSecond / 1_000} kB/s`,
    };
  }),
  anyPlan(cut),
  onLanes("corrupt", "single bits are flipped on the way", (chance) => {
    const corruptEveryBytes = 2_000 * 2 ** chance.below(6);
    return {
      conditions: { corruptEveryBytes },
      words: `one bit in ${corruptEveryBytes} bytes`,
    };
  }),
];
