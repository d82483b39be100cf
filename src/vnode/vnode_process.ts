/**
 * One vnode while it runs, from its `init` to its end. Requests come in through
 * its intake (`vnode_intake.ts`) in order of arrival and go to its command handlers
 * (`vnode_handlers.ts`), its coverage queries (`coverage_queries.ts`) or its handoffs
 * (`vnode_handoff.ts`).
 *
 * It ends when it is stopped, when a handler throws, or when its `init` does.
 * In each case every caller gets an answer.
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { reasonOf } from "../base/errors.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { type Child, ChildBase } from "../../supervisors/child.ts";
import {
  crash,
  type ExitReason,
  formatReason,
  isAbnormal,
} from "../../supervisors/exit_reason.ts";
import type { Vnode, VnodeContext, VnodeModule } from "./vnode.ts";
import type { PartitionStore } from "../environment/storage.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import type { CommandTable } from "./command_table.ts";
import { CoverageQueries } from "./coverage_queries.ts";
import { CoverageStreams } from "./coverage_streams.ts";
import { VnodeAnswers, wentElsewhere } from "./vnode_answers.ts";
import type { HandoffDecision } from "./handoff_codec.ts";
import type { VnodeCounts, VnodeHost } from "./vnode_host.ts";
import type { BackgroundPace } from "./background_pace.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "./mailbox_bounds.ts";
import { VnodeHandlers } from "./vnode_handlers.ts";
import { VnodeHandoff, type VnodeHandoffHost } from "./vnode_handoff.ts";
import { type VnodeBacklog, VnodeIntake } from "./vnode_intake.ts";
import { RequestFlag } from "./vnode_wire.ts";
import { WatchedPartition } from "./watched_partition.ts";

/** What a vnode is started with: its context, with the unwrapped storage of its partition. */
export type VnodeStart = Omit<VnodeContext, "storage"> & {
  readonly storage: PartitionStore;
};

/** A running vnode. */
export class VnodeProcess extends ChildBase implements VnodeHandoffHost {
  readonly kind = "task";
  /** The number of this vnode. */
  readonly number: number;
  /** Its partition. */
  readonly partition: number;
  /** Partitions of the ring it belongs to; 0 until it is started. */
  ringSize = 0;
  readonly counts: VnodeCounts = {
    handled: 0,
    failed: 0,
    refused: 0,
    declined: 0,
    shed: 0,
    expired: 0,
  };
  #host: VnodeHost<VnodeProcess>;
  #module: VnodeModule;
  #table: CommandTable;
  readonly #answers: VnodeAnswers;
  #vnode: Vnode | undefined;
  readonly #coverage: CoverageStreams;
  #coverageQueries: CoverageQueries | undefined;
  #handoff: VnodeHandoff | undefined;
  #bound = false;
  readonly #handlers: VnodeHandlers;
  readonly #intake: VnodeIntake;
  #started = false;
  #ended = false;
  #reader = new ByteReader(NO_BYTES);

  /**
   * @param module The module it runs.
   * @param table The module's commands by wire number.
   * @param number The number of the vnode.
   */
  constructor(
    host: VnodeHost<VnodeProcess>,
    module: VnodeModule,
    table: CommandTable,
    number: number,
  ) {
    super();
    const partition = partitionOfVnode(number);
    this.#host = host;
    this.#module = module;
    this.#table = table;
    this.#answers = new VnodeAnswers(
      host.answers,
      module.name,
      partition,
    );
    this.number = number;
    this.partition = partition;
    this.#handlers = this.#makeHandlers(host);
    this.#intake = this.#makeIntake(host);
    this.#coverage = new CoverageStreams({
      partition,
      answers: host.answers,
      now: () => host.now(),
      pace: host.coveragePace,
      later: (afterMs, callback) => host.later(afterMs, callback),
      crash: (error) => this.crash(error),
    });
  }

  #makeHandlers(host: VnodeHost<VnodeProcess>): VnodeHandlers {
    return new VnodeHandlers({
      partition: this.partition,
      moduleName: this.#module.name,
      table: this.#table,
      answers: this.#answers,
      counts: this.counts,
      now: () => host.now(),
      requestsInHand: () => host.requestsInHand(),
      follows: () => this.#handoff?.follows,
      free: () => this.#intake.drain(),
      crash: (error) => this.crash(error),
    });
  }

  #makeIntake(host: VnodeHost<VnodeProcess>): VnodeIntake {
    return new VnodeIntake({
      partition: this.partition,
      answers: this.#answers,
      counts: this.counts,
      turns: host.turns,
      isBusy: () => this.#handlers.busy,
      handling: () => this.#handlers.promised,
      now: () => host.now(),
      receivedMs: () => host.receivedMs(),
      handle: (correlation, command, flags, deadline, bytes, start, end) =>
        this.#handle(correlation, command, flags, deadline, bytes, start, end),
      requestsInHand: () => host.requestsInHand(),
      overloaded: (is) => host.overloaded(this, is),
    }, this.#module.mailbox ?? MAILBOX_BOUNDS_DEFAULT);
  }

  /** Whether it has neither been started nor ended. */
  get fresh(): boolean {
    return !this.#started && !this.#ended;
  }

  /** Whether `init` has returned and it has not ended. */
  get active(): boolean {
    return this.#vnode !== undefined && !this.#ended;
  }

  /** The vnode itself, while it runs. */
  get vnode(): Vnode | undefined {
    return this.#ended ? undefined : this.#vnode;
  }

  /** Requests that are queued or have been promised an answer, and coverage queries being answered. */
  get load(): number {
    return this.#intake.waiting + this.#handlers.promised +
      this.#coverage.size;
  }

  /** Commands that wait or are being handled: what the bound of its mailbox counts. */
  get commands(): number {
    return this.#intake.waiting + this.#handlers.promised;
  }

  /** The requests that wait for it. */
  get backlog(): VnodeBacklog {
    return this.#intake;
  }

  /** The sink of its answers. */
  get answers(): FrameSink {
    return this.#host.answers;
  }

  /** Monotonic milliseconds. */
  now(): number {
    return this.#host.now();
  }

  /** Calls `callback` later, after other work has had a turn. */
  later(afterMs: number, callback: () => void): void {
    this.#host.later(afterMs, callback);
  }

  /** The pace of transfers from and to it. */
  get pace(): BackgroundPace {
    return this.#host.pace;
  }

  /** Whether its data is being transferred to another node. */
  get sends(): boolean {
    return this.#handoff?.sends ?? false;
  }

  /** Calls that were given up although their handlers have not finished. */
  get abandoned(): number {
    return this.#handlers.abandoned;
  }

  /**
   * Whether nothing is queued and no handler is running, not even for callers
   * who have been answered. Only then is the vnode's data complete.
   */
  get idle(): boolean {
    const handling = this.#handlers.busy && this.active;
    return this.load === 0 && this.abandoned === 0 && !handling;
  }

  /**
   * Runs `init`, then handles what was queued meanwhile.
   *
   * @throws What `init` throws.
   */
  async start(context: VnodeStart): Promise<void> {
    this.#started = true;
    this.ringSize = context.ringSize;
    const storage = new WatchedPartition(context.storage);
    const vnode = await this.#module.init(this.partition, {
      ...context,
      storage,
    });
    if (this.#ended) {
      await vnode.terminate?.("stopped while starting");
      return;
    }
    this.#handlers.use(vnode);
    this.#coverageQueries = new CoverageQueries({
      moduleName: this.#module.name,
      partition: this.partition,
      table: this.#table,
      streams: this.#coverage,
      store: context.store,
      now: () => this.#host.now(),
    }, vnode);
    this.#vnode = vnode;
    this.#handoff = new VnodeHandoff(this, vnode, storage);
    if (this.#bound) this.#handoff.bind(true);
    this.#handlers.open();
    this.#intake.open();
  }

  /**
   * Accepts one request, whose body is `bytes[start, end)`; the bytes belong to
   * this process from now on.
   */
  request(
    correlation: number,
    command: number,
    flags: number,
    deadline: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (flags & RequestFlag.handoff && this.active) {
      // A handoff request that pauses the vnode must not wait behind queued
      // commands.
      this.#handoff?.request(correlation, bytes, start, end);
      return;
    }
    if (this.#ended) {
      // The vnode is ending, and its master does not know yet.
      this.#answers.fail(
        correlation,
        "vnode_crashed",
        `The vnode of partition ${this.partition} has stopped`,
      );
      return;
    }
    this.#intake.take(
      correlation,
      command,
      flags,
      deadline,
      bytes,
      start,
      end,
    );
  }

  /** Links `child` to this vnode; see `VnodeContext.link`. */
  link(source: string, child: Child): void {
    child.onExit((reason) => {
      if (this.#ended) return;
      const { handleExit } = this.#vnode ?? {};
      if (handleExit === undefined) {
        if (isAbnormal(reason)) {
          this.crash(new Error(`${source} ended: ${formatReason(reason)}`));
        }
        return;
      }
      Promise.try(() => handleExit.call(this.#vnode, source, reason)).catch(
        (error) => this.crash(error),
      );
    });
    this.onExit((reason) => {
      if (child.exitReason === undefined) child.stop(reason);
    });
  }

  /** Stops for `reason`, after `terminate`; callers that wait are answered with `vnode_crashed`. */
  stop(reason: ExitReason): void {
    if (this.#ended) return;
    this.#answerAll(formatReason(reason));
    const vnode = this.#vnode;
    Promise.try(() => vnode?.terminate?.(reason)).then(
      () => this.end(reason),
      (error) => this.end(crash(error)),
    );
  }

  /** Ends at once, without `terminate`; callers that wait are answered with `vnode_crashed`. */
  kill(): void {
    this.#answerAll("killed");
    this.end("killed");
  }

  #answerAll(reason: string): void {
    this.#ended = true;
    const message =
      `The vnode of partition ${this.partition} stopped: ${reason}`;
    this.#handlers.close(message);
    this.#coverage.close(message);
    this.#handoff?.close();
    for (const { correlation } of this.#intake.close()) {
      this.#answers.fail(correlation, "vnode_crashed", message);
    }
  }

  #handle(
    correlation: number,
    command: number,
    flags: number,
    deadline: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (flags & RequestFlag.handoff) {
      this.#handoff?.request(correlation, bytes, start, end);
      return;
    }
    if (flags & RequestFlag.coverage) {
      this.#handleCoverage(correlation, command, deadline, bytes, start, end);
      return;
    }
    this.#handlers.handle(
      correlation,
      command,
      flags,
      deadline,
      bytes,
      start,
      end,
    );
  }

  /** Sets whether writes count only once the vnodes of the next ring have them as well. */
  bind(isBound: boolean): void {
    if (this.#bound === isBound) return;
    this.#bound = isBound;
    if (!this.#ended) this.#handoff?.bind(isBound);
  }

  // The interface for its handoffs.

  /** Holds commands back until `goOn`. */
  hold(): void {
    this.#intake.hold();
  }

  /** Handles commands again, queued ones first. */
  goOn(): void {
    this.#intake.open();
  }

  /** Calls `callback` once no handler is at work, unless the returned function is called before. */
  whenQuiet(callback: () => void): () => void {
    return this.#handlers.whenQuiet(callback);
  }

  /** Whether commands are queued, or data from other nodes. */
  get hasWaiting(): boolean {
    return this.#intake.waiting > 0 || (this.#handoff?.waiting ?? 0) > 0;
  }

  /** Entries of all batches of handoffs to this vnode that were begun. */
  get begun(): number {
    return this.#handoff?.begun ?? 0;
  }

  /**
   * Removes all data while the vnode stands still; it does until {@linkcode
   * VnodeProcess.serve}. @throws The error of the module; the vnode crashes
   * then.
   */
  async remove(): Promise<void> {
    await this.#handoff?.remove();
  }

  /** Serves again after {@linkcode VnodeProcess.remove}. */
  serve(): void {
    if (!this.#ended) this.#handoff?.serve();
  }

  /** Runs a command that came with a handoff; see {@linkcode ForwardedCommands.run}. */
  run(command: number, body: Uint8Array): Promise<void> {
    return this.#handlers.runForwarded(command, body);
  }

  /** Its data belongs to `owner` now: queued commands are refused with that name. */
  released(owner: string, decided: HandoffDecision): void {
    this.#host.released(this, owner, decided);
    const { partition } = this;
    const forOwner = this.#intake.remove(({ flags }) =>
      (flags & RequestFlag.asFallback) === 0
    );
    for (const { correlation } of forOwner) {
      this.#answers.failWith(
        correlation,
        wentElsewhere(partition, owner),
        "wrong_owner",
      );
    }
  }

  /** All of its data has arrived, if it had gone to another node. */
  dataReturned(): void {
    this.#host.dataReturned(this);
  }

  /**
   * Its data moved to another node and was removed here: it need not run,
   * unless commands arrived meanwhile.
   */
  removed(stays: boolean): void {
    this.#host.removed(this, stays);
  }

  #handleCoverage(
    correlation: number,
    query: number,
    deadline: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    try {
      this.#reader.reset(bytes, start, end);
      const begun = this.#coverageQueries?.take(
        correlation,
        query,
        deadline,
        this.#reader,
      );
      if (begun) {
        this.#host.turns.tookLong();
        this.#host.requestsInHand();
      }
    } catch (error) {
      // The request could not be read; failures of handlers do not surface
      // here.
      this.counts.failed++;
      this.#answers.failWith(correlation, error, "protocol_error");
    }
  }

  /**
   * Answers `timeout` for requests whose callers have stopped waiting, so that
   * a handler that never answers does not hold them forever. It still counts as
   * running, see {@linkcode VnodeProcess.idle}.
   *
   * @returns How many requests are left that are queued or were promised an
   * answer.
   */
  giveUpOverdue(): number {
    if (this.#ended) return 0;
    const now = this.#host.now();
    this.#coverage.giveUpOverdue();
    this.#handlers.giveUpOverdue(now, this.#overdue("did not answer"));
    this.#intake.lookThrough(now, this.#overdue("was busy"));
    this.#intake.lookForRoom();
    return this.load;
  }

  #overdue(why: string): string {
    return `The vnode of partition ${this.partition} ${why} until the deadline had passed`;
  }

  /** Ends because a handler or the store failed; the supervisor restarts it. */
  crash(error: unknown): void {
    if (this.#ended) return;
    this.counts.failed++;
    this.#answerAll(reasonOf(error));
    const vnode = this.#vnode;
    // The vnode may be in any state; an error of `terminate` changes nothing.
    const ended = (): void => {
      this.end(crash(error));
    };
    Promise.try(() => vnode?.terminate?.(error)).then(ended, ended);
  }
}
