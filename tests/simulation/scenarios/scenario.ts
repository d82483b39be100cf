/**
 * Stories of clusters whose members change, played in the simulator: under load,
 * with every check on, with many seeds.
 *
 * @module
 */
import {
  drawSchedule,
  type FinishedRun,
  kvChecks,
  kvWorkload,
  type QueueKind,
  type RunCheck,
  type ScriptContext,
  simulate,
  type SimulateOptions,
  type SimulationResult,
  type SimulationScript,
  type Violation,
} from "../../../src/simulation/mod.ts";
import type { RaftLogSizes } from "../../../src/raft/raft_log_sizes.ts";
import { memberStatus } from "../../../src/ring/ring.ts";

/** A story. */
export interface Scenario {
  readonly name: string;
  /** What it shows, and where it comes from. */
  readonly what: string;
  /** Members at the beginning. @default {3} */
  readonly nodes?: number;
  /** Machines besides. @default {0} */
  readonly spares?: number;
  /** @default {60} */
  readonly operations?: number;
  /** Keys of the load. @default {20} */
  readonly keys?: number;
  /** Share of its operations that want strict quorums, from 0 to 1. @default {0.3} */
  readonly strict?: number;
  /** How long the load lasts, in virtual milliseconds. @default {8000} */
  readonly loadMs?: number;
  /** Most of what the network loses, as a share. @default {as drawn} */
  readonly lossMax?: number;
  /** Longest time that a segment takes, in virtual milliseconds. @default {as drawn} */
  readonly delayMsMax?: number;
  /** Checks of what its operators break: two claimants that follow one in different parts of a cluster have one term. */
  readonly exempt?: readonly string[];
  /** How full the fullest queue of a kind must have been: a play that came to less shows nothing of its bound. @default {{}} */
  readonly fills?: Partial<Readonly<Record<QueueKind, number>>>;
  /** How large the logs of Raft groups grow before they are tidied. @default {as nodes do} */
  readonly raftLogs?: RaftLogSizes;
  /** More about how nodes are set up. */
  readonly node?: SimulateOptions["node"];
  readonly script?: SimulationScript;
  /** Makes what one play consists of, where its parts have something in common. */
  readonly begin?: () => Pick<
    SimulateOptions,
    "script" | "workload" | "check"
  >;
}

/** Plays `scenario` with the chance of `seed`. */
export async function play(
  scenario: Scenario,
  seed: number | string,
  trace = false,
): Promise<SimulationResult> {
  const { name, nodes = 3, spares = 0, operations = 60, keys = 20 } = scenario;
  const drawn = drawSchedule(`${name} ${seed}`, {
    nodes,
    spares,
    operations,
    loadMs: scenario.loadMs ?? 8_000,
    faults: [],
    start: "formed",
  });
  const check: RunCheck = (run: FinishedRun) => kvChecks(run);
  const result = await simulate({
    seed: drawn.seed,
    // Clients inside the nodes are there from the first moment to the last.
    schedule: {
      ...drawn,
      clients: "inside",
      network: {
        ...drawn.network,
        lossProbability: Math.min(
          drawn.network.lossProbability,
          scenario.lossMax ?? 1,
        ),
        delayMsMax: Math.min(
          drawn.network.delayMsMax,
          scenario.delayMsMax ?? Infinity,
        ),
      },
      ...(scenario.raftLogs && { raftLogs: scenario.raftLogs }),
    },
    workload: kvWorkload({ keys, strict: scenario.strict ?? 0.3 }),
    check,
    ...scenario.node === undefined ? {} : { node: scenario.node },
    ...scenario.script === undefined ? {} : { script: scenario.script },
    ...scenario.begin?.(),
    trace,
  });
  const { exempt = [], fills = {} } = scenario;
  return {
    ...result,
    violations: [
      ...result.violations.filter(({ check }) => !exempt.includes(check)),
      ...notFilled(result, fills),
    ],
  };
}

/** The kinds of queues that were never as full as they were to be. */
function notFilled(
  { fullest }: SimulationResult,
  fills: NonNullable<Scenario["fills"]>,
): Violation[] {
  return (Object.entries(fills) as [QueueKind, number][])
    .filter(([kind, least]) => fullest[kind].length < least)
    .map(([kind, least]) => ({
      check: "not_filled",
      message: `The fullest queue of the kind ${kind} held ${
        fullest[kind].length
      }, and was to hold ${least}`,
    }));
}

/** The load of stories whose clients are not what they are about: what a member acknowledges that is removed by force is lost. */
export const QUIET: Pick<Required<SimulateOptions>, "workload" | "check"> = {
  workload: async ({ record }) => {
    await record("sim/k", { type: "get" }, ({ kv }) => kv.get("sim", "k"));
  },
  check: () => Promise.resolve([]),
};

/** Name of a node by its number. */
export function nameOf(index: number): string {
  return `n${index + 1}@n${index + 1}`;
}

/** What `index` is, as `asked` knows it. */
export function statusOn(
  story: ScriptContext,
  asked: number,
  index: number,
): string | undefined {
  const ring = story.machine(asked).node?.parts.cluster?.ring;
  return ring && memberStatus(ring, nameOf(index));
}

/** Who owns each partition, as `asked` knows it. */
export function ownersOn(story: ScriptContext, asked: number): string[] {
  const ring = story.machine(asked).node?.parts.cluster?.ring;
  return [...ring?.ownership.owners ?? []];
}

/** The code `act` is refused with; undefined if it is not. */
export async function refusalOf(
  act: Promise<unknown>,
): Promise<string | undefined> {
  try {
    await act;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Kills one of `nodes`, for a moment or some seconds. */
export function killOne(
  { chance, strike }: ScriptContext,
  nodes: readonly number[],
): void {
  strike({
    type: chance.pick(["kill", "kill", "power_loss"]),
    node: chance.pick(nodes),
    forMs: chance.pick([20, 300, 1_500]),
  });
}
