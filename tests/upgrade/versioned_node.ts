/**
 * A node that is stopped and started with another version on the same data
 * directory and address.
 *
 * @module
 */
import type { Address } from "../../src/environment/transport.ts";
import type { KvClient } from "../../src/kv/kv_client.ts";
import { ProcessNode } from "../harness/process_node.ts";
import type { NodeControl, PlainNodeOptions } from "../harness/test_node.ts";

/** Which tree a node runs. */
export type Version = "earlier" | "present";

/** A node of one version or the other. */
export class VersionedNode implements AsyncDisposable {
  readonly name: string;
  readonly #options: PlainNodeOptions;
  readonly #earlierScript: string;
  readonly #logs: string[] = [];
  #process: ProcessNode | undefined;
  #address: Address;
  version: Version = "earlier";

  constructor(options: PlainNodeOptions, earlierScript: string) {
    this.name = options.name;
    this.#options = options;
    this.#earlierScript = earlierScript;
    this.#address = options.listen ?? "127.0.0.1:0";
  }

  /** Where it listens; the same in all its lives. */
  get address(): Address {
    return this.#address;
  }

  get #running(): ProcessNode {
    if (this.#process === undefined) throw new Error(`${this.name} is stopped`);
    return this.#process;
  }

  /** Whether its process lives. */
  get running(): boolean {
    return this.#process?.running ?? false;
  }

  /** Its methods; an earlier version has fewer. */
  get control(): NodeControl {
    return this.#running.control;
  }

  /** Operations through this node, by a client of the present version. */
  get kv(): KvClient {
    return this.#running.kv;
  }

  /** Starts it as `version`. @throws {WhorlError} What keeps it from starting. */
  async start(version: Version): Promise<void> {
    this.version = version;
    const process = new ProcessNode(
      { ...this.#options, listen: this.#address },
      version === "earlier" ? { script: this.#earlierScript } : {},
    );
    this.#process = process;
    try {
      await process.start();
      this.#address = process.address;
    } finally {
      this.#logs.push(`${this.name}, ${version}:`);
    }
  }

  /** Stops it in order. @throws {Error} If it does not end as it should. */
  async stop(): Promise<void> {
    const process = this.#process;
    await process?.stop();
    this.#keepLog();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#keepLog();
  }

  #keepLog(): void {
    if (this.#process !== undefined) this.#logs.push(this.#process.log());
    this.#process = undefined;
  }

  /** What it logged last in each of its lives. */
  log(): string {
    return [...this.#logs, this.#process?.log() ?? ""].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
