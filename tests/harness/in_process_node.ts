/**
 * A node in this process, on a network of memory. Everything else of it is as
 * in production: clocks, timers, stores, workers.
 *
 * @module
 */
import type { Environment } from "../../src/environment/environment.ts";
import type { Address } from "../../src/environment/transport.ts";
import type { KvClient } from "../../src/kv/kv_client.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { startNode } from "../../src/node/start_node.ts";
import { systemEnvironment } from "../../src/node/system_environment.ts";
import type { MemoryNetwork } from "../../src/transport/memory_transport.ts";
import { EventLog, plainEvent } from "./event_log.ts";
import { lineLog, LineTail } from "./line_log.ts";
import {
  NODE_METHODS,
  type NodeControl,
  nodeControl,
  type PlainNodeOptions,
  type TestNode,
} from "./test_node.ts";

/** The environment of whoever lives on `host` of `network`. */
export function memoryEnvironment(
  network: MemoryNetwork,
  host: string,
  lines: LineTail,
): Environment {
  const log = lineLog((line) => lines.add(line));
  return {
    ...systemEnvironment(log),
    transport: network.transport(host),
  };
}

/** A node in this process. */
export class InProcessNode implements TestNode {
  readonly name: string;
  readonly control: NodeControl;
  readonly kv: KvClient;
  readonly events: EventLog;
  readonly host: string;
  #network: MemoryNetwork;
  #options: PlainNodeOptions;
  #node: WhorlNode | undefined;
  #address: Address | undefined;
  #lines = new LineTail();
  /** The other hosts, from which a killed node is cut off. */
  #others: () => readonly string[];
  #cutFrom: string[] = [];

  constructor(
    network: MemoryNetwork,
    options: PlainNodeOptions,
    others: () => readonly string[],
  ) {
    this.#network = network;
    this.#options = options;
    this.#others = others;
    this.name = options.name;
    this.host = options.name.slice(options.name.indexOf("@") + 1);
    this.events = new EventLog(options.name);
    this.control = nodeControl(async (method, args) => {
      const perform = NODE_METHODS[method] as (
        node: WhorlNode,
        ...args: unknown[]
      ) => unknown;
      return await perform(this.#running, ...args);
    });
    this.kv = {
      get: (...args) => this.#running.kv.get(...args),
      put: (...args) => this.#running.kv.put(...args),
      delete: (...args) => this.#running.kv.delete(...args),
      keys: (...args) => this.#running.kv.keys(...args),
    };
  }

  get #running(): WhorlNode {
    if (this.#node === undefined) throw new Error(`${this.name} does not run`);
    return this.#node;
  }

  get inside(): WhorlNode | undefined {
    return this.#node;
  }

  get running(): boolean {
    return this.#node !== undefined;
  }

  get address(): Address {
    return this.#address ?? `${this.host}:0`;
  }

  async start(changes: Partial<PlainNodeOptions> = {}): Promise<void> {
    for (const other of this.#cutFrom) this.#network.heal(this.host, other);
    this.#cutFrom = [];
    const { modules = [], ...options } = { ...this.#options, ...changes };
    const node = await startNode({
      ...options,
      listen: options.listen ?? this.address,
      modules: modules.map((url) => ({ url })),
      environment: memoryEnvironment(this.#network, this.host, this.#lines),
    });
    this.#node = node;
    this.#address = node.address;
    node.subscribe((event) => this.events.record(plainEvent(event)));
  }

  async stop(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    await node?.stop();
  }

  async ended(): Promise<void> {
    const node = this.#node;
    await node?.stopped;
    // It may have been started again since.
    if (this.#node === node) this.#node = undefined;
  }

  async kill(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    if (node === undefined) return;
    this.#cutFrom = this.#others().filter((host) => host !== this.host);
    for (const other of this.#cutFrom) this.#network.cut(this.host, other);
    // What the system does for a dead process: its files are closed, so that
    // nothing is written any more and the next one may have the directory.
    await node.parts.home?.[Symbol.asyncDispose]();
    node.root.kill();
  }

  pause(): void {
    throw new Error("A node in this process cannot be paused alone");
  }

  resume(): void {
    throw new Error("A node in this process cannot be paused alone");
  }

  log(): string {
    return `${this.#lines}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
