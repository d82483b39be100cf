/**
 * The options of a node: what an operator or an application can set, with
 * defaults, and the complete settings made of them.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { checkNodeName } from "../base/node_name.ts";
import {
  type Capability,
  type CapabilityOptions,
  type CapabilityOverrides,
  checkOverride,
  CONSISTENT_BUCKETS,
  resolveCapabilities,
} from "../cluster/capability.ts";
import type { Environment } from "../environment/environment.ts";
import type { Address } from "../environment/transport.ts";
import {
  CONCURRENCY_DEFAULT,
  CONCURRENCY_MAX,
} from "../handoff/manager_fsm.ts";
import {
  RAFT_LOG_SIZES_DEFAULT,
  type RaftLogSizes,
  wrongRaftLogSize,
} from "../raft/raft_log_sizes.ts";
import { requireRingSize } from "../ring/chash.ts";
import {
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxBounds,
  wrongMailboxBound,
} from "../vnode/mailbox_bounds.ts";
import type { VnodeModule } from "../vnode/vnode.ts";

/** Where a part of a node runs. */
export type ProcessPlacement = "task" | "worker" | "subprocess";

/** A vnode module of an application. */
export interface ModuleOptions {
  /** The file whose default export is the module. */
  readonly url: URL | string;
  /** The module itself, for masters placed as tasks; loaded from `url` if absent. */
  readonly module?: VnodeModule;
}

/** Options of a node. */
export interface NodeOptions {
  /** Name of the node in its cluster, as `name@host`, such as `dev1@127.0.0.1`. */
  readonly name: string;
  /** Where it listens, as `host:port`; port 0 takes a free one. @default {the host of its name, port 0} */
  readonly listen?: Address;
  /** Where others reach it, if that differs from where it listens. @default {the address it listens on} */
  readonly advertise?: Address;
  /** The secret shared by all nodes and clients of a cluster; at least one character. */
  readonly cookie: string;
  /** Nodes of different clusters refuse each other. @default {"default"} */
  readonly clusterName?: string;
  /**
   * Directory of the ring, the node's identity and its stores. Without it
   * everything is in memory and each start makes a new node.
   */
  readonly dataDirectory?: string;
  /** The store in which vnodes keep their data. @default {"deno_kv" with a data directory, else "memory"} */
  readonly storage?: "deno_kv" | "memory";
  /** Partitions in the ring: a power of two from 8 to 1024. A cluster keeps the size it was made with until its ring is resized. @default {64} */
  readonly ringSize?: number;
  /** Vnode masters for each module; fixed when the data directory is created. @default {1} */
  readonly masters?: number;
  /** Where vnode masters run. @default {"worker"} */
  readonly masterPlacement?: ProcessPlacement;
  /**
   * Where the supervisors of the op FSMs and of the coverage FSMs run. Outside
   * the node's main thread they cannot block it, and a subprocess that hangs is
   * killed without affecting the node; but each request crosses threads several
   * times, which costs about half as much processor time again.
   *
   * @default {"task": in the node's main thread}
   */
  readonly coordinatorPlacement?: ProcessPlacement;
  /**
   * Mailbox bounds of each vnode of `kv` that differ from the defaults;
   * commands beyond them are answered `overload`. Other modules declare their
   * own.
   *
   * @default {{}}
   */
  readonly kvMailbox?: Partial<MailboxBounds>;
  /**
   * Size limits of the logs of Raft groups (`ra_kv` and consistent buckets)
   * that differ from the defaults.
   *
   * @default {{}}
   */
  readonly raftLogs?: Partial<RaftLogSizes>;
  /** Vnode modules besides `kv`. @default {[]} */
  readonly modules?: readonly ModuleOptions[];
  /** Addresses to use for peers, by name, instead of the advertised ones, such as those of a proxy. @default {{}} */
  readonly peers?: Readonly<Record<string, Address>>;
  /** Requests that may be coordinated here at a time; any more are answered `overload`. @default {20000} */
  readonly requestsMax?: number;
  /** Coverage queries that may be coordinated here at a time; any more are answered `overload`. @default {100} */
  readonly coverageQueriesMax?: number;
  /** Transfers of partitions at a time, in and out together; can be changed at run time. @default {4} */
  readonly handoffConcurrency?: number;
  /** Capabilities of the application, which all members negotiate. @default {[]} */
  readonly capabilities?: readonly CapabilityOptions[];
  /** Overrides of capabilities, Whorl's or the application's, on this node alone. @default {{}} */
  readonly capabilityOverrides?: CapabilityOverrides;
  /** The environment. @default {the real one} */
  readonly environment?: Environment;
}

/** {@linkcode NodeOptions} with all defaults filled in. */
export interface NodeConfig {
  readonly name: string;
  readonly listen: Address;
  readonly advertise: Address | undefined;
  readonly cookie: string;
  readonly clusterName: string;
  readonly dataDirectory: string | undefined;
  readonly storage: "deno_kv" | "memory";
  readonly ringSize: number;
  readonly masters: number;
  readonly masterPlacement: ProcessPlacement;
  readonly coordinatorPlacement: ProcessPlacement;
  readonly kvMailbox: MailboxBounds;
  readonly raftLogs: RaftLogSizes;
  readonly modules: readonly ModuleOptions[];
  readonly peers: ReadonlyMap<string, Address>;
  readonly requestsMax: number;
  readonly coverageQueriesMax: number;
  readonly handoffConcurrency: number;
  readonly capabilities: readonly Capability[];
  readonly capabilityOverrides: CapabilityOverrides;
}

const CLUSTER_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const PLACEMENTS: readonly string[] = ["task", "worker", "subprocess"];

/** Default number of partitions: riak_core's `ring_creation_size`. */
export const RING_SIZE_DEFAULT = 64;
/** Requests that one node coordinates at a time, by default. */
export const REQUESTS_MAX_DEFAULT = 20_000;
/** Coverage queries that one node coordinates at a time, by default. */
export const COVERAGE_QUERIES_MAX_DEFAULT = 100;
/** Most vnode masters of a module. */
export const MASTERS_MAX = 64;

/**
 * Fills in defaults and validates the options.
 *
 * @throws {WhorlError} `invalid_name`, `invalid_ring_size` or `invalid_config`, naming the option and its value.
 */
export function resolveNodeOptions(options: NodeOptions): NodeConfig {
  checkNodeName(options.name);
  const host = options.name.slice(options.name.indexOf("@") + 1);
  const ringSize = options.ringSize ?? RING_SIZE_DEFAULT;
  requireRingSize(ringSize);
  const clusterName = options.clusterName ?? "default";
  check(
    CLUSTER_NAME.test(clusterName),
    "clusterName",
    "1 to 63 letters, digits, '_', '.' or '-'",
    clusterName,
  );
  check(
    typeof options.cookie === "string" && options.cookie.length > 0,
    "cookie",
    "at least one character",
    "hidden",
  );
  const masters = options.masters ?? 1;
  check(
    Number.isInteger(masters) && masters >= 1 && masters <= MASTERS_MAX &&
      masters <= ringSize,
    "masters",
    `a whole number from 1 to ${Math.min(MASTERS_MAX, ringSize)}`,
    masters,
  );
  const masterPlacement = options.masterPlacement ?? "worker";
  const coordinatorPlacement = options.coordinatorPlacement ?? "task";
  for (
    const [option, value] of Object.entries({
      masterPlacement,
      coordinatorPlacement,
    })
  ) {
    check(
      PLACEMENTS.includes(value),
      option,
      "'task', 'worker' or 'subprocess'",
      value,
    );
  }
  const storage = options.storage ??
    (options.dataDirectory === undefined ? "memory" : "deno_kv");
  check(
    storage === "deno_kv" || storage === "memory",
    "storage",
    "'deno_kv' or 'memory'",
    storage,
  );
  check(
    storage === "memory" || options.dataDirectory !== undefined,
    "dataDirectory",
    "given when storage is 'deno_kv'",
    options.dataDirectory,
  );
  const requestsMax = options.requestsMax ?? REQUESTS_MAX_DEFAULT;
  const coverageQueriesMax = options.coverageQueriesMax ??
    COVERAGE_QUERIES_MAX_DEFAULT;
  for (
    const [option, value] of Object.entries({ requestsMax, coverageQueriesMax })
  ) {
    check(
      Number.isInteger(value) && value >= 1,
      option,
      "a whole number of at least 1",
      value,
    );
  }
  const kvMailbox = options.kvMailbox ?? {};
  const wrong = wrongMailboxBound(kvMailbox);
  if (wrong !== undefined) {
    check(false, `kvMailbox.${wrong.bound}`, wrong.rule, wrong.value);
  }
  const raftLogs = options.raftLogs ?? {};
  const wrongSize = wrongRaftLogSize(raftLogs);
  if (wrongSize !== undefined) {
    const { size, rule, value } = wrongSize;
    check(false, `raftLogs.${size}`, rule, value);
  }
  for (const peer of Object.keys(options.peers ?? {})) checkNodeName(peer);
  const handoffConcurrency = options.handoffConcurrency ?? CONCURRENCY_DEFAULT;
  check(
    Number.isInteger(handoffConcurrency) && handoffConcurrency >= 0 &&
      handoffConcurrency <= CONCURRENCY_MAX,
    "handoffConcurrency",
    `a whole number from 0 to ${CONCURRENCY_MAX}`,
    handoffConcurrency,
  );
  const capabilities = resolveCapabilities(options.capabilities ?? []).map(
    // Without a place for its logs it can keep no members.
    (capability) =>
      capability === CONSISTENT_BUCKETS && options.dataDirectory === undefined
        ? { ...capability, supported: [capability.default] }
        : capability,
  );
  const capabilityOverrides = options.capabilityOverrides ?? {};
  for (const [name, override] of Object.entries(capabilityOverrides)) {
    const known = capabilities.find((capability) => capability.name === name);
    // One that a later version has removed is of no use, and does no harm.
    if (known !== undefined) checkOverride(known, override);
  }
  return {
    name: options.name,
    listen: options.listen ?? `${host.includes(":") ? `[${host}]` : host}:0`,
    advertise: options.advertise,
    cookie: options.cookie,
    clusterName,
    dataDirectory: options.dataDirectory,
    storage,
    ringSize,
    masters,
    masterPlacement,
    coordinatorPlacement,
    kvMailbox: { ...MAILBOX_BOUNDS_DEFAULT, ...kvMailbox },
    raftLogs: { ...RAFT_LOG_SIZES_DEFAULT, ...raftLogs },
    modules: options.modules ?? [],
    peers: new Map(Object.entries(options.peers ?? {})),
    requestsMax,
    coverageQueriesMax,
    handoffConcurrency,
    capabilities,
    capabilityOverrides,
  };
}

function check(
  holds: boolean,
  option: string,
  rule: string,
  value: unknown,
): void {
  if (holds) return;
  throw new WhorlError(
    "invalid_config",
    `Cannot start a node as '${option}' must be ${rule}: current value is ${value}`,
    { details: { option } },
  );
}
