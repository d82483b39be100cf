/**
 * The cluster of a run: node processes with stores on disk, joined over a
 * network of proxies.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";
import { WhorlError } from "../../src/base/errors.ts";
import { shortName } from "./short_name.ts";
import { DiskControl } from "./fault_library.ts";
import type { Machine } from "./machine.ts";
import { Namespaces } from "./namespaces.ts";
import { NemesisNode } from "./nemesis_node.ts";
import { ProxiedNetwork } from "./proxied_network.ts";
import type { RunDirectory } from "./run_directory.ts";

/** The secret of the cluster. */
export const NEMESIS_COOKIE = "a secret for the nemesis";
const RING_SIZE = 16;

/** What a cluster is made of. */
export interface NemesisClusterOptions {
  readonly nodes: number;
  /** Where vnodes store. */
  readonly storage: "memory" | "deno_kv";
  readonly machine: Machine;
  /** Keeps its files, and knows what to remove if the run is killed. */
  readonly directory: RunDirectory;
  /** What lanes draw from. */
  readonly chance: Chance;
  /** Whether nodes get network namespaces. */
  readonly namespaces: boolean;
  /** Takes what a reader of the terminal should know. */
  readonly tell: (text: string) => void;
  /** Told of a node that has ended by itself, and whether anything was done that excuses it. */
  readonly onFall: (node: string, how: string, excused: boolean) => void;
}

/** See the module comment. Disposing ends its processes. */
export class NemesisCluster implements AsyncDisposable {
  readonly nodes: readonly NemesisNode[];
  readonly network: ProxiedNetwork;
  /** Takes what a reader of the terminal should know. */
  readonly tell: (text: string) => void;
  readonly #namespaces: Namespaces | undefined;

  private constructor(
    nodes: readonly NemesisNode[],
    network: ProxiedNetwork,
    namespaces: Namespaces | undefined,
    tell: (text: string) => void,
  ) {
    this.nodes = nodes;
    this.network = network;
    this.#namespaces = namespaces;
    this.tell = tell;
  }

  /** Makes, starts and joins nodes. What was made is removed if that fails. */
  static async start(options: NemesisClusterOptions): Promise<NemesisCluster> {
    const { directory, nodes: count } = options;
    const namespaces = options.namespaces
      ? await Namespaces.make(
        directory.claimNamespaces(),
        directory.networkNumber,
        count,
      )
      : undefined;
    const hosts = Array.from(
      { length: count },
      (_, i) => namespaces?.address(i) ?? "127.0.0.1",
    );
    const names = hosts.map((host, i) => `dev${i + 1}@${host}`);
    const network = new ProxiedNetwork(
      names,
      namespaces?.hostAddress ?? "127.0.0.1",
      options.chance,
    );
    const nodes = names.map((name, i) =>
      makeNode(name, namespaces?.prefix(i) ?? [], network, options)
    );
    const cluster = new NemesisCluster(
      nodes,
      network,
      namespaces,
      options.tell,
    );
    try {
      await Promise.all(nodes.map((node) => node.start()));
      await cluster.#join();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  async #join(): Promise<void> {
    const [first, ...others] = this.nodes as [NemesisNode, ...NemesisNode[]];
    for (const node of others) {
      await node.control.join(
        this.network.addressFor(node.name, first.name),
      );
    }
    if (others.length > 0) {
      const { planId } = await first.control.plan();
      await first.control.commit(planId);
    }
    await this.settled(SETTLE_MS_MAX);
  }

  /** The node of that name. */
  node(name: string): NemesisNode {
    const node = this.nodes.find((node) => node.name === name);
    if (node === undefined) throw new RangeError(`There is no node ${name}`);
    return node;
  }

  /** Loses so many packets in a hundred that arrive at a node. */
  async lose(name: string, percent: number): Promise<void> {
    const index = this.nodes.findIndex((node) => node.name === name);
    await this.#namespaces?.lose(index, percent);
  }

  /** Starts every node that does not run, and mends stores that were damaged beyond what a node can repair. */
  async mend(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
    for (const node of this.nodes) {
      const flaw = await node.scrub();
      if (flaw !== undefined) {
        this.tell(`${shortName(node.name)}: its operator found: ${flaw}`);
      }
    }
  }

  /** Waits until every node sees a cluster at rest. @throws {WhorlError} `timeout` if one does not. */
  async settled(waitMs: number): Promise<void> {
    const settled = await Promise.all(
      this.nodes.map((node) => node.control.settled(waitMs)),
    );
    const not = this.nodes.filter((_, i) => !settled[i]);
    if (not.length === 0) return;
    throw new WhorlError(
      "timeout",
      `${not.map(({ name }) => name).join(", ")} did not settle in ${
        Math.round(waitMs)
      } ms`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await this.network[Symbol.asyncDispose]();
    await this.#namespaces?.[Symbol.asyncDispose]();
  }
}

const SETTLE_MS_MAX = 20_000;

function makeNode(
  name: string,
  prefix: readonly string[],
  network: ProxiedNetwork,
  { directory, machine, storage, onFall }: NemesisClusterOptions,
): NemesisNode {
  const short = shortName(name);
  const dataDirectory = `${directory.path}/data/${short}`;
  const log = directory.log(short);
  return new NemesisNode({
    node: {
      name,
      listen: `${name.slice(name.indexOf("@") + 1)}:0`,
      cookie: NEMESIS_COOKIE,
      storage,
      // Without stores there is nothing to keep off the node's own thread.
      masterPlacement: storage === "memory" ? "task" : "worker",
      ringSize: RING_SIZE,
      dataDirectory,
      peers: network.peersOf(name),
    },
    prefix,
    disk: "path" in machine.library
      ? new DiskControl(
        machine.library.path,
        `${directory.path}/${short}.control`,
        dataDirectory,
      )
      : undefined,
    onStart: (pid) => directory.claimProcess(pid),
    onLine: log,
    onUp: (address) => network.listens(name, address),
    onFall: (how, excused) => onFall(name, how, excused),
  });
}
