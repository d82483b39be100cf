/**
 * A supervisor of coordinators: temporary children of a simple_one_for_one
 * supervisor with a bound, which runs where `coordinatorPlacement` says. In the
 * main thread it is the part of the node itself:
 *
 *     op_fsm_sup (simple_one_for_one)
 *     └─ a coordinator for each request
 *
 * In a worker or subprocess it runs alone, and a supervisor in the node watches
 * over it:
 *
 *     op_fsm_sup (one_for_one)
 *     └─ op_fsm_host (worker or subprocess)
 *        └─ op_fsm_sup (simple_one_for_one)
 *
 * There are two of them, `op_fsm_sup.ts` and `coverage_fsm_sup.ts`.
 *
 * @module
 */
import type { Backoff } from "../../supervisors/backoff.ts";
import type { Child } from "../../supervisors/child.ts";
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { formatReason } from "../../supervisors/exit_reason.ts";
import type { ProgramChild } from "../../supervisors/program.ts";
import { startProgram } from "../../supervisors/start_program.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { RequestHost } from "../request/request_host.ts";
import { RequestHostLink } from "../request/request_host_link.ts";
import type { RequestHostArgs } from "../request/request_host_wire.ts";
import { relayLogLine } from "./forwarding_log.ts";
import type { NodeConfig } from "./node_options.ts";
import { NodeRoutes } from "./node_routes.ts";
import type { NodeParts } from "./node_parts.ts";
import { OBJECT_MODULES } from "./object_modules.ts";

/** The program of a coordinator. */
const COORDINATOR_PROGRAM = new URL("./request_host_main.ts", import.meta.url);

/** What coordinators are for. */
export interface CoordinatorRole {
  /** Name of their supervisor. */
  readonly id: string;
  /** Name of the worker or subprocess that they run in. */
  readonly host: string;
  /** Which part of the node they are. */
  readonly part: "requests" | "coverage";
  /** Most coordinators at a time. */
  readonly requestsMax: (config: NodeConfig) => number;
  /** Number of the first request; see `RequestHostOptions`. */
  readonly firstSequence: number;
}

/** Restarts of the host allowed within {@linkcode HOST_RESTARTS_PERIOD_MS}. */
export const HOST_RESTARTS_MAX = 10;
/** The window for restarts of the host, in milliseconds. */
export const HOST_RESTARTS_PERIOD_MS = 10_000;

/**
 * Pauses before a host that does not start is tried again: the system may be
 * unable to create a process for some seconds. Fewer than {@linkcode
 * HOST_RESTARTS_MAX} fit into {@linkcode HOST_RESTARTS_PERIOD_MS}.
 */
export const HOST_BACKOFF: Backoff = { minMs: 100, maxMs: 5_000 };

/** Permissions of a subprocess that coordinates: to read its code. Its node does the rest. */
const SUBPROCESS_FLAGS: readonly string[] = [
  "--no-prompt",
  "--quiet",
  "--allow-read",
  "--allow-env",
  "--allow-import",
];

/**
 * The supervisor of the coordinators of `role`.
 *
 * @param onZombie Told that a host which is a worker hangs and cannot be ended.
 */
export function coordinatorSup(
  role: CoordinatorRole,
  parts: NodeParts,
  onZombie: (host: string) => void,
): ChildSpec {
  let { firstSequence } = role;
  const onExit = (requests: RequestHost | RequestHostLink): void => {
    if (parts[role.part] === requests) parts[role.part] = undefined;
    firstSequence = requests.nextSequence;
  };
  return {
    id: role.id,
    type: "supervisor",
    // Not async: supervisors that run as tasks are restarted synchronously.
    start: (signal) =>
      parts.config.coordinatorPlacement === "task"
        ? startHere(role, parts, firstSequence, onExit)
        : startElsewhere(role, parts, firstSequence, onExit, onZombie, signal),
  };
}

function startHere(
  role: CoordinatorRole,
  parts: NodeParts,
  firstSequence: number,
  onExit: (requests: RequestHost) => void,
): Child {
  const { config, environment } = parts;
  const requests = new RequestHost({
    runtime: environment,
    log: environment.log.child(role.part),
    routes: routesOf(parts),
    objectModules: OBJECT_MODULES,
    requestsMax: role.requestsMax(config),
    firstSequence,
    coveragePace: parts.coveragePace,
    name: role.id,
  });
  for (const [moduleId, view] of parts.views) {
    requests.setView(moduleId, view);
  }
  parts[role.part] = requests;
  requests.supervisor.onExit(() => {
    onExit(requests);
    requests.wheel.close();
  });
  return requests.supervisor;
}

async function startElsewhere(
  role: CoordinatorRole,
  parts: NodeParts,
  firstSequence: number,
  onExit: (requests: RequestHostLink) => void,
  onZombie: (host: string) => void,
  signal: AbortSignal,
): Promise<Child> {
  const { config, environment } = parts;
  const log = environment.log.child(role.part);
  const link = new RequestHostLink({
    runtime: environment,
    routes: routesOf(parts),
    requestsMax: role.requestsMax(config),
    firstSequence,
    onEvent: (event) => relayLogLine(event, log),
  });
  for (const [moduleId, view] of parts.views) link.setView(moduleId, view);
  const ended = (): void => {
    link.close();
    onExit(link);
  };
  // From here on operations are accepted, and wait for the host if necessary.
  parts[role.part] = link;
  try {
    const supervisor = await startSupervisor({
      name: role.id,
      strategy: "one_for_one",
      intensity: HOST_RESTARTS_MAX,
      periodMs: HOST_RESTARTS_PERIOD_MS,
      children: [{
        id: role.host,
        restart: "permanent",
        backoff: HOST_BACKOFF,
        // A host that has run and crashes is restarted at once.
        backoffAfter: (_reason, ran) => !ran,
        start: (signal) => startHost(role, parts, link, onZombie, signal),
      }],
      runtime: environment,
      signal,
      onReport: (report) => {
        parts.onReport(report);
        if (report.type !== "restart_delayed") return;
        link.refuse(
          new WhorlError(
            "closed",
            `Cannot take a request as the host of its coordinators waits to be started again: ${
              formatReason(report.reason)
            }`,
          ),
        );
      },
    });
    supervisor.onExit(ended);
    return supervisor;
  } catch (error) {
    ended();
    throw error;
  }
}

async function startHost(
  role: CoordinatorRole,
  parts: NodeParts,
  link: RequestHostLink,
  onZombie: (host: string) => void,
  signal: AbortSignal,
): Promise<ProgramChild> {
  const { config, environment } = parts;
  const args: RequestHostArgs = {
    requestsMax: role.requestsMax(config),
    firstSequence: link.nextSequence,
  };
  let host: ProgramChild | undefined = undefined;
  const started = await startProgram({
    placement: config.coordinatorPlacement,
    module: COORDINATOR_PROGRAM,
    args,
    name: role.host,
    permissions: SUBPROCESS_FLAGS,
    describe: () => ({
      children: [{
        id: role.id,
        kind: "supervisor",
        status: "running",
        restarts: 0,
        strategy: "simple_one_for_one",
        children: [],
        ...(link.size === 0 ? {} : { unlisted: link.size }),
      }],
    }),
    onMessage: (message) => {
      try {
        link.receive(message);
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        // A host that sends invalid messages counts as lost.
        environment.log.error("A host of coordinators is ended", {
          reason: error.message,
        });
        host?.kill();
      }
    },
    onZombie: () => onZombie(role.host),
    signal,
    runtime: environment,
  });
  host = started;
  link.attach(started);
  started.onExit((reason) => link.detach(formatReason(reason)));
  return started;
}

function routesOf(parts: NodeParts): NodeRoutes {
  return new NodeRoutes(
    parts.config.name,
    () => parts.vnodes,
    (node) => parts.links?.link(node),
    (node) => parts.links?.isSuspect(node) === true,
  );
}
