/**
 * The vnodes of a master under their one_for_one supervisor: how they are started,
 * restarted when they crash, and ended for good.
 *
 *     prepared ── start ──► running ── end ──► gone
 *        ▲                     │
 *        └────── crash ────────┘
 *
 * A vnode is _prepared_ before the supervisor starts it: it has a mailbox, in
 * which requests wait.
 *
 * @module
 */
import {
  formatReason,
  type SerializedError,
} from "../../supervisors/exit_reason.ts";
import {
  startSupervisor,
  type Supervisor,
} from "../../supervisors/supervisor.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { isStoreFailure, reasonOf, WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { commandTableOf } from "./command_table.ts";
import type { KnownRings } from "./known_rings.ts";
import type { VnodeModule } from "./vnode.ts";
import type { VnodeHost } from "./vnode_host.ts";
import { VnodeProcess, type VnodeStart } from "./vnode_process.ts";

/** How often vnodes of one master may crash before the master itself gives up. */
export const VNODE_RESTARTS_MAX = 1_000;
/** The span in which those restarts are counted. */
export const VNODE_RESTARTS_PERIOD_MS = 10_000;

/** What the vnodes need from their master. */
export interface MasterVnodesHost {
  readonly module: VnodeModule;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Whether the master is being stopped: nothing is started any more. */
  isStopping(): boolean;
  /**
   * What a vnode is started with.
   *
   * @param ended Aborted when the vnode has ended.
   */
  contextOf(process: VnodeProcess, ended: AbortSignal): VnodeStart;
  /** `process` has ended. */
  left(process: VnodeProcess): void;
  /** Reports an event to the node. */
  tell(event: Record<string, unknown>): void;
  /** Ends the master, which cannot continue. */
  fail(error: Error): void;
}

/** The vnodes of one master, by number. */
export class MasterVnodes {
  readonly #host: MasterVnodesHost;
  readonly #create: (number: number) => VnodeProcess;
  #rings: KnownRings;
  #supervisor: Supervisor | undefined;
  /** Vnodes that run, or will: requests wait in those that have not started. */
  readonly #processes = new Map<number, VnodeProcess>();
  /** Vnodes under the supervisor, running or waiting to be restarted. */
  readonly #supervised = new Set<number>();
  /** Vnodes that are ending for good. */
  readonly #ending = new Set<number>();
  /** Those of them that this node has become the owner of since. */
  readonly #wantedAgain = new Set<number>();

  constructor(
    host: MasterVnodesHost,
    vnodeHost: VnodeHost<VnodeProcess>,
    rings: KnownRings,
  ) {
    const { module } = host;
    const table = commandTableOf(module);
    this.#host = host;
    this.#rings = rings;
    // Named first: V8 allocates a function literal in a property assignment in
    // the old generation.
    const create = (number: number): VnodeProcess =>
      new VnodeProcess(vnodeHost, module, table, number);
    this.#create = create;
  }

  /** Starts the supervisor; no vnode runs yet. */
  async open(): Promise<void> {
    const host = this.#host;
    this.#supervisor = await startSupervisor({
      name: "vnodes",
      strategy: "one_for_one",
      intensity: VNODE_RESTARTS_MAX,
      periodMs: VNODE_RESTARTS_PERIOD_MS,
      children: [],
      runtime: host.runtime,
    });
    this.#supervisor.onExit((reason) => {
      if (!host.isStopping()) {
        host.fail(new Error(`The vnodes gave up: ${formatReason(reason)}`));
      }
    });
  }

  /** Whether vnodes can be started. */
  get canStart(): boolean {
    return !this.#host.isStopping() && this.#supervisor !== undefined;
  }

  /** What is known of the ring. */
  get rings(): KnownRings {
    return this.#rings;
  }

  /** The ring has changed. */
  follow(rings: KnownRings): void {
    this.#rings = rings;
    for (const process of this.#processes.values()) {
      process.bind(rings.isBound(process.number));
    }
  }

  /** The vnode with this number, if it is running or prepared. */
  get(number: number): VnodeProcess | undefined {
    return this.#processes.get(number);
  }

  /** All vnodes that are running or prepared. */
  all(): Iterable<VnodeProcess> {
    return this.#processes.values();
  }

  /** The numbers of vnodes that run or wait to be restarted. */
  numbers(): Iterable<number> {
    return this.#supervised;
  }

  /** Starts the vnode with this number, which this node owns, even if it is just ending. */
  own(number: number): void {
    if (this.#ending.has(number)) this.#wantedAgain.add(number);
    this.start(number);
  }

  /** Puts the vnode with this number under the supervisor, unless it is there. */
  start(number: number): void {
    const host = this.#host;
    const supervisor = this.#supervisor;
    if (supervisor === undefined || this.#supervised.has(number)) return;
    this.#supervised.add(number);
    if (!this.#processes.get(number)?.fresh) this.#prepare(number);
    host.tell({ type: "vnode_started", vnode: number });
    supervisor.startChild({
      id: String(number),
      restart: "permanent",
      shutdown: 5_000,
      backoff: { minMs: 5, maxMs: 5_000 },
      start: (signal) => this.#run(number, signal),
    }).catch((error) => {
      // A first start that fails leaves no child; the next request tries again.
      this.#supervised.delete(number);
      this.#processes.get(number)?.kill();
      this.#processes.delete(number);
      const failure = {
        partition: partitionOfVnode(number),
        error: reasonOf(error),
      };
      host.log.error("A vnode did not start", failure);
      host.tell({ type: "vnode_failed", ...failure });
    });
  }

  #prepare(number: number): VnodeProcess {
    const process = this.#create(number);
    process.bind(this.#rings.isBound(number));
    this.#processes.set(number, process);
    return process;
  }

  async #run(number: number, signal: AbortSignal): Promise<VnodeProcess> {
    const prepared = this.#processes.get(number);
    const process = prepared?.fresh ? prepared : this.#prepare(number);
    const ended = new AbortController();
    process.onExit((reason) => {
      if (this.#processes.get(number) === process) {
        this.#processes.delete(number);
        if (this.#supervised.has(number) && !this.#host.isStopping()) {
          this.#prepare(number);
        }
      }
      ended.abort(reason);
      this.#host.left(process);
      if (typeof reason === "object" && reason.type === "crash") {
        this.#crashed(process, reason.error);
      }
    });
    // An `init` that never returns must not keep the master from stopping.
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    const giveUp = (): void =>
      reject(
        new WhorlError("closed", "The vnode was stopped while it was starting"),
      );
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    process.onExit(() => signal.removeEventListener("abort", giveUp));
    try {
      await Promise.race([
        givenUp,
        process.start(this.#host.contextOf(process, ended.signal)),
      ]);
    } catch (error) {
      process.kill();
      throw error;
    }
    return process;
  }

  #crashed(
    { partition }: VnodeProcess,
    { code, message }: SerializedError,
  ): void {
    this.#host.log.warn("A vnode crashed", { partition, error: message });
    this.#host.tell({ type: "vnode_crashed", partition, error: message });
    // With its code, which tells the node that the store is the cause.
    if (isStoreFailure(code)) this.#host.fail(new WhorlError(code, message));
  }

  /** Ends `process` for good, unless it has been replaced. */
  async end(process: VnodeProcess): Promise<void> {
    const { number } = process;
    if (
      this.#processes.get(number) !== process ||
      !this.#supervised.has(number)
    ) return;
    this.#ending.add(number);
    process.stop("shutdown");
    await this.#supervisor?.terminateChild(String(number));
    await this.#supervisor?.deleteChild(String(number));
    this.#supervised.delete(number);
    this.#ending.delete(number);
    this.#host.tell({ type: "vnode_ended", vnode: number });
    // Requests that arrived meanwhile wait in the vnode prepared to replace it.
    const next = this.#processes.get(number);
    const wanted = this.#wantedAgain.delete(number);
    if (wanted || (next?.fresh && next.load > 0)) this.start(number);
    else if (next?.fresh) this.#processes.delete(number);
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    await this.#supervisor?.shutdown();
    // Vnodes that were never started are not under the supervisor.
    for (const process of this.#processes.values()) process.kill();
  }
}
