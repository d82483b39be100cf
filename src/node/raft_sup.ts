/**
 * `raft_sup`: the Raft groups of a node.
 *
 *     raft_sup (rest_for_one)
 *     ├─ ra_kv          takes in operations of the store whose values are in the logs
 *     ├─ raft_logs      their write-ahead log and segments
 *     ├─ raft_groups    (simple_one_for_one, transient) a member of each group
 *     ├─ raft_system    brings them what arrives, and says heartbeats
 *     └─ ensembles      the groups that serve consistent buckets
 *
 * If the disk refuses a write to the log, the logs and the members are
 * restarted together: nothing unsynced has been acknowledged.
 *
 * @module
 */
import type { Child } from "../../supervisors/child.ts";
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import type { WhorlError } from "../base/errors.ts";
import { ConsistentKeys, type KeyRing } from "../ensemble/consistent_keys.ts";
import { ConsistentKv, successorOf } from "../ensemble/consistent_kv.ts";
import { isEnsemble } from "../ensemble/ensemble_names.ts";
import { EnsembleProcess } from "../ensemble/ensemble_process.ts";
import { GroupExport } from "../ensemble/group_export.ts";
import { GroupTakeovers } from "../ensemble/group_takeovers.ts";
import { KeyQuestions } from "../ensemble/key_questions.ts";
import { MemberQuestions } from "../ensemble/member_questions.ts";
import { ageOfVnode } from "../ring/ring_generations.ts";
import { raKvClient } from "../ra_kv/ra_kv_client.ts";
import { RA_KV_MACHINE } from "../ra_kv/ra_kv_command_codec.ts";
import { raKvMachine } from "../ra_kv/ra_kv_machine.ts";
import { RaKvMethods } from "../ra_kv/ra_kv_methods.ts";
import { RaKvRouter } from "../ra_kv/ra_kv_router.ts";
import { openRaftLogsOnDemand } from "../raft/log/raft_logs_on_demand.ts";
import type { RaftLogs } from "../raft/log/raft_log.ts";
import type { RaftMachine } from "../raft/machine.ts";
import { RaftSystemProcess } from "../raft/raft_system.ts";
import type { RaftWorld, SnapshotConnection } from "../raft/raft_world.ts";
import { LINK_BACKLOG_BYTES_MAX } from "./link_budget.ts";
import { masterPausesAfter } from "./master_backoff.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { NodeRoutes, notReachable } from "./node_routes.ts";
import { secretNumber } from "./secret_number.ts";
import { ResourceChild } from "./resource_child.ts";

/**
 * Time of a call of a snapshot, in milliseconds; its last one waits for the
 * disk.
 */
const SNAPSHOT_CALL_TIMEOUT_MS = 120_000;
/** Restarts of the logs allowed within ten seconds. */
const RAFT_RESTARTS_MAX = 10;

/**
 * The supervisor of the groups. A node without a data directory has no groups.
 * The router of operations starts before the logs, so that a node whose disk
 * refuses its logs for a while still forwards operations to members on other
 * nodes.
 */
export function raftSup(parts: NodeParts): ChildSpec {
  const hasGroups = parts.config.dataDirectory !== undefined;
  let logs: RaftLogs | undefined;
  let logsFailed = (_error: WhorlError): void => {};
  let system: RaftSystemProcess | undefined;
  let serving = !hasGroups;
  const raKv = {
    id: "ra_kv",
    start: () => startRaKv(parts, () => !serving),
  };
  const ensembles = { id: "ensembles", start: () => startEnsembles(parts) };
  return {
    id: "raft_sup",
    type: "supervisor",
    start: (signal) =>
      startSupervisor({
        name: "raft_sup",
        strategy: "rest_for_one",
        intensity: RAFT_RESTARTS_MAX,
        periodMs: 10_000,
        runtime: parts.environment,
        signal,
        onReport: (report) => parts.onReport(report),
        children: !hasGroups ? [raKv, ensembles] : [raKv, {
          id: "raft_logs",
          backoff: { minMs: 100, maxMs: 5_000 },
          backoffAfter: masterPausesAfter,
          start: async () => {
            const { environment, config } = parts;
            const opened = await openRaftLogsOnDemand({
              folder: `${config.dataDirectory}/raft`,
              environment,
              walBytesMax: config.raftLogs.walBytesMax,
              segmentEntriesMax: config.raftLogs.segmentEntriesMax,
              onAsideRemoved: (folder, failure) =>
                environment.log.child("raft").warn(
                  failure === undefined
                    ? "The oldest of the logs put aside is removed, as there are too many"
                    : "Cannot remove a log that was put aside",
                  { folder, ...failure && { reason: failure.message } },
                ),
            });
            logs = opened;
            const child = new ResourceChild("raft_logs", () => opened.close());
            logsFailed = (error) => child.fail(error);
            return child;
          },
        }, {
          id: "raft_groups",
          type: "supervisor",
          start: (): Child => {
            system = new RaftSystemProcess(
              worldOf(parts, present(logs, "Raft logs"), (error) =>
                logsFailed(error)),
            );
            return system.groups;
          },
        }, {
          id: "raft_system",
          start: async (): Promise<Child> => {
            const started = present(system, "Raft system");
            parts.raft = started;
            const tryAgain = (): void =>
              parts.raKv?.router.tryAgain();
            started.subscribe(tryAgain);
            await started.start();
            serving = true;
            tryAgain();
            return new ResourceChild("raft_system", async () => {
              // Set until closed: members transfer leadership while they close,
              // and the answers arrive as frames.
              await started.close();
              serving = false;
              if (parts.raft === started) {
                parts.raft = undefined;
              }
            });
          },
        }, ensembles],
      }),
  };
}

function startRaKv(parts: NodeParts, isStarting: () => boolean): Child {
  const { config, environment } = parts;
  const methods = new RaKvMethods({
    system: () => parts.raft,
    isStarting,
    runtime: environment,
    newNumber: () => secretNumber(environment.secretBytes(6)),
    isReserved: isEnsemble,
    peers: {
      self: config.name,
      nodes: () => [config.name, ...parts.peers.keys()],
      call: (node, method, args, timeoutMs) =>
        callPeer(parts, node, method, args, timeoutMs),
    },
  });
  const routes = new NodeRoutes(
    config.name,
    () => undefined,
    (node) => parts.links?.link(node),
    (node) => parts.links?.isSuspect(node) === true,
  );
  const router = new RaKvRouter({
    self: config.name,
    runtime: environment,
    system: () => parts.raft,
    isStarting,
    successor: successorOf,
    routes: {
      beginOperation: (node, number) => routes.beginOperation(node, number),
      endOperation: () => routes.endOperation(),
      find: (cluster) => methods.find(cluster),
    },
  });
  const raKv = { router, methods };
  parts.raKv = raKv;
  return new ResourceChild("ra_kv", () => {
    if (parts.raKv === raKv) parts.raKv = undefined;
    router.close();
    methods.close();
  });
}

/**
 * The node's ensembles, and the service of consistent buckets, which nodes
 * without groups of their own provide as well.
 */
function startEnsembles(parts: NodeParts): Child {
  const { config, environment } = parts;
  const { name: self } = config;
  const { methods } = present(parts.raKv, "ra_kv");
  const perform = (method: string, args: unknown) =>
    methods.perform(method, args);
  const call = (
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ) => callPeer(parts, node, method, args, timeoutMs);
  const isUp = (node: string) =>
    parts.links?.link(node) !== undefined && !parts.links.isSuspect(node);
  const newNumber = () => secretNumber(environment.secretBytes(6));
  const ring = () => present(parts.cluster, "cluster").ring;
  const members = new MemberQuestions({
    self,
    runtime: environment,
    system: () => parts.raft,
    isUp,
    find: async (group) => (await methods.find(group)).hint?.members ?? [],
    call,
  });
  const exports = new GroupExport(members);
  const log = environment.log.child("ensembles");
  const takeovers = new GroupTakeovers({
    self,
    runtime: environment,
    log,
    system: () => parts.raft,
    ring: () => parts.cluster?.ring,
    members,
    exports,
    perform,
    call,
  });
  const process = new EnsembleProcess({
    self,
    runtime: environment,
    log,
    system: () => parts.raft,
    ring: () => parts.cluster?.ring,
    isUp,
    newNumber,
    raKv: raKvClient(
      () => present(parts.raKv, "ra_kv").router,
      (method, args) => perform(method, args),
    ),
    perform,
    call,
    rootFormed: () => parts.cluster?.rootFormed(),
    takenOver: (generation, step) => parts.cluster?.takenOver(generation, step),
    emptied: () => parts.cluster?.exitIfReady(),
    failed: (error) => child.fail(error),
  }, takeovers);
  const questions = new KeyQuestions({
    self,
    members,
    owners: (vnode) => {
      const { owners, generations: { resize } } = ring().ownership;
      return resize !== null && ageOfVnode(ring(), vnode) === "future"
        ? resize.owners
        : owners;
    },
  });
  const keyRing = (): KeyRing => {
    const { size, ownership } = ring();
    return { generation: ownership.generations.current, size };
  };
  const consistentKv = new ConsistentKv({
    buckets: parts.buckets,
    groups: () => present(parts.raKv, "ra_kv").router,
    ring: keyRing,
    wallClock: () => environment.wallClock(),
    keys: new ConsistentKeys({
      runtime: environment,
      ring: keyRing,
      newNumber,
      keysOf: (...question) => questions.keysOf(...question),
    }),
  });
  const ensembles = { process, questions, exports, takeovers };
  parts.ensembles = ensembles;
  parts.consistentKv = consistentKv;
  const unsubscribe = parts.raft?.subscribe(() => process.changed());
  const child: ResourceChild = new ResourceChild("ensembles", () => {
    if (parts.ensembles === ensembles) parts.ensembles = undefined;
    unsubscribe?.();
    process.close();
  });
  return child;
}

async function callPeer(
  parts: NodeParts,
  node: string,
  method: string,
  args: unknown,
  timeoutMs?: number,
): Promise<unknown> {
  const link = parts.links?.link(node);
  if (link === undefined) throw notReachable(node);
  return await present(parts.calls, "links").call(link, method, args, {
    timeoutMs,
  });
}

function worldOf(
  parts: NodeParts,
  logs: RaftLogs,
  failed: (error: WhorlError) => void,
): RaftWorld {
  const { config, environment } = parts;
  let link: ReturnType<NonNullable<NodeParts["links"]>["link"]>;
  return {
    node: config.name,
    runtime: environment,
    wallClock: () => environment.wallClock(),
    chance: environment.chance.fork("raft"),
    log: environment.log.child("raft"),
    logs,
    snapshotEntriesMin: config.raftLogs.snapshotEntriesMin,
    machines: new Map<string, RaftMachine>([[RA_KV_MACHINE, raKvMachine()]]),
    begin: (node, frameType) => {
      link = parts.links?.link(node);
      if (link === undefined || link.bufferedBytes > LINK_BACKLOG_BYTES_MAX) {
        return undefined;
      }
      return link.begin(frameType, 0);
    },
    end: () => link?.end(),
    isUp: (node) => parts.links?.link(node) !== undefined,
    secretNumber: () => secretNumber(environment.secretBytes(6)),
    call: (node, method, args) => callPeer(parts, node, method, args),
    connect: (node) => connect(parts, node),
    onReport: (report) => parts.onReport(report),
    failed,
  };
}

async function connect(
  parts: NodeParts,
  node: string,
): Promise<SnapshotConnection> {
  const link = await present(parts.links, "links").openBulk(node);
  return {
    call: (method, args) =>
      present(parts.calls, "links").call(link, method, args, {
        timeoutMs: SNAPSHOT_CALL_TIMEOUT_MS,
      }),
    close: () => link.close("done"),
  };
}
