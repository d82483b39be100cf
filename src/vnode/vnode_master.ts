/**
 * A vnode master: it holds one store and runs the vnodes of its partitions,
 * each under a one_for_one supervisor. It lives where its program is placed,
 * in this thread, a worker or a subprocess, and talks in frames only.
 *
 * Frames in: `vnodeRequest` for a vnode, `call` and `masterControl` for the
 * master itself. Frames out: answers to them.
 *
 * Vnodes are known by their numbers (`ring_generations.ts`), which differ from
 * partitions once the ring has been resized: the vnodes of the ring as it was may
 * run beside those of the ring as it is or is to be.
 *
 * A vnode is started by the first request for it or when its node comes to own
 * it. A store that has failed ends the whole master, since only opening it anew
 * tells what was kept.
 *
 * @module
 */
import { formatReason } from "../../supervisors/exit_reason.ts";
import {
  startSupervisor,
  type Supervisor,
} from "../../supervisors/supervisor.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { isStoreFailure, reasonOf, WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { Store } from "../environment/storage.ts";
import {
  BatchingSink,
  type BatchingSinkOptions,
} from "../wire/batching_sink.ts";
import { writeFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, wellFormed, writeMsgpack } from "../wire/msgpack.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { beginsHandoff, HandoffAction } from "./handoff_codec.ts";
import { BackgroundPace } from "./background_pace.ts";
import type { ClusterEvent, VnodeModule } from "./vnode.ts";
import { type CommandTable, commandTableOf } from "./command_table.ts";
import { wentElsewhere } from "./vnode_answers.ts";
import type { VnodeHost } from "./vnode_host.ts";
import { VnodeProcess, type VnodeStart } from "./vnode_process.ts";
import { KnownRings } from "./known_rings.ts";
import { MasterPools } from "./master_pools.ts";
import { VnodeTurns } from "./vnode_turns.ts";
import {
  moduleIdOf,
  readVnodeRequestHeader,
  RequestFlag,
  type VnodeRequestHeader,
} from "./vnode_wire.ts";

/** How often vnodes of one master may crash before the master itself gives up. */
export const VNODE_RESTARTS_MAX = 1_000;
/** How often requests that wait, or were promised an answer, are looked through for overdue ones. */
const SWEEP_INTERVAL_MS = 1_000;
/** Time that commands have for each millisecond of work on transfers, in milliseconds: while they come, transfers take a third. */
const TRANSFERS_REST = 2;
/** Longest time by which a transfer is put off for that, in milliseconds. */
const TRANSFERS_WAIT_MS_MAX = 20;
/** The same of work on coverage queries, which take a ninth. */
const COVERAGE_REST = 8;
/** Longest time by which a query is put off, in milliseconds; many may have done a little before. */
const COVERAGE_WAIT_MS_MAX = 250;
/** The span in which those restarts are counted. */
export const VNODE_RESTARTS_PERIOD_MS = 10_000;

/** What a master is made of. */
export interface VnodeMasterOptions {
  /** What its vnodes run. */
  readonly module: VnodeModule;
  /** The node's name, for vnodes to know. */
  readonly node: string;
  /** Partitions of each generation of the ring, by the number of its first vnode. */
  readonly ringSizes: ReadonlyMap<number, number>;
  /** The first vnodes of generations that are no more. @default {[]} */
  readonly formerVnodes?: readonly number[];
  /** Vnodes whose writes are held until the ring to come has them. @default {[]} */
  readonly boundVnodes?: readonly number[];
  /** Where its vnodes keep their data; closed by the master when it stops. */
  readonly store: Store;
  readonly runtime: Runtime;
  /** Wall clock in milliseconds. */
  readonly wallClock: () => number;
  readonly chance: Chance;
  readonly secretBytes: (count: number) => Uint8Array<ArrayBuffer>;
  readonly log: Log;
  /** Takes over a batch of frames for the node. */
  readonly send: (message: Uint8Array<ArrayBuffer>) => void;
  /** Where the node is. */
  readonly sink?: BatchingSinkOptions;
  /** The master cannot go on. */
  readonly onFailed: (error: unknown) => void;
}

/**
 * Bytes of answers after which further requests wait for the next turn. Many
 * small requests for large values come in one message, and to answer them all
 * in one go would take so long that the master would be thought to hang.
 */
export const TURN_ANSWER_BYTES = 16 * 1024 * 1024;

/** A frame that waits for the next turn. */
interface PostponedFrame {
  readonly type: number;
  readonly correlation: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly start: number;
  readonly end: number;
  /** When its message arrived. */
  readonly receivedMs: number;
}

/** A vnode that went to another node. */
interface Released {
  /** Its name is what a caller is told. */
  readonly owner: string;
  /** The vnode, with the commands it had handled and the data it had taken: if there is more, what it holds went nowhere. */
  readonly process: VnodeProcess;
  readonly handled: number;
  readonly begun: number;
}

/** Runs the vnodes of one master. Made by {@linkcode startVnodeMaster}. */
export class VnodeMaster implements VnodeHost<VnodeProcess> {
  readonly answers: BatchingSink;
  /** How fast transfers of its vnodes may go. */
  readonly pace: BackgroundPace = new BackgroundPace(
    TRANSFERS_REST,
    TRANSFERS_WAIT_MS_MAX,
  );
  /** How fast coverage queries may go. */
  readonly coveragePace: BackgroundPace = new BackgroundPace(
    COVERAGE_REST,
    COVERAGE_WAIT_MS_MAX,
  );
  readonly turns: VnodeTurns;
  #options: VnodeMasterOptions;
  #rings: KnownRings;
  #table: CommandTable;
  #moduleId: number;
  #supervisor: Supervisor | undefined;
  /** Vnodes that run, or will: requests wait in those that have not started. */
  #processes = new Map<number, VnodeProcess>();
  /** Partitions whose vnode is under the supervisor, running or waiting to be restarted. */
  #supervised = new Set<number>();
  /** Partitions that were handed to another node, whose data is here until the ring says so too. */
  #released = new Map<number, Released>();
  /**
   * Who owns those whose data has been removed since, and has not come back. Whoever does not know of it
   * yet and takes this node for the owner must hear so: a vnode that is started to
   * stand in would say that there is nothing.
   */
  readonly #gone = new Map<number, string>();
  /** Partitions whose vnode is ending for good. */
  readonly #ending = new Set<number>();
  /** Those of them that this node has come to own meanwhile. */
  readonly #wantedAgain = new Set<number>();
  /** The pools and workers of the module. */
  readonly #pools: MasterPools;
  #listeners = new Set<{
    readonly process: VnodeProcess;
    readonly listener: (event: ClusterEvent) => void;
  }>();
  #sweep: TimerHandle | undefined;
  #header: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  #reader = new ByteReader(new Uint8Array(0));
  /** When the message under way arrived. */
  #receivedMs = 0;
  /** Bytes of answers since the master last let others have their turn. */
  #answeredBytes = 0;
  /** Frames that wait for the next turn, in order; those before `#postponedFrom` have been handled. */
  #postponed: PostponedFrame[] = [];
  #postponedFrom = 0;
  #nextTurn: TimerHandle | undefined;
  /** What handoffs do later. */
  readonly #timers = new Set<TimerHandle>();
  #failed = false;
  #stopping = false;

  constructor(options: VnodeMasterOptions) {
    this.#options = options;
    this.turns = new VnodeTurns(options.runtime);
    const { ringSizes, formerVnodes = [], boundVnodes = [] } = options;
    this.#rings = new KnownRings([...ringSizes], formerVnodes, boundVnodes);
    this.#table = commandTableOf(options.module);
    this.#moduleId = moduleIdOf(options.module.name);
    this.#pools = new MasterPools(
      options.module,
      options.runtime,
      options.log,
      {
        zombie: () => this.#tell({ type: "zombie" }),
        workers: (workers) => this.#tell({ type: "workers", workers }),
      },
    );
    this.answers = new BatchingSink(
      (callback) => options.runtime.defer(callback),
      (batch) => {
        this.#answeredBytes += batch.length;
        options.send(batch);
      },
      options.sink,
    );
  }

  /** Starts the supervisor of the vnodes; none runs yet. */
  async start(): Promise<void> {
    const { runtime } = this.#options;
    this.#supervisor = await startSupervisor({
      name: "vnodes",
      strategy: "one_for_one",
      intensity: VNODE_RESTARTS_MAX,
      periodMs: VNODE_RESTARTS_PERIOD_MS,
      children: [],
      runtime,
    });
    this.#supervisor.onExit((reason) => {
      if (!this.#stopping) {
        this.#fail(new Error(`The vnodes gave up: ${formatReason(reason)}`));
      }
    });
    const { storeId, epoch, tailLost } = this.#options.store.state;
    if (tailLost) {
      this.#options.log.warn(
        "The store has lost commits that were acknowledged: what its vnodes hold may be old or missing until it is fetched from other nodes",
        { storeId, epoch },
      );
      this.#tell({ type: "tail_lost", storeId, epoch });
    }
  }

  /** Monotonic milliseconds. */
  now(): number {
    return this.#options.runtime.now();
  }

  /** Calls `callback` later, when others have had their turn. */
  later(afterMs: number, callback: () => void): void {
    if (this.#stopping) return;
    const timer = this.#options.runtime.setTimer(afterMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }

  /** What `process` held went to `owner`. It stays until the ring says so too, see `drop`. */
  released(process: VnodeProcess, owner: string): void {
    const { counts: { handled }, begun } = process;
    this.#released.set(process.number, { owner, process, handled, begun });
  }

  /** What `process` held is elsewhere and removed. */
  removed(process: VnodeProcess, stays: boolean): void {
    if (stays) {
      this.#tell({ type: "vnode_kept", vnode: process.number });
    } else this.#endVnode(process).catch((error) => this.#fail(error));
  }

  async #endVnode(process: VnodeProcess): Promise<void> {
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
    this.#tell({ type: "vnode_ended", vnode: number });
    // What came meanwhile waits in the one that was prepared to follow.
    const next = this.#processes.get(number);
    const wanted = this.#wantedAgain.delete(number);
    if (wanted || (next?.fresh && next.load > 0)) this.#startVnode(number);
    else if (next?.fresh) this.#processes.delete(number);
  }

  /** Sees to it that requests nobody waits for any more are given up, while there are any in hand. */
  requestsInHand(): void {
    if (this.#stopping) return;
    this.#sweep ??= this.#options.runtime.setTimer(SWEEP_INTERVAL_MS, () => {
      this.#sweep = undefined;
      let left = 0;
      for (const process of this.#processes.values()) {
        left += process.giveUpOverdue();
      }
      if (left > 0) this.requestsInHand();
    });
  }

  /** Says in the log when a vnode begins to refuse commands, and when it has room again. */
  overloaded(process: VnodeProcess, is: boolean): void {
    const { partition, waiting, waitingBytes } = process;
    const data = { partition, waiting, waitingBytes };
    const { log } = this.#options;
    if (is) log.warn("A vnode refuses commands as too many wait for it", data);
    else log.info("A vnode takes commands again", data);
  }

  /** Takes in a message from the node; the bytes belong to the master from now on. */
  receive(message: Uint8Array<ArrayBuffer>): void {
    this.#receivedMs = this.#options.runtime.now();
    this.turns.begin(this.#receivedMs);
    readFrames(message, 0, message.length, FRAME_BYTES_MAX, this.#onFrame);
  }

  /** Stops the vnodes, waits for work in pools and closes the store; what was acknowledged is durable then. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#pools.fallSilent();
    for (const timer of [this.#sweep, this.#nextTurn, ...this.#timers]) {
      if (timer !== undefined) this.#options.runtime.clearTimer(timer);
    }
    this.turns.close();
    for (const { type, correlation } of this.#postponedFrames()) {
      if (type !== FrameType.vnodeRequest) continue;
      this.#refuse(correlation, stoppingError());
    }
    await this.#supervisor?.shutdown();
    // Those that were never started are nobody's children.
    for (const process of this.#processes.values()) process.kill();
    await this.#pools.close();
    await this.#options.store.close();
    this.answers.flush();
  }

  readonly #onFrame = (
    type: number,
    _flags: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void => {
    const hasTurn = this.#answeredBytes < TURN_ANSWER_BYTES &&
      this.#nextTurn === undefined;
    if (hasTurn || this.#stopping) {
      this.#handleFrame(type, correlation, bytes, start, end);
      return;
    }
    const receivedMs = this.#receivedMs;
    this.#postponed.push({ type, correlation, bytes, start, end, receivedMs });
    this.#nextTurn ??= this.#options.runtime.setTimer(0, this.#takeTurn);
  };

  /** Goes on with what has been postponed, until that is too much again. */
  readonly #takeTurn = (): void => {
    this.#nextTurn = undefined;
    this.#answeredBytes = 0;
    for (const frame of this.#postponedFrames()) {
      const { type, correlation, bytes, start, end, receivedMs } = frame;
      this.#receivedMs = receivedMs;
      this.#handleFrame(type, correlation, bytes, start, end, true);
      if (this.#answeredBytes < TURN_ANSWER_BYTES) continue;
      this.#nextTurn = this.#options.runtime.setTimer(0, this.#takeTurn);
      return;
    }
  };

  /** Takes frames out of those that wait. */
  *#postponedFrames(): Generator<PostponedFrame> {
    while (this.#postponedFrom < this.#postponed.length) {
      yield this.#postponed[this.#postponedFrom++] as PostponedFrame;
    }
    this.#postponed = [];
    this.#postponedFrom = 0;
  }

  #handleFrame(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    postponed = false,
  ): void {
    switch (type) {
      case FrameType.vnodeRequest:
        this.#onRequest(correlation, bytes, start, end, postponed);
        return;
      case FrameType.call:
        this.#onCall(correlation, bytes.subarray(start, end));
        return;
      case FrameType.masterControl:
        this.#onControl(decodeMsgpack(bytes.subarray(start, end)));
        return;
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot take a frame of type ${type} in a vnode master`,
        );
    }
  }

  #onRequest(
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    postponed: boolean,
  ): void {
    const header = this.#header;
    this.#reader.reset(bytes, start, end);
    readVnodeRequestHeader(this.#reader, header);
    const { flags } = header;
    if (!(flags & RequestFlag.handoff)) this.pace.noteCommand();
    if (!(flags & (RequestFlag.handoff | RequestFlag.coverage))) {
      this.coveragePace.noteCommand();
    }
    const { vnode: number } = header;
    const partition = partitionOfVnode(number);
    // Nobody waits for it any more, and a put done now could surprise them later.
    if (postponed && this.#receivedMs + header.timeLeftMs <= this.now()) {
      this.#refuse(
        correlation,
        new WhorlError(
          "timeout",
          `The command waited for the master of partition ${partition} until its deadline had passed`,
          { details: { partition } },
        ),
      );
      return;
    }
    if (
      header.moduleId !== this.#moduleId ||
      partition >= this.#rings.sizeOf(number)
    ) {
      this.#refuse(
        correlation,
        new WhorlError(
          "invalid_argument",
          `Cannot run a command of partition ${partition}: this master serves '${this.#options.module.name}' in a ring of ${
            this.#rings.sizeOf(number)
          }`,
        ),
      );
      return;
    }
    const action = header.flags & RequestFlag.handoff
      ? bytes[this.#reader.offset]
      : undefined;
    // It has come back: whoever sends it all names this node from now on.
    if (action === HandoffAction.final) this.#gone.delete(number);
    // A former owner is as good a fallback as any other node.
    const owner = header.flags & (RequestFlag.asFallback | RequestFlag.handoff)
      ? undefined
      : this.#released.get(number)?.owner ?? this.#gone.get(number);
    if (owner !== undefined) {
      this.#refuse(correlation, wentElsewhere(partition, owner));
      return;
    }
    let process = this.#processes.get(number);
    // What goes on with a handoff goes on with the vnode that began it.
    const begins = action === undefined || beginsHandoff(action);
    if (
      process === undefined && !(header.flags & RequestFlag.handoff) &&
      this.#rings.isFormer(number)
    ) {
      // What was here is elsewhere. Started anew, it would say that there was nothing.
      this.#refuse(correlation, resizedError(partition));
      return;
    }
    if (process === undefined && begins) {
      if (this.#stopping || this.#supervisor === undefined) {
        this.#refuse(correlation, stoppingError());
        return;
      }
      this.#startVnode(number);
      process = this.#processes.get(number);
    }
    if (process === undefined) {
      this.#refuse(
        correlation,
        new WhorlError(
          "vnode_crashed",
          `The vnode of partition ${partition} is not running now`,
          { details: { partition } },
        ),
      );
      return;
    }
    process.request(
      correlation,
      header.command,
      header.flags,
      this.#receivedMs + header.timeLeftMs,
      bytes,
      this.#reader.offset,
      end,
    );
  }

  #refuse(correlation: number, error: WhorlError): void {
    writeFailure(
      this.answers.begin(FrameType.vnodeError, correlation),
      error,
    );
    this.answers.end();
  }

  /** Puts the vnode with this number under the supervisor, unless it is there. */
  #startVnode(number: number): void {
    const supervisor = this.#supervisor;
    if (supervisor === undefined || this.#supervised.has(number)) return;
    this.#supervised.add(number);
    if (!this.#processes.get(number)?.fresh) this.#prepare(number);
    this.#tell({ type: "vnode_started", vnode: number });
    supervisor.startChild({
      id: String(number),
      restart: "permanent",
      shutdown: 5_000,
      backoff: { minMs: 5, maxMs: 5_000 },
      start: (signal) => this.#runVnode(number, signal),
    }).catch((error) => {
      // A first start that fails leaves no child; the next request tries again.
      this.#supervised.delete(number);
      this.#processes.get(number)?.kill();
      this.#processes.delete(number);
      this.#options.log.error("A vnode did not start", {
        partition: partitionOfVnode(number),
        error: reasonOf(error),
      });
      this.#tell({
        type: "vnode_failed",
        partition: partitionOfVnode(number),
        error: reasonOf(error),
      });
    });
  }

  /** A process in whose mailbox requests wait until the supervisor starts it. */
  #prepare(number: number): VnodeProcess {
    const process = new VnodeProcess(
      this,
      this.#options.module,
      this.#table,
      number,
    );
    process.bind(this.#rings.isBound(number));
    this.#processes.set(number, process);
    return process;
  }

  async #runVnode(
    number: number,
    signal: AbortSignal,
  ): Promise<VnodeProcess> {
    const prepared = this.#processes.get(number);
    const process = prepared?.fresh ? prepared : this.#prepare(number);
    const { partition } = process;
    const stopped = new AbortController();
    const unsubscribe: (() => void)[] = [];
    process.onExit((reason) => {
      if (this.#processes.get(number) === process) {
        this.#processes.delete(number);
        if (this.#supervised.has(number) && !this.#stopping) {
          this.#prepare(number);
        }
      }
      for (const remove of unsubscribe) remove();
      stopped.abort(reason);
      this.#pools.leave(process);
      if (typeof reason === "object" && reason.type === "crash") {
        this.#options.log.warn("A vnode crashed", {
          partition,
          error: reason.error.message,
        });
        this.#tell({
          type: "vnode_crashed",
          partition,
          error: reason.error.message,
        });
        const { code, message } = reason.error;
        // With its code, by which the node knows that the store is why.
        if (isStoreFailure(code)) this.#fail(new WhorlError(code, message));
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
        process.start(this.#contextOf(process, stopped.signal, unsubscribe)),
      ]);
    } catch (error) {
      process.kill();
      throw error;
    }
    return process;
  }

  #contextOf(
    process: VnodeProcess,
    signal: AbortSignal,
    unsubscribe: (() => void)[],
  ): VnodeStart {
    const { node, store, runtime, chance, log } = this.#options;
    const { number, partition } = process;
    const ringSize = this.#rings.sizeOf(number);
    // Beside it there may be one of the same partition in a ring of another size.
    const name = number === partition
      ? `${partition}`
      : `${partition}-of-${ringSize}`;
    return {
      node,
      ringSize,
      storage: store.partition(number),
      store: storeView(store),
      clock: {
        now: () => runtime.now(),
        wallClock: this.#options.wallClock,
      },
      chance: chance.fork(`vnode ${number}`),
      secretBytes: this.#options.secretBytes,
      log: log.child(`vnode-${name}`),
      signal,
      pool: (name) => this.#pools.pool(process, name),
      workers: (name) => this.#pools.workers(process, name),
      crash: (error) => process.crash(error),
      link: (source, child) => process.link(source, child),
      onClusterEvent: (listener) => {
        const entry = { process, listener };
        this.#listeners.add(entry);
        const remove = (): void => {
          this.#listeners.delete(entry);
        };
        unsubscribe.push(remove);
        return remove;
      },
    };
  }

  #onControl(message: unknown): void {
    const [method, args] = message as [string, unknown];
    switch (method) {
      case "cluster_event":
        for (const { process, listener } of [...this.#listeners]) {
          try {
            listener(args as ClusterEvent);
          } catch (error) {
            process.crash(error);
          }
        }
        return;
      case "ring_sizes":
        this.#rings = new KnownRings(
          ...args as ConstructorParameters<typeof KnownRings>,
        );
        for (const process of this.#processes.values()) {
          process.bind(this.#rings.isBound(process.number));
        }
        return;
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot do '${method}' in a vnode master`,
        );
    }
  }

  #onCall(correlation: number, body: Uint8Array): void {
    const [method, args] = decodeMsgpack(body) as [string, unknown];
    this.#perform(method, args).then((value) => {
      writeMsgpack(
        value,
        this.answers.begin(FrameType.callReply, correlation),
      );
      this.answers.end();
    }, (error) => {
      writeFailure(
        this.answers.begin(FrameType.callError, correlation),
        error instanceof WhorlError
          ? error
          : new WhorlError("internal", reasonOf(error)),
      );
      this.answers.end();
    });
  }

  /**
   * What the node may ask of the master itself. Calls wait for nothing but what
   * they look at: not for vnodes that are busy, nor for one another.
   */
  async #perform(method: string, args: unknown): Promise<unknown> {
    switch (method) {
      case "start_vnodes":
        for (const number of args as number[]) {
          this.#released.delete(number);
          this.#gone.delete(number);
          if (this.#ending.has(number)) this.#wantedAgain.add(number);
          this.#startVnode(number);
        }
        return null;
      case "drop":
        return await this.#drop(args as number);
      case "discard":
        await this.#discard(args as number);
        return null;
      case "holds_data":
        return await this.#holdsData(args as number[]);
      case "tail_repaired":
        await this.#options.store.tailRepaired();
        return null;
      case "held_vnodes":
        return await this.#heldVnodes();
      case "stats":
        return this.#stats();
      default:
        throw new WhorlError(
          "unknown_command",
          `Cannot do '${method}' in a vnode master`,
        );
    }
  }

  /**
   * Removes what is left of a vnode that went to another node, which the ring
   * names as its owner now. False if it must be handed off after all: this master
   * does not know of it, or it was asked to stand in for the owner meanwhile.
   */
  async #drop(number: number): Promise<boolean> {
    const released = this.#released.get(number);
    if (released === undefined) return false;
    const { process, handled, begun, owner } = released;
    this.#released.delete(number);
    if (
      this.#processes.get(number) !== process || !process.active ||
      process.counts.handled !== handled || process.begun !== begun ||
      !process.idle || process.sends
    ) return false;
    try {
      await process.remove();
      if (!process.active || process.hasWaiting) return false;
      this.#gone.set(number, owner);
      await this.#endVnode(process);
      return true;
    } finally {
      process.serve();
    }
  }

  /** Removes what a vnode holds, and ends it. */
  async #discard(number: number): Promise<void> {
    const process = this.#processes.get(number);
    if (process?.active) {
      try {
        await process.remove();
      } finally {
        process.serve();
      }
      await this.#endVnode(process);
    }
    await this.#options.store.partition(number).deleteRange();
  }

  /**
   * Vnodes that have data or run, ascending: also those this node does not own and
   * that do not run, which is what a handoff has to find.
   */
  async #heldVnodes(): Promise<number[]> {
    const held = new Set(await this.#options.store.partitions());
    for (const number of this.#supervised) held.add(number);
    return [...held].sort((a, b) => a - b);
  }

  async #holdsData(partitions: readonly number[]): Promise<number[]> {
    const holding: number[] = [];
    for (const partition of partitions) {
      const vnode = this.#processes.get(partition)?.vnode;
      const empty = vnode === undefined
        ? await this.#options.store.partition(partition).count() === 0
        : await vnode.isEmpty();
      if (!empty) holding.push(partition);
    }
    return holding;
  }

  #stats(): Record<string, unknown> {
    let handled = 0, failed = 0, refused = 0, declined = 0, shed = 0;
    let expired = 0, waiting = 0, abandoned = 0;
    let requests = 0, bytes = 0, longest = 0, overloaded = 0;
    for (const process of this.#processes.values()) {
      handled += process.counts.handled;
      failed += process.counts.failed;
      refused += process.counts.refused;
      declined += process.counts.declined;
      shed += process.counts.shed;
      expired += process.counts.expired;
      waiting += process.load;
      abandoned += process.abandoned;
      requests += process.waiting;
      bytes += process.waitingBytes;
      longest = Math.max(longest, process.waiting);
      overloaded += Number(process.overloaded);
    }
    return {
      vnodes: this.#processes.size,
      handled,
      failed,
      refused,
      declined,
      shed,
      expired,
      waiting,
      abandoned,
      mailbox: { requests, bytes, longest, overloaded },
      ...this.#pools.figures(),
      store: {
        ...this.#options.store.stats(),
        epoch: this.#options.store.state.epoch,
        tailLost: Number(this.#options.store.state.tailLost),
      },
    };
  }

  #tell(event: Record<string, unknown>): void {
    writeMsgpack(
      wellFormed(event),
      this.answers.begin(FrameType.masterEvent, 0),
    );
    this.answers.end();
  }

  #fail(error: Error): void {
    if (this.#failed || this.#stopping) return;
    this.#failed = true;
    this.answers.flush();
    this.#options.onFailed(error);
  }
}

/** What a vnode is shown of the store; as it is when it looks, since a lost tail can be repaired. */
function storeView(store: Store): VnodeStart["store"] {
  return {
    get storeId() {
      return store.state.storeId;
    },
    get epoch() {
      return store.state.epoch;
    },
    get tailLost() {
      return store.state.tailLost;
    },
    durable: store.durable,
  };
}

function resizedError(partition: number): WhorlError {
  return new WhorlError(
    "wrong_owner",
    `Cannot run a command of partition ${partition} here as the ring has another size by now`,
    { details: { partition } },
  );
}

function stoppingError(): WhorlError {
  return new WhorlError("closed", "The vnode master is stopping");
}
