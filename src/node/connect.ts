/**
 * Connections to a running cluster from outside: for applications (`connect`)
 * and for tools (`openSession`).
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import type { Address } from "../environment/transport.ts";
import { type KvClient, kvClient } from "../kv/kv_client.ts";
import { type RaKvClient, raKvClient } from "../ra_kv/ra_kv_client.ts";
import { HeededOverloads } from "../request/heeded_overloads.ts";
import { Cookie } from "../transport/cookie.ts";
import type { VnodeCommands } from "../vnode/vnode.ts";
import type {
  AdminMethods,
  AdminSession,
  CallOptions,
  OpenSession,
} from "./admin_protocol.ts";
import { ClientConnection } from "./client_connection.ts";
import {
  type ModuleClient,
  moduleClient,
  type ModuleInterface,
} from "./module_client.ts";
import { readControlFile } from "./control_file.ts";
import { systemEnvironment } from "./system_environment.ts";

/** How to reach a cluster. */
export interface ConnectOptions {
  /** Addresses of nodes, as `host:port`: tried in this order, and from the start again when a connection breaks. */
  readonly nodes: readonly Address[];
  /** The cluster's shared secret. */
  readonly cookie: string;
  /** The name of the cluster that the nodes must belong to. @default {any} */
  readonly clusterName?: string;
  /**
   * Whether the client itself refuses an operation, with `overload`, while
   * vnodes that it needs have said that they are overloaded: for as long as
   * they said, 1.25 seconds at most. Such an error has `heeded` in its details.
   *
   * @default {true}
   */
  readonly heedOverload?: boolean;
  /**
   * Another client of the same cluster with which this one shares what it
   * learns about overload.
   *
   * @default {none}
   */
  readonly heedWith?: WhorlClient;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
  /** The environment. @default {the real one} */
  readonly environment?: Environment;
}

/** A client of a cluster. Disposing closes the connection. */
export interface WhorlClient extends AsyncDisposable {
  /**
   * `put`, `get` and `delete`. When the connected node is lost, or answers that
   * it has left its cluster, all operations continue at another node. When a
   * read was answered `closed` or `not_leader`, they do so once another node
   * accepts. Reads are sent again; writes in flight fail with
   * `connection_closed`, or with the node's answer.
   */
  readonly kv: KvClient;
  /** `ra_kv`, the consistent store: its clusters, their keys and their members. */
  readonly raKv: RaKvClient;
  /** The commands and coverage queries of an application's module, typed as the module declares them. The nodes must run it. */
  // deno-lint-ignore ban-types -- see ModuleClient.
  module<C extends VnodeCommands, V extends VnodeCommands = {}>(
    module: ModuleInterface<C, V>,
  ): ModuleClient<C, V>;
  /** Name of the node that is connected now. */
  readonly node: string;
  /** Closes the connection; unanswered operations fail with `closed`. */
  close(): Promise<void>;
}

/**
 * Connects to a cluster.
 *
 * ```ts ignore
 * await using client = await connect({
 *   nodes: ["127.0.0.1:10101", "127.0.0.1:10102"],
 *   cookie: "a secret all nodes share",
 * });
 * await client.kv.put("users", "ann", { age: 41 });
 * ```
 *
 * @throws {WhorlError} `not_reachable`, `wrong_cookie`, `wrong_cluster`,
 * `wrong_version`, or `invalid_config` if `nodes` is empty, or `heedWith` is
 * not a client that heeds overload.
 */
export async function connect(options: ConnectOptions): Promise<WhorlClient> {
  if (options.nodes.length === 0) {
    throw new WhorlError(
      "invalid_config",
      "Cannot connect as 'nodes' must name at least one address: it is empty",
    );
  }
  const environment = options.environment ?? systemEnvironment();
  const overloads = overloadsOf(options, environment);
  const connection = new ClientConnection({
    environment,
    addresses: options.nodes,
    cookie: new Cookie(options.cookie),
    ...(options.clusterName === undefined
      ? {}
      : { clusterName: options.clusterName }),
    reconnect: true,
    ...(overloads === undefined ? {} : { overloads }),
  });
  try {
    await connection.open(options.signal);
  } catch (error) {
    await connection.close();
    throw error;
  }
  return new ConnectedClient(connection, overloads);
}

function overloadsOf(
  { heedOverload = true, heedWith }: ConnectOptions,
  environment: Environment,
): HeededOverloads | undefined {
  if (!heedOverload) return undefined;
  if (heedWith === undefined) {
    return new HeededOverloads(() => environment.random());
  }
  const shared = heedWith instanceof ConnectedClient
    ? heedWith.overloads
    : undefined;
  if (shared !== undefined) return shared;
  throw new WhorlError(
    "invalid_config",
    "Cannot connect as 'heedWith' must be a client that heeds overload",
  );
}

/** A client over one connection. */
class ConnectedClient implements WhorlClient {
  readonly kv: KvClient;
  readonly raKv: RaKvClient;
  // Not methods, so that a client can be destructured.
  readonly module: WhorlClient["module"] = (module) =>
    moduleClient(module, () => this.#connection);
  readonly close = (): Promise<void> => this.#connection.close();
  /** What it has learned about overload, if it heeds that. */
  readonly overloads: HeededOverloads | undefined;
  readonly #connection: ClientConnection;

  constructor(
    connection: ClientConnection,
    overloads: HeededOverloads | undefined,
  ) {
    this.#connection = connection;
    this.overloads = overloads;
    this.kv = kvClient(() => connection);
    this.raKv = raKvClient(
      () => connection,
      (method, args, options) => connection.call(method, args, options),
    );
  }

  get node(): string {
    return this.#connection.node;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection.close();
  }
}

/** Opens sessions over TCP; see {@linkcode OpenSession}. */
export const openSession: OpenSession = async (target, options = {}) => {
  const { node, address, cookieFile } = "dataDirectory" in target
    ? await controlOf(target.dataDirectory)
    : { ...target, cookieFile: null };
  const cookie = options.cookie ?? await cookieIn(cookieFile, node);
  const connection = new ClientConnection({
    environment: systemEnvironment(),
    addresses: [address],
    cookie: new Cookie(cookie),
    expectedNode: node,
    reconnect: false,
  });
  try {
    await connection.open(options.signal);
  } catch (error) {
    await connection.close();
    if (isWhorlError(error, "not_reachable")) {
      throw new WhorlError(
        "node_not_running",
        `Cannot talk to ${node} as nobody answers at ${address}`,
        { cause: error },
      );
    }
    throw error;
  }
  const session: AdminSession = {
    node,
    kv: kvClient(() => connection),
    raKv: raKvClient(
      () => connection,
      (method, args, callOptions) => connection.call(method, args, callOptions),
    ),
    call: <Method extends keyof AdminMethods>(
      method: Method,
      args: AdminMethods[Method]["args"],
      callOptions: CallOptions = {},
    ) =>
      connection.call(method, args, callOptions) as Promise<
        AdminMethods[Method]["result"]
      >,
    [Symbol.asyncDispose]: () => connection.close(),
  };
  return session;
};

async function controlOf(dataDirectory: string) {
  const control = await readControlFile(dataDirectory);
  if (control !== undefined) return control;
  throw new WhorlError(
    "node_not_running",
    `Cannot talk to a node on ${dataDirectory} as none runs there`,
  );
}

async function cookieIn(path: string | null, node: string): Promise<string> {
  if (path === null) {
    throw new WhorlError(
      "invalid_config",
      `Cannot talk to ${node} without the cluster's cookie`,
    );
  }
  return (await Deno.readTextFile(path)).trim();
}
