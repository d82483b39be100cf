/**
 * A vnode master: it owns one store and runs the vnodes of its partitions
 * (`master_vnodes.ts`). It runs where its program is placed, in this thread, a
 * worker or a subprocess, and communicates in frames only.
 *
 * Frames in: `vnodeRequest` for a vnode, `call` and `masterControl` for the
 * master itself. Frames out: answers to them.
 *
 * Vnodes are identified by numbers (`ring_generations.ts`), which differ from
 * partitions once the ring has been resized: vnodes of the former ring may run
 * beside those of the present or next one.
 *
 * A vnode is started by the first request for it or when its node becomes its
 * owner. A failed store ends the whole master, since only reopening it tells
 * what was kept.
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
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
import { beginsHandoff, type HandoffDecision } from "./handoff_codec.ts";
import { BackgroundPace } from "./background_pace.ts";
import type { ClusterEvent, VnodeModule } from "./vnode.ts";
import { DepartedVnodes } from "./departed_vnodes.ts";
import { KnownRings } from "./known_rings.ts";
import { MasterCalls } from "./master_calls.ts";
import { masterFigures } from "./master_figures.ts";
import {
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxBounds,
} from "./mailbox_bounds.ts";
import { MasterPools } from "./master_pools.ts";
import { MasterVnodes } from "./master_vnodes.ts";
import { type PostponedFrame, PostponedFrames } from "./postponed_frames.ts";
import { wentElsewhere } from "./vnode_answers.ts";
import { VnodeContexts } from "./vnode_contexts.ts";
import type { VnodeHost } from "./vnode_host.ts";
import type { VnodeProcess } from "./vnode_process.ts";
import { VnodeTurns } from "./vnode_turns.ts";
import {
  moduleIdOf,
  readVnodeRequestHeader,
  RequestFlag,
  type VnodeRequestHeader,
} from "./vnode_wire.ts";

/** Interval of the sweep for overdue requests, in milliseconds. */
const SWEEP_INTERVAL_MS = 1_000;
/** Milliseconds left to commands for each millisecond of work on transfers: while commands arrive, transfers take a fourth. */
const TRANSFERS_REST = 3;
/** Longest delay of a transfer for that, in milliseconds: several times what a slice that reads a page of the store calls for. */
const TRANSFERS_WAIT_MS_MAX = 60;
/**
 * The same for the removal of data that has moved away: its commits delay those
 * of commands.
 */
const REMOVALS_REST = 2;
/** Longest delay of the removal of one vnode, in milliseconds; each takes some commits of hundreds of rows. */
const REMOVALS_WAIT_MS_MAX = 500;
/** The same for coverage queries, which take a ninth. */
const COVERAGE_REST = 8;
/**
 * Longest delay of a query, in milliseconds; many queries may have worked for a
 * short time before it.
 */
const COVERAGE_WAIT_MS_MAX = 250;

/** Options of a master. */
export interface VnodeMasterOptions {
  /** The module that its vnodes run. */
  readonly module: VnodeModule;
  /** The node's name, which vnodes can read. */
  readonly node: string;
  /** Partitions of each generation of the ring, by the number of its first vnode. */
  readonly ringSizes: ReadonlyMap<number, number>;
  /**
   * The first vnodes of generations of the ring that have ended.
   *
   * @default {[]}
   */
  readonly formerVnodes?: readonly number[];
  /** Vnodes whose writes are held until the vnodes of the next ring have them. @default {[]} */
  readonly boundVnodes?: readonly number[];
  /** The store of its vnodes' data; the master closes it when it stops. */
  readonly store: Store;
  readonly runtime: Runtime;
  /** Wall clock in milliseconds. */
  readonly wallClock: () => number;
  readonly chance: Chance;
  readonly secretBytes: (count: number) => Uint8Array<ArrayBuffer>;
  readonly log: Log;
  /** Sends a batch of frames to the node, and owns it from then on. */
  readonly send: (message: Uint8Array<ArrayBuffer>) => void;
  /** How frames to the node are gathered. */
  readonly sink?: BatchingSinkOptions;
  /** Called when the master cannot continue. */
  readonly onFailed: (error: unknown) => void;
}

/** Runs the vnodes of one master. */
export class VnodeMaster implements VnodeHost<VnodeProcess> {
  readonly answers: BatchingSink;
  /** The pace of its vnodes' transfers. */
  readonly pace: BackgroundPace = new BackgroundPace(
    TRANSFERS_REST,
    TRANSFERS_WAIT_MS_MAX,
    // Several vnodes may read at the same time.
    "once",
  );
  /** The pace of coverage queries. */
  readonly coveragePace: BackgroundPace = new BackgroundPace(
    COVERAGE_REST,
    COVERAGE_WAIT_MS_MAX,
  );
  readonly #removalPace = new BackgroundPace(
    REMOVALS_REST,
    REMOVALS_WAIT_MS_MAX,
  );
  readonly turns: VnodeTurns;
  #options: VnodeMasterOptions;
  readonly #vnodes: MasterVnodes;
  readonly #contexts: VnodeContexts;
  readonly #departed = new DepartedVnodes();
  readonly #calls: MasterCalls;
  readonly #moduleId: number;
  /** The pools and workers of the module. */
  readonly #pools: MasterPools;
  #sweep: TimerHandle | undefined;
  #header: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  #reader = new ByteReader(NO_BYTES);
  /** When the present message arrived. */
  #receivedMs = 0;
  readonly #postponed: PostponedFrames;
  /** Delayed work of handoffs. */
  readonly #timers = new Set<TimerHandle>();
  #failed = false;
  #stopping = false;

  constructor(options: VnodeMasterOptions) {
    this.#options = options;
    this.turns = new VnodeTurns(options.runtime);
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
    this.#contexts = new VnodeContexts(options, this.#pools);
    this.#vnodes = this.#makeVnodes();
    this.#calls = new MasterCalls(
      options.store,
      this.#vnodes,
      this.#departed,
      () => this.#figures(),
      {
        pace: this.#removalPace,
        now: () => this.now(),
        later: (afterMs, callback) => this.later(afterMs, callback),
      },
    );
    this.#postponed = new PostponedFrames(
      options.runtime,
      this.#onPostponed,
    );
    this.answers = new BatchingSink(
      (callback) => options.runtime.defer(callback),
      (batch) => {
        this.#postponed.noteAnswered(batch.length);
        options.send(batch);
      },
      options.sink,
    );
  }

  #makeVnodes(): MasterVnodes {
    const { module, runtime, log, ringSizes, formerVnodes, boundVnodes } =
      this.#options;
    const rings = new KnownRings(
      [...ringSizes],
      formerVnodes ?? [],
      boundVnodes ?? [],
    );
    return new MasterVnodes(
      {
        module,
        runtime,
        log,
        isStopping: () => this.#stopping,
        contextOf: (process, ended) =>
          this.#contexts.of(
            process,
            this.#vnodes.rings.sizeOf(process.number),
            ended,
          ),
        left: (process) => {
          this.#contexts.leave(process);
          this.#pools.leave(process);
        },
        tell: (event) => this.#tell(event),
        fail: (error) => this.#fail(error),
      },
      this,
      rings,
    );
  }

  /** Prepares for requests; no vnode runs yet. */
  async start(): Promise<void> {
    await this.#vnodes.open();
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

  /** When the message with the current request arrived. */
  receivedMs(): number {
    return this.#receivedMs;
  }

  /** Calls `callback` later, after other work has had a turn. */
  later(afterMs: number, callback: () => void): void {
    if (this.#stopping) return;
    const timer = this.#options.runtime.setTimer(afterMs, () => {
      this.#timers.delete(timer);
      this.turns.background(callback);
    });
    this.#timers.add(timer);
  }

  /** The data of `process` went to `owner`. It stays here until the ring names that owner, see `drop`. */
  released(
    process: VnodeProcess,
    owner: string,
    decided: HandoffDecision,
  ): void {
    this.#departed.release(process, owner, decided);
  }

  /** All of the data of `process` is back: its sender names this node as the owner from now on. */
  dataReturned(process: VnodeProcess): void {
    this.#departed.dataReturned(process.number);
  }

  /** The data of `process` moved to another node and was removed here. */
  removed(process: VnodeProcess, stays: boolean): void {
    this.#departed.emptied(process.number);
    if (stays) {
      this.#tell({ type: "vnode_kept", vnode: process.number });
    } else this.#vnodes.end(process).catch((error) => this.#fail(error));
  }

  /** Sweeps for overdue requests, as long as any are in hand. */
  requestsInHand(): void {
    if (this.#stopping) return;
    this.#sweep ??= this.#options.runtime.setTimer(SWEEP_INTERVAL_MS, () => {
      this.#sweep = undefined;
      let inHand = false;
      for (const process of this.#vnodes.all()) {
        const requests = process.giveUpOverdue();
        // A vnode that refused commands notices here that it has room again.
        const { overloaded, behind } = process.backlog;
        inHand ||= requests > 0 || overloaded || behind;
      }
      if (inHand) this.requestsInHand();
    });
  }

  /** Logs when a vnode begins to refuse commands, and when it has room again. */
  overloaded(process: VnodeProcess, is: boolean): void {
    const { partition, backlog: { waiting, waitingBytes } } = process;
    const data = { partition, waiting, waitingBytes };
    const { log } = this.#options;
    if (is) log.warn("A vnode refuses commands as too many wait for it", data);
    else log.info("A vnode takes commands again", data);
  }

  /** The name of the module that its vnodes run. */
  get moduleName(): string {
    return this.#options.module.name;
  }

  /** The bounds of the mailbox of each of its vnodes. */
  get mailboxBounds(): MailboxBounds {
    return this.#options.module.mailbox ?? MAILBOX_BOUNDS_DEFAULT;
  }

  /** Its vnodes, for callers in the same thread that watch their mailboxes. */
  vnodes(): Iterable<VnodeProcess> {
    return this.#vnodes.all();
  }

  /** Handles a message from the node; the bytes belong to the master from now on. */
  receive(message: Uint8Array<ArrayBuffer>): void {
    this.#receivedMs = this.#options.runtime.now();
    this.turns.begin(this.#receivedMs);
    readFrames(message, 0, message.length, FRAME_BYTES_MAX, this.#onFrame);
    this.turns.end(this.#options.runtime.now());
  }

  /** Stops the vnodes, waits for work in pools and closes the store; what was acknowledged is durable then. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#pools.fallSilent();
    for (const timer of [this.#sweep, ...this.#timers]) {
      if (timer !== undefined) this.#options.runtime.clearTimer(timer);
    }
    this.turns.close();
    for (const { type, correlation } of this.#postponed.close()) {
      if (type !== FrameType.vnodeRequest) continue;
      this.#refuse(correlation, stoppingError());
    }
    await this.#vnodes.close();
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
    if (this.#stopping || !this.#postponed.mustWait) {
      this.#handleFrame(type, correlation, bytes, start, end, false);
      return;
    }
    const receivedMs = this.#receivedMs;
    this.#postponed.add({ type, correlation, bytes, start, end, receivedMs });
  };

  readonly #onPostponed = (
    { type, correlation, bytes, start, end, receivedMs }: PostponedFrame,
  ): void => {
    this.#receivedMs = receivedMs;
    this.#handleFrame(type, correlation, bytes, start, end, true);
  };

  #handleFrame(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    postponed: boolean,
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
    if (!(flags & RequestFlag.handoff)) {
      this.pace.noteCommand();
      this.#removalPace.noteCommand();
    }
    if (!(flags & (RequestFlag.handoff | RequestFlag.coverage))) {
      this.coveragePace.noteCommand();
    }
    const { vnode: number } = header;
    const { rings } = this.#vnodes;
    const partition = partitionOfVnode(number);
    // Its caller has given up, and a put done now could surprise the caller
    // later.
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
      partition >= rings.sizeOf(number)
    ) {
      this.#refuse(
        correlation,
        new WhorlError(
          "invalid_argument",
          `Cannot run a command of partition ${partition}: this master serves '${this.#options.module.name}' in a ring of ${
            rings.sizeOf(number)
          }`,
        ),
      );
      return;
    }
    const action = header.flags & RequestFlag.handoff
      ? bytes[this.#reader.offset]
      : undefined;
    // A former owner is as good a fallback as any other node.
    const owner = header.flags & (RequestFlag.asFallback | RequestFlag.handoff)
      ? undefined
      : this.#departed.ownerOf(number);
    if (owner !== undefined) {
      this.#refuse(correlation, wentElsewhere(partition, owner));
      return;
    }
    let process = this.#vnodes.get(number);
    // A request that continues a handoff needs the vnode that began it.
    const begins = action === undefined || beginsHandoff(action);
    if (
      process === undefined && !(header.flags & RequestFlag.handoff) &&
      rings.isFormer(number)
    ) {
      // Its data is on another node. A vnode started here would answer that
      // there is nothing.
      this.#refuse(correlation, resizedError(partition));
      return;
    }
    if (process === undefined && begins) {
      if (!this.#vnodes.canStart) {
        this.#refuse(correlation, stoppingError());
        return;
      }
      this.#vnodes.start(number);
      process = this.#vnodes.get(number);
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

  #onControl(message: unknown): void {
    const [method, args] = message as [string, unknown];
    switch (method) {
      case "cluster_event":
        this.#contexts.tell(args as ClusterEvent);
        return;
      case "ring_sizes":
        this.#vnodes.follow(
          new KnownRings(...args as ConstructorParameters<typeof KnownRings>),
        );
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
    this.#calls.perform(method, args).then((value) => {
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

  #figures(): Record<string, unknown> {
    return masterFigures(
      this.#vnodes.all(),
      this.turns.longestMs,
      this.#pools,
      this.#options.store,
    );
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
