/**
 * `whorl transfers`: what moves between nodes, and what waits to.
 *
 * @module
 */
import { formatDuration } from "../../src/admin/figure_text.ts";
import {
  type ClusterTransfers,
  fetchTransfers,
} from "../../src/admin/cluster_transfers.ts";
import { transfersText } from "../../src/admin/transfers_text.ts";
import { type Command, type Invocation, UsageError } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { LiveArea } from "../live_area.ts";
import { remarkFailures } from "../member_failures.ts";
import { pause } from "../pause.ts";
import { withSession } from "../session_flags.ts";
import { transfersView } from "../transfers/transfers_view.ts";
import type { World } from "../world.ts";

/** Time between two looks unless told otherwise, in milliseconds. */
const INTERVAL_MS_DEFAULT = 500;

/** `whorl transfers` */
export const transfersCommand: Command = {
  name: "transfers",
  summary: "show what moves between nodes, live, and what waits to",
  about:
    "All members are asked. First a line for each node with partitions that wait to be handed off, then a " +
    "block for each transfer under way: its type, the vnode module, the partition, how far it is, how fast, " +
    'from where to where. "No transfers active" if there are none.\n\n' +
    "Types: ownership (the ring gives the partition to another node), hinted (a node that stood in gives back " +
    "what it holds), repair (a neighbour gives what was lost), resize (the ring gets another size).\n\n" +
    "On a terminal the transfers are bars that move, until all are done or Ctrl-C; a pipe gets the state " +
    "as it is now. A member that does not answer is named on standard error.",
  positionals: [],
  flags: [
    { name: "once", says: "the state as it is now, on a terminal as well" },
    {
      name: "watch",
      says:
        "go on until Ctrl-C, also when nothing moves; with --json a line of JSON for each look",
    },
    {
      name: "interval",
      value: "TIME",
      says: "time between two looks",
      default: "500ms",
    },
  ],
  talksToNode: true,
  examples: [
    {
      line: "transfers --data data/dev1",
      says: "watch a join or a leave until it is done",
    },
    { line: "transfers --once --data data/dev1", says: "one look" },
    { line: "transfers --json --data data/dev1", says: "for a script" },
    {
      line: "handoff summary --data data/dev1",
      says: "in numbers, a row for each node",
    },
  ],
  run(invocation, world): Promise<number> {
    const { output } = world;
    const watch = invocation.on("watch");
    const once = invocation.on("once");
    if (watch && once) {
      throw new UsageError("--watch and --once are opposites: give one");
    }
    const intervalMs = intervalOf(invocation);
    return withSession(invocation, world, async (session, options) => {
      const json = invocation.on("json");
      if (!watch && (once || json || !output.isTerminal)) {
        const transfers = await fetchTransfers(session, options);
        if (json) writeJson(output, transfers);
        else writeReport(world, transfers);
        return ExitCode.ok;
      }
      const stopping = new AbortController();
      using _ = world.onStopSignal(() => stopping.abort());
      const { signal } = stopping;
      const look = () => fetchTransfers(session, { ...options, signal });
      const looks = { look: unlessStopped(look, signal), intervalMs, signal };
      return json || !output.isTerminal
        ? await follow(world, looks, json)
        : await live(world, looks, watch);
    });
  },
};

interface Looks {
  /** Resolves to `undefined` when it was stopped. */
  look(): Promise<ClusterTransfers | undefined>;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

/** Ctrl-C ends a look that waits for a member that is silent. */
function unlessStopped(
  look: () => Promise<ClusterTransfers>,
  signal: AbortSignal,
): Looks["look"] {
  return async () => {
    try {
      return await look();
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  };
}

function intervalOf(invocation: Invocation): number {
  const text = invocation.text("interval");
  return text === undefined
    ? INTERVAL_MS_DEFAULT
    : parseDuration("interval", text);
}

/** For pipes: one report after the other. */
async function follow(
  world: World,
  { look, intervalMs, signal }: Looks,
  json: boolean,
): Promise<number> {
  while (!signal.aborted) {
    const transfers = await look();
    if (transfers === undefined) break;
    if (json) world.output.write(`${JSON.stringify(transfers)}\n`);
    else writeReport(world, transfers);
    await pause(intervalMs, signal);
  }
  return ExitCode.interrupted;
}

/** For people: bars that move. */
async function live(
  world: World,
  { look, intervalMs, signal }: Looks,
  watch: boolean,
): Promise<number> {
  const { output } = world;
  const area = new LiveArea(output);
  const startedAt = performance.now();
  let last = await look();
  const isIdle = ({ active, waiting }: ClusterTransfers): boolean =>
    active.length === 0 && waiting.length === 0;
  const anyAtAll = last !== undefined && !isIdle(last);
  try {
    while (last !== undefined && (watch || !isIdle(last))) {
      area.show(
        transfersView(last, {
          columns: output.columns(),
          lines: area.linesMax,
        }),
      );
      await pause(intervalMs, signal);
      last = signal.aborted ? undefined : await look();
    }
  } finally {
    // What was seen last stays when it was interrupted.
    if (signal.aborted) area.keep();
    else area.clear();
  }
  if (last === undefined) return ExitCode.interrupted;
  if (anyAtAll) {
    const elapsed = formatDuration(performance.now() - startedAt);
    output.write(`All transfers are done, after ${elapsed}\n`);
    remarkFailures(output, last.unanswered);
  } else writeReport(world, last);
  return ExitCode.ok;
}

function writeReport({ output }: World, transfers: ClusterTransfers): void {
  output.write(transfersText(transfers, Date.now()));
  remarkFailures(output, transfers.unanswered);
}
