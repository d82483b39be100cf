/**
 * One vnode while it runs: its mailbox, the command it is handling, and the
 * calls it has promised to answer later. Commands are handled one at a time in
 * order of arrival; a handler that answers later makes room for the next one.
 *
 * It ends in three ways: asked to stop, by what a handler throws, or by its
 * own `init`. Whichever it is, every caller gets an answer.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import { type Child, ChildBase } from "../../supervisors/child.ts";
import {
  crash,
  type ExitReason,
  formatReason,
  isAbnormal,
} from "../../supervisors/exit_reason.ts";
import {
  answersLater,
  type Call,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "./vnode.ts";
import type { PartitionStore } from "../environment/storage.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { type CommandTable, handlersOf } from "./command_table.ts";
import { CoverageQueries } from "./coverage_queries.ts";
import { CoverageStreams } from "./coverage_streams.ts";
import { forwardingOf } from "./forwarding.ts";
import { declinedError, VnodeAnswers, wentElsewhere } from "./vnode_answers.ts";
import type { VnodeCounts, VnodeHost } from "./vnode_host.ts";
import { HandoffEntry } from "./handoff_codec.ts";
import type { BackgroundPace } from "./background_pace.ts";
import { Mailbox, type WaitingRequest } from "./mailbox.ts";
import {
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxRefusal,
} from "./mailbox_bounds.ts";
import { PendingCall, type PendingCallHost } from "./pending_call.ts";
import { VnodeHandoff, type VnodeHandoffHost } from "./vnode_handoff.ts";
import type { TurnTaker } from "./vnode_turns.ts";
import { RequestFlag } from "./vnode_wire.ts";
import { WatchedPartition } from "./watched_partition.ts";

/** How long past its deadline a promised answer is waited for, so that a late one is not taken for none. */
const OVERDUE_GRACE_MS = 500;

/** A command that came with a handoff, and waits; no transfer has more than one. */
interface ForwardedCommand {
  perform(): void;
  reject(error: Error): void;
}

/** Time a command that came with a handoff is given, in milliseconds. */
const FORWARDED_COMMAND_MS = 60_000;

/** What a vnode is started with: its context, on the store itself. */
export type VnodeStart = Omit<VnodeContext, "storage"> & {
  readonly storage: PartitionStore;
};

type Handler = (request: unknown, call: Call) => unknown;

/** A running vnode. */
export class VnodeProcess extends ChildBase
  implements VnodeHandoffHost, PendingCallHost, TurnTaker {
  readonly kind = "task";
  /** The number of this vnode. */
  readonly number: number;
  /** Its partition. */
  readonly partition: number;
  /** Partitions of the ring it is of; 0 until it is started. */
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
  #handlers: Handler[] = [];
  readonly #coverage: CoverageStreams;
  #coverageQueries: CoverageQueries | undefined;
  #handoff: VnodeHandoff | undefined;
  #bound = false;
  /** Takes no commands, as what it holds is being counted out. */
  #held = false;
  /** Called once no handler is at work. */
  readonly #untilQuiet = new Set<() => void>();
  /** Commands that came with handoffs and wait for a handler to end. */
  #forwarded: ForwardedCommand[] = [];
  readonly #mailbox: Mailbox;
  #busy = true;
  #started = false;
  #ended = false;
  #reader = new ByteReader(new Uint8Array(0));
  readonly #promised = new Set<PendingCall>();
  /** Calls that were given up and whose handlers have not finished: counted, not kept. */
  #abandoned = 0;
  /** The command whose handler is running this very moment. */
  #handling: PendingCall | undefined = undefined;

  /**
   * @param module What it runs.
   * @param table The module's commands by wire number.
   * @param number Which vnode it is.
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
    this.#mailbox = new Mailbox(
      module.mailbox ?? MAILBOX_BOUNDS_DEFAULT,
      host.turns.load,
    );
    this.number = number;
    this.partition = partition;
    this.#coverage = new CoverageStreams({
      partition,
      answers: host.answers,
      now: () => host.now(),
      pace: host.coveragePace,
      later: (afterMs, callback) => host.later(afterMs, callback),
      crash: (error) => this.crash(error),
    });
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

  /** Requests that wait or have been promised an answer, and coverage queries being answered. */
  get load(): number {
    return this.#mailbox.length + this.#promised.size + this.#coverage.size;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#mailbox.length;
  }

  /** Bytes of the requests that wait. */
  get waitingBytes(): number {
    return this.#mailbox.byteCount;
  }

  /** Whether it has refused commands as its mailbox is full, and has not had room since. */
  get overloaded(): boolean {
    return this.#mailbox.overloaded;
  }

  /** Whether it is behind with what waits. */
  get behind(): boolean {
    return this.#mailbox.behind;
  }

  /** Where its answers go. */
  get answers(): FrameSink {
    return this.#host.answers;
  }

  /** Monotonic milliseconds. */
  now(): number {
    return this.#host.now();
  }

  /** Calls `callback` later, when others have had their turn. */
  later(afterMs: number, callback: () => void): void {
    this.#host.later(afterMs, callback);
  }

  /** How fast transfers from and to it may go. */
  get pace(): BackgroundPace {
    return this.#host.pace;
  }

  /** Whether its data is on the way to another node. */
  get sends(): boolean {
    return this.#handoff?.sends ?? false;
  }

  /** Calls that were given up and whose handlers are at it still. */
  get abandoned(): number {
    return this.#abandoned;
  }

  /**
   * Whether nothing waits and no handler is at work, not even for callers who
   * have been answered. Only then is what the vnode holds all that it will hold.
   */
  get idle(): boolean {
    const handling = this.#busy && this.active;
    return this.load === 0 && this.#abandoned === 0 && !handling;
  }

  /**
   * Runs `init`, then what has been waiting meanwhile.
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
    this.#handlers = handlersOf<Handler>(
      this.#module.name,
      "command",
      this.#table.names,
      vnode.handleCommand,
    );
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
    this.#busy = false;
    this.#mailbox.open(this.#host.now());
    this.#drain();
  }

  /**
   * Takes in one request, whose body is `bytes[start, end)`; the bytes belong
   * to this process from now on.
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
      // What has the vnode stand still must not wait behind what waits for it.
      this.#handoff?.request(correlation, bytes, start, end);
      return;
    }
    if (this.#ended) {
      // It is on its way out and its master does not know yet.
      this.#answers.fail(
        correlation,
        "vnode_crashed",
        `The vnode of partition ${this.partition} has stopped`,
      );
      return;
    }
    // Else it is not needed, and the clock costs something.
    const nowMs = this.#mailbox.behind ? this.#host.now() : -Infinity;
    const wasOverloaded = this.#mailbox.overloaded;
    const refusal = this.#mailbox.refusal(
      this.#promised.size,
      end - start,
      flags,
      deadline,
      nowMs,
    );
    if (this.#mailbox.behind) this.#turnAwayFirst(nowMs);
    if (refusal !== undefined) {
      this.#refuse(correlation, refusal);
      if (this.#mailbox.overloaded === wasOverloaded) return;
      this.#host.overloaded(this, true);
      // Somebody has to look whether there is room again.
      this.#host.requestsInHand();
      return;
    }
    const stands = this.#busy || this.#held;
    if (stands || this.#mailbox.length > 0 || !this.#host.turns.hasTime()) {
      this.#host.requestsInHand();
      this.#mailbox.add({
        correlation,
        command,
        flags,
        deadline,
        arrivedMs: this.#host.receivedMs(),
        servedBefore: this.#mailbox.served,
        bytes,
        start,
        end,
      });
      if (!stands) this.#host.turns.wait(this);
      return;
    }
    this.#host.turns.load.handledAtOnce();
    this.#handle(correlation, command, flags, deadline, bytes, start, end);
  }

  #refuse(correlation: number, refusal: MailboxRefusal): void {
    const { partition, waiting, waitingBytes } = this;
    if (refusal === "soft") {
      this.counts.declined++;
      this.#answers.failWith(
        correlation,
        declinedError(partition, waiting + this.#promised.size),
        "overload",
      );
      return;
    }
    this.counts.refused++;
    const cannot = `Cannot take a command for partition ${partition}`;
    if (refusal === "wait") {
      const { expectedMs, againAfterMs } = this.#mailbox;
      this.#answers.fail(
        correlation,
        "overload",
        `${cannot}: it would wait for ${
          Math.round(expectedMs)
        } ms behind ${waiting}`,
        againAfterMs === undefined ? undefined : { againAfterMs },
      );
      return;
    }
    this.#answers.fail(
      correlation,
      "overload",
      `${cannot}: ${waiting} of together ${waitingBytes} bytes are waiting, ${this.#promised.size} are being handled`,
    );
  }

  /** Ties `child` to this vnode; see `VnodeContext.link`. */
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
    this.#busy = true;
    const message =
      `The vnode of partition ${this.partition} stopped: ${reason}`;
    for (const call of this.#promised) {
      this.#answers.fail(call.correlation, "vnode_crashed", message);
    }
    this.#promised.clear();
    this.#coverage.close(message);
    this.#handoff?.close();
    this.#untilQuiet.clear();
    for (const { reject } of this.#forwarded.splice(0)) {
      reject(
        new WhorlError("vnode_crashed", message, {
          details: { partition: this.partition },
        }),
      );
    }
    const handling = this.#handling;
    if (handling !== undefined && !handling.answered) {
      handling.answered = true;
      this.#answers.fail(handling.correlation, "vnode_crashed", message);
    }
    for (const { correlation } of this.#mailbox.remove(() => true)) {
      this.#answers.fail(correlation, "vnode_crashed", message);
    }
  }

  /** @internal Its turn has come. */
  takeTurn(commandsMax: number): void {
    if (!this.#ended) this.#drain(commandsMax);
  }

  #drain(commandsMax = Infinity): void {
    const { turns } = this.#host;
    let left = commandsMax;
    while (!this.#busy && !this.#held) {
      if (
        this.#mailbox.length > 0 && !(left > 0 && turns.hasTime())
      ) {
        turns.wait(this);
        break;
      }
      const next = this.#mailbox.take();
      if (next === undefined) break;
      const fate = this.#mailbox.fateOfTaken(
        next,
        this.#host.now(),
        turns.commandMs,
      );
      if (fate !== "due") {
        this.#turnAway(
          next,
          fate,
          `The command waited for partition ${this.partition} until it could not be done in time any more`,
        );
        continue;
      }
      left--;
      this.#handle(
        next.correlation,
        next.command,
        next.flags,
        next.deadline,
        next.bytes,
        next.start,
        next.end,
      );
    }
    this.#lookForRoom();
  }

  /** Answers for a command that has waited too long to be handled. */
  #turnAway(
    { correlation }: WaitingRequest,
    fate: "expired" | "stale",
    expired: string,
  ): void {
    const { againAfterMs } = this.#mailbox;
    if (fate === "expired") {
      this.counts.expired++;
      this.#answers.fail(correlation, "timeout", expired);
      return;
    }
    this.counts.shed++;
    this.#answers.fail(
      correlation,
      "overload",
      `The command waited too long for partition ${this.partition}, which is behind with its commands`,
      againAfterMs === undefined ? undefined : { againAfterMs },
    );
  }

  /** Those that have waited longest make way for what comes as soon as they are to, and not only when it would be their turn. */
  #turnAwayFirst(nowMs: number): void {
    for (const [request, fate] of this.#mailbox.removeOverdueFirst(nowMs)) {
      this.#turnAway(request, fate, this.#overdue("was busy"));
    }
  }

  #lookForRoom(): void {
    const standsStill = this.#busy || this.#held;
    if (
      this.#mailbox.behind && this.#mailbox.length === 0 && !standsStill &&
      this.#host.turns.idle
    ) this.#mailbox.emptied(this.#host.now());
    if (this.#mailbox.relieved(this.#promised.size)) {
      this.#host.overloaded(this, false);
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
    const declaration = this.#table.declarations[command];
    const handler = this.#handlers[command];
    if (declaration === undefined || handler === undefined) {
      this.#answers.fail(
        correlation,
        "unknown_command",
        `Cannot run command ${command} as '${this.#module.name}' has ${this.#table.names.length}`,
      );
      return;
    }
    let request: unknown;
    try {
      this.#reader.reset(bytes, start, end);
      request = declaration.request.decode(this.#reader);
    } catch (error) {
      this.counts.failed++;
      this.#answers.failWith(correlation, error, "protocol_error");
      return;
    }
    const follows = this.#handoff?.follows;
    let forwards = false;
    if (follows !== undefined) {
      const decision = forwardingOf(
        this.#vnode as Vnode,
        this.partition,
        follows,
        this.#table.names[command] as string,
        request,
      );
      if (decision instanceof WhorlError) {
        this.counts.refused++;
        this.#answers.failWith(correlation, decision, decision.code);
        return;
      }
      forwards = decision;
    }
    const call = new PendingCall(
      this,
      declaration,
      correlation,
      deadline,
      (flags & RequestFlag.wantsAccepted) !== 0,
      forwards,
    );
    let result: unknown;
    this.#handling = call;
    try {
      result = handler(request, call);
    } catch (error) {
      this.#crash(call, error);
      return;
    } finally {
      this.#handling = undefined;
    }
    // The handler has ended its own vnode, and its caller has been told.
    if (this.#ended) return;
    if (result === answersLater) {
      if (!call.settled) this.#promise(call);
    } else if (result instanceof Promise) {
      this.#busy = true;
      if (!call.settled) this.#promise(call);
      result.then((value) => {
        if (this.#ended) return;
        if (value !== answersLater) call.reply(value);
        this.#free();
      }, (error) => this.#crash(call, error));
    } else {
      call.reply(result);
      if (!call.settled) this.#promise(call);
    }
    if (forwards) {
      follows?.forward(
        HandoffEntry.command,
        command,
        bytes.slice(start, end),
        () => call.targetHas(),
      );
    }
  }

  /** From now on writes count when they are where the ring to come has them, too, or no longer. */
  bind(isBound: boolean): void {
    if (this.#bound === isBound) return;
    this.#bound = isBound;
    if (!this.#ended) this.#handoff?.bind(isBound);
  }

  // What its handoffs ask of it.

  /** Takes no commands until `goOn`; they wait. */
  hold(): void {
    this.#held = true;
    this.#mailbox.close();
  }

  /** Takes commands again, those first that have been waiting. */
  goOn(): void {
    this.#held = false;
    this.#mailbox.open(this.#host.now());
    this.#drain();
  }

  /** Calls `callback` once no handler is at work, unless what is returned is called before. */
  whenQuiet(callback: () => void): () => void {
    this.#untilQuiet.add(callback);
    this.#tellQuiet();
    return () => void this.#untilQuiet.delete(callback);
  }

  #tellQuiet(): void {
    if (this.#untilQuiet.size === 0 || !this.#isQuiet()) return;
    const callbacks = [...this.#untilQuiet];
    this.#untilQuiet.clear();
    for (const callback of callbacks) callback();
  }

  /** A handler has ended: others may run, those first whose transfers wait. */
  #free(): void {
    this.#busy = false;
    while (!this.#busy && this.#forwarded.length > 0) {
      this.#forwarded.shift()?.perform();
    }
    this.#drain();
    this.#tellQuiet();
  }

  /** Whether no handler is at work, not even for callers who have been answered. */
  #isQuiet(): boolean {
    if (this.#busy || this.#ended || this.#abandoned > 0) return false;
    for (const call of this.#promised) {
      if (!call.answered) return false;
    }
    return true;
  }

  /** Whether commands wait, or data from other nodes. */
  get hasWaiting(): boolean {
    return this.#mailbox.length > 0 ||
      (this.#handoff?.waiting ?? 0) > 0;
  }

  /** Entries of all batches of handoffs to this vnode that were begun. */
  get begun(): number {
    return this.#handoff?.begun ?? 0;
  }

  /**
   * Removes all data while nothing comes in; the vnode stands still until
   * {@linkcode VnodeProcess.serve}. @throws What the module fails with; the vnode ends then.
   */
  async remove(): Promise<void> {
    await this.#handoff?.remove();
  }

  /** Serves again after {@linkcode VnodeProcess.remove}. */
  serve(): void {
    if (!this.#ended) this.#handoff?.serve();
  }

  /**
   * Runs a command that came with a handoff, once no handler is at work; rejects
   * if the handler fails, with which the vnode ends.
   */
  run(command: number, body: Uint8Array): Promise<void> {
    const declaration = this.#table.declarations[command];
    const handler = this.#handlers[command];
    if (declaration === undefined || handler === undefined) {
      throw new WhorlError(
        "unknown_command",
        `Cannot run command ${command} of a handoff as '${this.#module.name}' has ${this.#table.names.length}`,
      );
    }
    this.#reader.reset(body, 0, body.length);
    const request = declaration.request.decode(this.#reader);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failed = (error: unknown): void => {
      reject(error);
      this.crash(error);
    };
    // Nobody gets its answer, which its first caller gets from the source.
    const call: Call = {
      timeLeftMs: FORWARDED_COMMAND_MS,
      accepted: () => {},
      reply: () => resolve(),
      fail: () => resolve(),
      reject: () => resolve(),
    };
    const perform = (): void => {
      this.#handoff?.follows?.forward(
        HandoffEntry.command,
        command,
        body.slice(),
        () => {},
      );
      let result: unknown;
      try {
        result = handler(request, call);
      } catch (error) {
        failed(error);
        return;
      }
      if (result instanceof Promise) {
        this.#busy = true;
        result.then((value) => {
          if (value !== answersLater) resolve();
          if (!this.#ended) this.#free();
        }, failed);
      } else if (result !== answersLater) resolve();
    };
    if (this.#ended) {
      reject(
        new WhorlError("vnode_crashed", "The vnode has stopped", {
          details: { partition: this.partition },
        }),
      );
    } else if (this.#busy) this.#forwarded.push({ perform, reject });
    else perform();
    return promise;
  }

  /** What it held is `owner`'s: commands that wait are refused with its name. */
  released(owner: string): void {
    this.#host.released(this, owner);
    const { partition } = this;
    const forOwner = this.#mailbox.remove(({ flags }) =>
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

  /** What it held is elsewhere and removed: it need not run, unless commands came meanwhile. */
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
      // It could not be read: handlers are called where their failures are seen to.
      this.counts.failed++;
      this.#answers.failWith(correlation, error, "protocol_error");
    }
  }

  #promise(call: PendingCall): void {
    this.#promised.add(call);
    this.#host.requestsInHand();
  }

  /**
   * Answers `timeout` for requests whose callers have stopped waiting, so that
   * a handler that never answers holds none of them for ever. That it may be at
   * work still is remembered, see {@linkcode VnodeProcess.idle}.
   *
   * @returns How many are left that wait or were promised an answer.
   */
  giveUpOverdue(): number {
    if (this.#ended) return 0;
    const now = this.#host.now();
    this.#coverage.giveUpOverdue();
    for (const call of this.#promised) {
      if (call.deadline > now - OVERDUE_GRACE_MS) continue;
      this.#promised.delete(call);
      call.abandon();
      this.#abandoned++;
      this.counts.expired++;
      this.#answers.fail(
        call.correlation,
        "timeout",
        this.#overdue("did not answer"),
      );
    }
    if (this.#mailbox.length > 0) this.#lookThroughMailbox(now);
    this.#lookForRoom();
    return this.load;
  }

  /** Answers for what has waited too long, and lets go of messages of which little waits. */
  #lookThroughMailbox(now: number): void {
    for (const [request, fate] of this.#mailbox.removeOverdue(now)) {
      this.#turnAway(request, fate, this.#overdue("was busy"));
    }
    this.#mailbox.keepBytes();
  }

  #overdue(why: string): string {
    return `The vnode of partition ${this.partition} ${why} until the deadline had passed`;
  }

  /** @internal The handler of a call that was given up has finished it. */
  finishedLate(): void {
    this.#abandoned--;
    this.#tellQuiet();
  }

  /** @internal The handler of a call has finished, and its answer waits for the target of a handoff. */
  appliedHere(): void {
    this.#tellQuiet();
  }

  /** @internal Milliseconds until `deadline`. */
  timeLeftUntil(deadline: number): number {
    return Math.max(0, deadline - this.#host.now());
  }

  /** @internal Answers a call with an early or a final result. */
  answer(call: PendingCall, type: number, value: unknown): void {
    if (type !== FrameType.vnodeAccepted) {
      this.#promised.delete(call);
      this.counts.handled++;
      this.#tellQuiet();
    }
    if (this.#ended) return;
    this.#answers.answer(
      call.correlation,
      type,
      (into) => call.declaration.reply.encode(value, into),
    );
  }

  /** @internal Answers a call with a failure. */
  rejectCall(call: PendingCall, error: unknown): void {
    this.#promised.delete(call);
    this.counts.failed++;
    this.#tellQuiet();
    if (!this.#ended) {
      this.#answers.failWith(call.correlation, error, "vnode_error");
    }
  }

  /** Ends because a handler or a store failed; the supervisor starts it anew. */
  crash(error: unknown): void {
    if (this.#ended) return;
    this.counts.failed++;
    this.#answerAll(reasonOf(error));
    const vnode = this.#vnode;
    // It may be in any state; a second failure on the way out changes nothing.
    const ended = (): void => {
      this.end(crash(error));
    };
    Promise.try(() => vnode?.terminate?.(error)).then(ended, ended);
  }

  #crash(call: PendingCall, error: unknown): void {
    if (this.#ended) return;
    this.#promised.delete(call);
    if (!call.settled) {
      call.answered = true;
      this.#answers.fail(
        call.correlation,
        "vnode_error",
        `The vnode of partition ${this.partition} failed: ${reasonOf(error)}`,
      );
    }
    this.crash(error);
  }
}
