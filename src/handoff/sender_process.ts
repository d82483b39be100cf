/**
 * One running transfer: makes the requests to source and target that
 * `sender_fsm.ts` decides on, and passes it their answers. A temporary child of
 * the node's `handoff_sup`.
 *
 * @module
 */
import { ChildBase } from "../../supervisors/child.ts";
import {
  type ExitReason,
  formatReason,
} from "../../supervisors/exit_reason.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { ownerOfVnode } from "../ring/ring_generations.ts";
import {
  BATCH_HEADER_BYTES,
  HandoffMode,
  HandoffOutcome,
  readBatchHead,
  writeHandoffAcked,
  writeHandoffBatch,
  writeHandoffFinal,
  writeHandoffFinish,
  writeHandoffNext,
  writeHandoffOffer,
  writeHandoffOpen,
  writeHandoffSpread,
  writeHandoffSwitch,
} from "../vnode/handoff_codec.ts";
import { readSpreadGroups, type SpreadGroup } from "../vnode/handoff_spread.ts";
import { OpenAnswer } from "../vnode/vnode_handoff.ts";
import type { BulkConnection, HandoffWorld } from "./handoff_world.ts";
import { offerData } from "./inbound_offer.ts";
import {
  createSender,
  type SenderEffect,
  type SenderEvent,
  type SenderOutcome,
  type SenderState,
  STALL_MS,
  stepSender,
} from "./sender_fsm.ts";
import { SwitchGate } from "./switch_gate.ts";
import type { WantedTransfer } from "./transfer_plan.ts";

/**
 * Timeout for a vnode to begin, read a batch or stand still, in milliseconds.
 */
const SOURCE_MS = 30_000;
/** Timeout for a vnode to remove what it has handed off, in milliseconds. */
const FINISH_MS = 600_000;
/**
 * Timeout for an answer of a target, in milliseconds. Source: riak_core's
 * `handoff_receive_vnode_timeout`.
 */
const TARGET_MS = 60_000;

/** Notifications about a transfer. */
export interface SenderWatch {
  state(state: "connecting" | "sending" | "switching"): void;
  /**
   * The target has that many items and bytes of `total`, which may be unknown.
   */
  progress(items: number, bytes: number, total: number | null): void;
  /**
   * Nearly everything is with the targets of a spread, and new writes are
   * forwarded.
   */
  copied?(): void;
  /** It has ended; called once. */
  ended(outcome: SenderOutcome): void;
}

/** A transfer being sent. */
export class SenderProcess extends ChildBase {
  readonly kind = "task";
  readonly transfer: WantedTransfer;
  /** Identifies it at its source and target; the same when it is resumed. */
  readonly number: number;
  readonly #world: HandoffWorld;
  readonly #connect: (node: string) => Promise<BulkConnection>;
  readonly #watch: SenderWatch;
  readonly #sender: SenderState;
  readonly #gate: SwitchGate;
  /** Pending while it waits for its turn to make the source stand still. */
  #entering: Promise<unknown> | undefined;
  /** Lets the next one in. */
  #leave: () => void = () => {};
  #connection: BulkConnection | undefined;
  /** Connections to the targets of a spread, by node. */
  readonly #spreadConnections = new Map<string, Promise<BulkConnection>>();
  /**
   * Resolves when all batches of a spread that were sent have arrived, or one
   * has failed.
   */
  #spreadBefore: Promise<void> = Promise.resolve();
  #pause: TimerHandle | undefined;
  #stall: TimerHandle | undefined;
  #toldEnd = false;

  /**
   * @param connect Returns the connection to a node, possibly shared.
   * @param gate Limits how many sources stand still; shared by the senders of a
   * node.
   */
  constructor(
    world: HandoffWorld,
    connect: (node: string) => Promise<BulkConnection>,
    transfer: WantedTransfer,
    number: number,
    watch: SenderWatch,
    gate: SwitchGate = new SwitchGate(),
  ) {
    super();
    this.#world = world;
    this.#connect = connect;
    this.transfer = transfer;
    this.number = number;
    this.#watch = watch;
    this.#gate = gate;
    this.#sender = createSender({
      moves: transfer.kind !== "repair",
      tells: transfer.kind === "repair" || transfer.kind === "ownership",
      spreads: transfer.spread !== undefined,
      follows: transfer.spread?.follows ?? false,
    });
  }

  /** Starts, once it is under its supervisor. */
  begin(): void {
    this.#step({ type: "start" });
  }

  /** The ring that the data was spread for is in effect. */
  ringChanged(): void {
    this.#step({ type: "ring_changed" });
  }

  /** Stops for now, or because it is no longer wanted. */
  giveUp(resumable: boolean, reason: string): void {
    this.#step({ type: "stop", resumable, reason });
  }

  /** Its supervisor stops it. */
  stop(reason: ExitReason): void {
    this.#step({
      type: "stop",
      resumable: false,
      reason: `its node stops it: ${formatReason(reason)}`,
    });
    // It is not stopped if the source is already giving up its data.
    this.#tellEnd(cutOff("its node stops it"));
    this.end(reason);
  }

  /** Ends at once. */
  kill(): void {
    this.#tellEnd(cutOff("its process was killed"));
    this.end("killed");
  }

  /** Its node in the supervision tree. */
  describe(): Partial<TreeNode> {
    const { kind, module, sourcePartition, target } = this.transfer;
    return { id: `${kind} ${module} ${sourcePartition} to ${target}` };
  }

  #step(event: SenderEvent): void {
    if (!this.alive) return;
    const { runtime } = this.#world;
    if (this.#stall !== undefined) runtime.clearTimer(this.#stall);
    this.#stall = undefined;
    for (const effect of stepSender(this.#sender, event)) {
      this.#perform(effect);
    }
    if (!this.alive || this.#sender.phase === "done") return;
    this.#stall = runtime.setTimer(STALL_MS + SOURCE_MS, () =>
      this.#step({
        type: "failed",
        at: "target",
        error: new WhorlError("timeout", "Nothing has happened for too long"),
      }));
  }

  #perform(effect: SenderEffect): void {
    const { number } = this;
    switch (effect.type) {
      case "open":
        this.#ask(this.#open());
        return;
      case "connect":
        this.#ask(this.#reach(), "target");
        return;
      case "next":
        this.#ask(this.#next(effect.acked, effect.repeat));
        return;
      case "send":
        if (this.transfer.spread !== undefined) {
          const { number, batch } = effect;
          this.#ask(this.#sendSpread(number, batch), "target");
          return;
        }
        this.#ask(
          this.#askTarget((into) => {
            writeHandoffBatch(into, number);
            into.raw(effect.batch);
          }).then((answer) => ({
            type: "acknowledged",
            number: new ByteReader(answer).u53(),
          })),
          "target",
        );
        return;
      case "tell_acknowledged":
        this.#tellSource((into) =>
          writeHandoffAcked(into, number, effect.number)
        );
        return;
      case "switch":
        this.#ask(this.#switch());
        return;
      case "close":
        this.#ask(
          this.#askTarget((into) =>
            writeHandoffFinal(into, number, effect.items, effect.hash)
          ).then(() => ({ type: "closed" })),
          "target",
        );
        return;
      case "copied":
        this.#watch.copied?.();
        return;
      case "finish":
        // Nobody waits for a vnode whose data is being removed, which may take
        // long.
        if (this.#outcome() === HandoffOutcome.removed) this.#leave();
        this.#ask(
          this.#askSource(
            (into) =>
              writeHandoffFinish(
                into,
                number,
                this.#outcome(),
                this.transfer.target,
                this.transfer.decided ?? undefined,
              ),
            FINISH_MS,
          ).then(() => ({ type: "finished" })),
        );
        return;
      case "abandon":
        this.#tellSource((into) =>
          writeHandoffFinish(into, number, HandoffOutcome.abandoned, "")
        );
        return;
      case "let_go_on":
        this.#tellSource((into) => this.#writeOpen(into));
        return;
      case "set_pause":
        this.#pause = this.#world.runtime.setTimer(
          effect.afterMs,
          () => this.#step({ type: "pause_over" }),
        );
        return;
      case "progress":
        this.#watch.progress(effect.items, effect.bytes, effect.total);
        return;
      case "state":
        this.#watch.state(effect.state);
        return;
      case "done":
        this.#tellEnd(effect.outcome);
        this.end("normal");
        return;
      default:
        effect satisfies never;
    }
  }

  #outcome(): number {
    switch (this.transfer.kind) {
      case "ownership":
        return HandoffOutcome.released;
      case "hinted":
      case "resize":
        return HandoffOutcome.removed;
      case "repair":
        return HandoffOutcome.copied;
    }
  }

  /** Turns the answer to a request into an event. */
  #ask(asked: Promise<SenderEvent>, at: "source" | "target" = "source"): void {
    asked.then(
      (event) => this.#step(event),
      (error) =>
        this.#step({
          type: "failed",
          at,
          error: isWhorlError(error)
            ? error
            : new WhorlError("internal", reasonOf(error), { cause: error }),
        }),
    );
  }

  #askSource(
    write: (into: ByteWriter) => void,
    timeoutMs = SOURCE_MS,
  ): Promise<Uint8Array> {
    const { module, sourcePartition } = this.transfer;
    return this.#world.askVnode(module, sourcePartition, write, timeoutMs);
  }

  /** Sends the source a message; if that fails, its transfer is gone anyway. */
  #tellSource(write: (into: ByteWriter) => void): void {
    this.#askSource(write).catch((error) =>
      this.#world.log.debug("A vnode was not told of its handoff", {
        reason: reasonOf(error),
      })
    );
  }

  #askTarget(write: (into: ByteWriter) => void): Promise<Uint8Array> {
    const { module, targetPartition } = this.transfer;
    const connection = this.#connection;
    if (connection === undefined) {
      return Promise.reject(
        new WhorlError("connection_closed", "There is no connection"),
      );
    }
    return connection.ask(module, targetPartition, write, TARGET_MS);
  }

  #writeOpen(into: ByteWriter): void {
    const { kind, target, targetPartition, keySpaces, spread } = this.transfer;
    writeHandoffOpen(into, {
      transfer: this.number,
      mode: spread !== undefined
        ? HandoffMode.spread
        : kind === "repair"
        ? HandoffMode.copy
        : HandoffMode.move,
      target: { node: target, partition: targetPartition },
      keySpaces: keySpaces === null ? null : new Set(keySpaces),
      ...spread === undefined ? {} : { spread },
    });
  }

  /**
   * Sends the parts of a batch to their vnodes. It is acknowledged when all of
   * it, and everything before it, has arrived.
   */
  async #sendSpread(number: number, batch: Uint8Array): Promise<SenderEvent> {
    const groups = readSpreadGroups(new ByteReader(batch));
    const before = this.#spreadBefore;
    const sent = (async () => {
      await Promise.all(groups.map((group) => this.#sendGroup(group)));
      await before;
    })();
    this.#spreadBefore = sent.catch(() => {});
    await sent;
    return { type: "acknowledged", number };
  }

  async #sendGroup({ vnode, batch }: SpreadGroup): Promise<void> {
    const ring = this.#world.ring();
    const owner = ring === undefined ? undefined : ownerOfVnode(ring, vnode);
    if (owner === undefined) {
      throw new WhorlError(
        "handoff_refused",
        "Cannot spread the data of a partition over a ring that is not to be any more",
      );
    }
    const connection = await this.#spreadConnection(owner);
    await connection.ask(
      this.transfer.module,
      vnode,
      (into) => {
        writeHandoffSpread(into, this.number);
        into.raw(batch);
      },
      TARGET_MS,
    );
  }

  /** The connection to one of the targets of a spread. */
  #spreadConnection(node: string): Promise<BulkConnection> {
    let connection = this.#spreadConnections.get(node);
    if (connection === undefined) {
      connection = this.#connect(node);
      this.#spreadConnections.set(node, connection);
      if (this.#toldEnd) {
        connection.then((opened) => opened.close(), () => {});
      }
    }
    return connection;
  }

  async #open(): Promise<SenderEvent> {
    const from = new ByteReader(
      await this.#askSource((into) => this.#writeOpen(into)),
    );
    const how = from.u8();
    if (how === OpenAnswer.notNow) {
      return {
        type: "opened",
        how: "not_now",
        sendsCommands: false,
        empty: false,
      };
    }
    return {
      type: "opened",
      how: how === OpenAnswer.resumed ? "resumed" : "begun",
      sendsCommands: from.u8() === 1,
      empty: from.u8() === 1,
    };
  }

  async #reach(): Promise<SenderEvent> {
    const { kind, module, sourcePartition, target, targetPartition, decided } =
      this.transfer;
    const connection = await this.#connect(target);
    // Ended meanwhile: if it began at the target now, it would never be ended
    // there, and would keep the data there from moving on.
    if (this.#toldEnd) {
      connection.close();
      throw new WhorlError("cancelled", "The handoff has ended meanwhile");
    }
    this.#connection = connection;
    await connection.call(
      "handoff_begin",
      offerData({
        transfer: this.number,
        kind,
        module,
        sourcePartition,
        targetPartition,
        term: decided?.term ?? 0,
        version: decided?.version ?? 0,
      }),
    );
    const answer = await this.#askTarget((into) =>
      writeHandoffOffer(into, this.number)
    );
    return { type: "connected", number: new ByteReader(answer).u53() };
  }

  /** Makes the source stand still, in its turn. */
  async #switch(): Promise<SenderEvent> {
    const entering = this.#gate.enter();
    this.#entering = entering;
    this.#leave = await entering;
    this.#entering = undefined;
    if (this.#toldEnd) {
      this.#leave();
      throw new WhorlError("cancelled", "The handoff has ended meanwhile");
    }
    const answer = await this.#askSource((into) =>
      writeHandoffSwitch(into, this.number)
    );
    const quiet = answer[0] === 1;
    if (!quiet) this.#leave();
    return { type: "switched", quiet };
  }

  async #next(acked: number, repeat: boolean): Promise<SenderEvent> {
    // A request made together with a switch comes after it.
    await this.#entering;
    const answer = await this.#askSource((into) =>
      writeHandoffNext(into, this.number, acked, repeat)
    );
    const { at, ...head } = readBatchHead(new ByteReader(answer));
    // The parts of a spread are batches of their own.
    const bare = head.entries === 0 || this.transfer.spread !== undefined;
    return {
      type: "said",
      ...head,
      batch: answer.subarray(bare ? at + BATCH_HEADER_BYTES : at),
    };
  }

  #tellEnd(outcome: SenderOutcome): void {
    if (this.#toldEnd) return;
    this.#toldEnd = true;
    this.#leave();
    for (const timer of [this.#pause, this.#stall]) {
      if (timer !== undefined) this.#world.runtime.clearTimer(timer);
    }
    // The target need not keep a slot for it.
    const connection = this.#connection;
    connection?.call("handoff_end", this.number).catch(() => {});
    connection?.close();
    for (const opening of this.#spreadConnections.values()) {
      opening.then((opened) => opened.close(), () => {});
    }
    this.#watch.ended(outcome);
  }
}

/** The outcome of a transfer whose process is ended from outside. */
function cutOff(reason: string): SenderOutcome {
  return { type: "failed", resumable: false, code: "closed", reason };
}
