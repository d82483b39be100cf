/**
 * The small parent of one or more nodes: a supervisor whose children are their
 * processes. A node that crashes or is killed is started again, after a pause
 * that grows; one that falls too often is given up. A node that ends in order,
 * as `whorl stop` makes it, is not started again, and the parent ends with it.
 *
 * A node that does not come up the first time is not tried again: the reason
 * (a port in use, a wrong directory) is the operator's to mend.
 *
 * @module
 */
import type { Backoff } from "../supervisors/backoff.ts";
import type { ChildSpec } from "../supervisors/child_spec.ts";
import type { ExitReason } from "../supervisors/exit_reason.ts";
import { formatReason, isAbnormal } from "../supervisors/exit_reason.ts";
import {
  Supervisor,
  type SupervisorReport,
} from "../supervisors/supervisor.ts";
import { SupervisorError } from "../supervisors/supervisor_error.ts";
import type { Invocation } from "./command.ts";
import { ExitCode } from "./exit_code.ts";
import { NODE_FLAGS, type NodeSetup } from "./node_flags.ts";
import { type NodeChild, startNodeChild, type UpLine } from "./node_child.ts";
import type { World } from "./world.ts";

/** How one node of a parent is run. */
export interface ParentedNode {
  /** Unique among the parent's nodes. */
  readonly id: string;
  /** Words after the program: how to run the node. */
  readonly args: readonly string[];
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  /** Takes what it logs. */
  readonly onLog: (line: string) => void;
  /** Told each time it is up. */
  readonly onUp: (up: UpLine, child: NodeChild) => void;
}

/** How to run the node that `setup` describes, as `invocation` asked for. */
export function nodeCommand(
  world: World,
  invocation: Invocation,
  setup: NodeSetup,
): Pick<ParentedNode, "program" | "args" | "env"> {
  const { options, cookieFile } = setup;
  const usesProcesses = options.masterPlacement === "subprocess" ||
    options.coordinatorPlacement === "subprocess";
  return {
    program: world.self.program,
    args: [
      ...world.self.args({
        run: usesProcesses,
        writes: [setup.directory],
        flags: setup.moduleFlags,
      }),
      "run-node",
      ...nodeFlagArgs(invocation, setup),
    ],
    // A secret on the command line could be read by everybody on the machine.
    env: cookieFile === null ? { WHORL_COOKIE: options.cookie } : {},
  };
}

/** The node flags of `invocation` as words, with paths that hold anywhere and without the secret. */
export function nodeFlagArgs(
  invocation: Invocation,
  setup: NodeSetup,
): string[] {
  const { options, cookieFile } = setup;
  const resolved: Record<string, readonly string[]> = {
    data: [setup.directory],
    "cookie-file": cookieFile === null ? [] : [cookieFile],
    cookie: [],
    module: (options.modules ?? []).map(({ url }) => String(url)),
  };
  return NODE_FLAGS.flatMap(({ name }) =>
    (resolved[name] ?? invocation.texts(name))
      .map((value) => `--${name}=${value}`)
  );
}

/** How much falling a parent bears; for each of its nodes. */
export interface ParentLimits {
  /** Restarts borne within `periodMs`. @default {5} */
  readonly restartsMax: number;
  /** In milliseconds. @default {60000} */
  readonly periodMs: number;
  /** Pauses before restarts. @default {from 200 to 5000 ms} */
  readonly backoff: Backoff;
  /** Time a node gets to stop, in milliseconds. @default {30000} */
  readonly shutdownMs: number;
}

/** The {@linkcode ParentLimits} of the command line. */
export const PARENT_LIMITS: ParentLimits = {
  restartsMax: 5,
  periodMs: 60_000,
  backoff: { minMs: 200, maxMs: 5_000 },
  shutdownMs: 30_000,
};

/** Supervises the processes of nodes until they are told to stop, or given up. */
export class NodeParent {
  /** The supervisor; its `booted` resolves when all nodes are up. */
  readonly supervisor: Supervisor;
  #tell: (line: string) => void;
  #gaveUp = false;
  /** The newest process of each node that was up. */
  #children = new Map<string, NodeChild>();

  /** Starts `nodes`, in order. @param tell Takes what an operator should know. */
  constructor(
    nodes: readonly ParentedNode[],
    tell: (line: string) => void,
    limits: ParentLimits = PARENT_LIMITS,
  ) {
    this.#tell = tell;
    this.supervisor = new Supervisor({
      name: "parent",
      strategy: "one_for_one",
      intensity: limits.restartsMax * nodes.length,
      periodMs: limits.periodMs,
      autoShutdown: "all_significant",
      children: nodes.map((node) =>
        nodeSpec(node, limits, (child) => this.#children.set(node.id, child))
      ),
      onReport: (report) => {
        // Supervisors that give up exit in order, as OTP's do.
        this.#gaveUp ||= report.type === "gave_up";
        const text = reportText(report);
        if (text !== undefined) tell(text);
      },
    });
  }

  /**
   * Resolves to the exit code when all nodes have ended. The first Ctrl-C or
   * SIGTERM stops them in reverse order, the second one kills them.
   *
   * @param whileUp Runs once all are up; if it ends, the nodes are stopped.
   */
  async run(
    world: World,
    whileUp?: (ended: AbortSignal) => Promise<void>,
  ): Promise<number> {
    const { supervisor } = this;
    const { promise: exit, resolve } = Promise.withResolvers<ExitReason>();
    const ended = new AbortController();
    supervisor.onExit((reason) => {
      ended.abort();
      resolve(reason);
    });
    let signals = 0;
    using _ = world.onStopSignal(() => {
      if (++signals > 1) return supervisor.kill();
      this.#tell("Stopping; a second Ctrl-C ends it by force");
      supervisor.stop("shutdown");
    });
    try {
      await supervisor.booted;
      if (whileUp !== undefined) {
        await whileUp(ended.signal);
        supervisor.stop("shutdown");
      }
    } catch (error) {
      supervisor.stop("shutdown");
      await exit;
      if (signals > 0) return ExitCode.interrupted;
      // The reports and the node's own log have told why it did not start.
      if (error instanceof SupervisorError) return ExitCode.failed;
      throw error;
    }
    const reason = await exit;
    // A supervisor that kills does not wait for those it has killed.
    await Promise.all(this.#children.values().map((child) => child.gone));
    return this.#gaveUp || isAbnormal(reason) ? ExitCode.failed : ExitCode.ok;
  }
}

function nodeSpec(
  node: ParentedNode,
  limits: ParentLimits,
  onStart: (child: NodeChild) => void,
): ChildSpec {
  return {
    id: node.id,
    restart: "transient",
    significant: true,
    shutdown: limits.shutdownMs,
    backoff: limits.backoff,
    start: async (signal) => {
      const child = await startNodeChild({ ...node, signal });
      onStart(child);
      node.onUp(await child.up, child);
      return child;
    },
  };
}

/** What to tell an operator of a report, or `undefined` if nothing. */
function reportText(report: SupervisorReport): string | undefined {
  switch (report.type) {
    case "child_started":
      return undefined;
    case "start_failed":
      // Who stops them all has been told that they stop.
      if (isCancelled(report.reason)) return undefined;
      return `${report.id} did not start${why(report.reason)}`;
    case "child_exited":
      return isAbnormal(report.reason)
        ? `The process of ${report.id} has ended${why(report.reason)}`
        : `${report.id} has stopped`;
    case "restart_delayed":
      return `${report.id} is started again in ${Math.ceil(report.afterMs)} ms`;
    case "gave_up":
      return `Gave up on ${report.id}: it ends too often`;
    default:
      return report satisfies never;
  }
}

function isCancelled(reason: ExitReason): boolean {
  return typeof reason === "object" && reason.type === "crash" &&
    reason.error.code === "cancelled";
}

/** How a process has ended; what it said before that has been told. */
function why(reason: ExitReason): string {
  if (typeof reason !== "object" || reason.type !== "crash") {
    return `: ${formatReason(reason)}`;
  }
  const { details, message } = reason.error;
  return typeof details?.how === "string"
    ? ` (${details.how})`
    : `: ${message}`;
}
