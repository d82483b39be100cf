/**
 * A node under attack: its process, the disk and clock it has been given, and
 * whether it may fall.
 *
 * @module
 */
import { reasonOf } from "../../src/base/errors.ts";
import type { Address } from "../../src/environment/transport.ts";
import type { KvClient } from "../../src/kv/kv_client.ts";
import type { WhorlClient } from "../../src/node/connect.ts";
import { ProcessNode } from "../harness/process_node.ts";
import type { NodeControl, PlainNodeOptions } from "../harness/test_node.ts";
import type { DiskControl } from "./fault_library.ts";
import { findFlaw } from "./store_scrub.ts";

/** What a node is made of. */
export interface NemesisNodeOptions {
  readonly node: PlainNodeOptions & { readonly dataDirectory: string };
  /** Words before the program. */
  readonly prefix: readonly string[];
  /** Its disk and clock, if they can be harmed. */
  readonly disk: DiskControl | undefined;
  /** Told the id of each of its processes. */
  readonly onStart: (pid: number) => void;
  /** Takes what it logs. */
  readonly onLine: (line: string) => void;
  /** Told where it listens each time it is up. */
  readonly onUp: (address: Address) => void;
  /** Told that it has ended by itself, and whether anything was done that excuses it. */
  readonly onFall: (how: string, excused: boolean) => void;
}

/** Time that a node takes to end once it has given up, in milliseconds. */
const GIVING_UP_MS = 3_000;

/** See the module comment. */
export class NemesisNode {
  readonly name: string;
  readonly dataDirectory: string;
  readonly #options: NemesisNodeOptions;
  readonly #process: ProcessNode;
  #excuses = 0;
  #excusedUntilMs = 0;
  #remedy: (() => Promise<void>) | undefined;
  #mending: Promise<void> | undefined;
  #paused = false;
  #wanted = false;
  /** How often it has ended by itself, with reason or without. */
  falls = 0;

  constructor(options: NemesisNodeOptions) {
    const { node, prefix, disk, onStart, onLine } = options;
    this.name = node.name;
    this.dataDirectory = node.dataDirectory;
    this.#options = options;
    this.#process = new ProcessNode(node, {
      prefix,
      onStart,
      onLine,
      ...(disk === undefined ? {} : { env: disk.environment }),
    });
  }

  /** Its disk and clock. @throws {Error} If they cannot be harmed here. */
  get disk(): DiskControl {
    const { disk } = this.#options;
    if (disk === undefined) throw new Error(`${this.name} has a sound disk`);
    return disk;
  }

  /** Whether its process lives; it may stand still. */
  get running(): boolean {
    return this.#process.running;
  }

  /** Where it listens. */
  get address(): Address {
    return this.#process.address;
  }

  /** Its methods, told over its standard input: no network fault is in the way. */
  get control(): NodeControl {
    return this.#process.control;
  }

  /** Operations through this node alone. */
  get kv(): KvClient {
    return this.#process.kv;
  }

  /** A client of this node alone, as long as this life of it. @throws {Error} If it does not run. */
  client(): Promise<WhorlClient> {
    return this.#process.client();
  }

  /** Starts it, unless it runs. @throws {WhorlError} What keeps it from starting. */
  async start(): Promise<void> {
    await this.#mending;
    if (this.running) return;
    this.#wanted = true;
    await this.#process.start();
    // It can have been killed in the moment it was up.
    if (!this.running) return;
    this.#paused = false;
    this.#options.onUp(this.#process.address);
    void this.#process.ended().then(({ signal, code }) => {
      if (this.#wanted) this.#fell(`${signal ?? code}`);
    });
  }

  #fell(how: string): void {
    this.falls++;
    // Whoever has harmed its disk starts it when that is over.
    if (this.#excuses > 0) return this.#options.onFall(how, true);
    const remedy = this.#remedy;
    this.#remedy = undefined;
    const late = performance.now() < this.#excusedUntilMs;
    const excused = late || remedy !== undefined;
    this.#options.onFall(how, excused);
    if (!excused) return;
    this.#mending = remedy?.() ?? Promise.resolve();
    void this.#mending.then(async () => {
      this.#mending = undefined;
      if (this.#wanted) await this.start();
    }).catch((error) =>
      this.#options.onFall(`it cannot be mended: ${reasonOf(error)}`, false)
    );
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#wanted = false;
    await this.#process.kill();
  }

  /** Stops it in order. @throws {Error} If it does not end as it should. */
  async stop(): Promise<void> {
    this.#wanted = false;
    await this.#process.stop();
  }

  /** SIGSTOP, if it runs. */
  pause(): void {
    if (!this.running) return;
    this.#paused = true;
    this.#process.pause();
  }

  /** SIGCONT, if it stands still. */
  resume(): void {
    if (!this.running || !this.#paused) return;
    this.#paused = false;
    this.#process.resume();
  }

  /**
   * What to do before it is started again if it ends by itself once more.
   * `undefined` when it has no reason to any longer.
   */
  mendBy(remedy: (() => Promise<void>) | undefined): void {
    this.#remedy = remedy;
  }

  /**
   * If its store was damaged, stops it and has its operator look at the store;
   * one that is flawed is mended. Returns the flaw.
   */
  async scrub(): Promise<string | undefined> {
    if (this.#remedy === undefined) return undefined;
    await this.kill();
    const flaw = await findFlaw(this.dataDirectory);
    if (flaw !== undefined) {
      await this.#remedy();
      this.#remedy = undefined;
    }
    await this.start();
    return flaw;
  }

  /** From now until the returned function is called, and a little longer, it may end by itself. */
  mayFall(): () => void {
    this.#excuses++;
    return () => {
      this.#excuses--;
      this.#excusedUntilMs = performance.now() + GIVING_UP_MS;
    };
  }
}
