/**
 * The handoffs of a node: finds what has to move, and starts what may. What is
 * sent, what arrives, what has been handed over and what is repaired are each
 * tracked in a file of their own.
 *
 *     ring, services, vnodes ─► plan ─► manager ─► outbound ─► bulk connections
 *                                                     └─► handed over ─► the ring
 *     bulk connections ─► inbound ─► vnodes
 *
 * It acts on notifications; a periodic check of everything covers what nobody
 * was notified of.
 *
 * @module
 */
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { LogData } from "../environment/log.ts";
import { type Ring, ringReady } from "../ring/ring.ts";
import { firstVnode } from "../ring/ring_generations.ts";
import { HandedOverPartitions } from "./handed_over.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import { InboundProcess } from "./inbound_process.ts";
import {
  CONCURRENCY_DEFAULT,
  CONCURRENCY_MAX,
  createManager,
  isSending,
  type ManagerEffect,
  type ManagerEvent,
  type ManagerState,
  stepManager,
} from "./manager_fsm.ts";
import { OutboundProcess } from "./outbound_process.ts";
import { type RepairEvents, RepairProcess } from "./repair_process.ts";
import type { SenderOutcome } from "./sender_fsm.ts";
import { ResizeReports } from "./resize_reports.ts";
import type {
  HandoffConfig,
  HandoffControl,
  HandoffStatus,
  HeldPartition,
  RepairStatus,
  TransferDirection,
} from "./transfer.ts";
import {
  hasHandedOnOrigin,
  heldName,
  planTransfers,
  type WantedTransfer,
} from "./transfer_plan.ts";

/**
 * Interval between checks of everything, in milliseconds; needed only for what
 * was missed. Source: riak_core's `vnode_management_timer`.
 */
export const RECHECK_MS = 10_000;
/**
 * How long data left from a ring of another size is kept, in milliseconds: as
 * long as a request that began with that ring may take. Source:
 * `TIMEOUT_MS_DEFAULT`.
 */
export const FORMER_LINGER_MS = 5_000;

/** What a handoff process notifies its node of. */
export interface HandoffEvents extends RepairEvents {
  /** An outbound transfer has ended. */
  onTransfer(transfer: WantedTransfer, outcome: SenderOutcome): void;
  /** Something changed that may allow a leaving node to exit. */
  onHeldChanged(): void;
}

/** The handoffs of one node; see the module comment. */
export class HandoffProcess implements HandoffControl {
  /** Inbound transfers. */
  readonly inbound: InboundProcess;
  /** Repairs here, and shares of repairs elsewhere. */
  readonly repairing: RepairProcess;
  /** Outbound transfers. */
  readonly outbound: OutboundProcess;
  readonly #world: HandoffWorld;
  readonly #events: HandoffEvents;
  readonly #manager: ManagerState;
  /** The first vnode of the current ring, and since when. */
  #ringFirst: number | undefined;
  #ringSinceMs = 0;
  /**
   * What is on this node, by name; `undefined` until it has been determined.
   */
  #held: Map<string, HeldPartition> | undefined;
  /**
   * Partitions among these that were used again while their transfer was
   * ending.
   */
  readonly #kept = new Set<string>();
  readonly #handedOver: HandedOverPartitions;
  readonly #resize: ResizeReports;
  #refreshing = false;
  #again = false;
  #lookAgain = true;
  #timer: TimerHandle | undefined;
  #recheck: TimerHandle | undefined;
  #refreshTimer: TimerHandle | undefined;
  #refreshAtMs = 0;
  #closed = false;

  constructor(
    world: HandoffWorld,
    events: HandoffEvents,
    onReport: (report: SupervisorReport) => void,
    concurrency: number = CONCURRENCY_DEFAULT,
  ) {
    this.#world = world;
    this.#events = events;
    this.#resize = new ResizeReports(
      world,
      (afterMs) => this.#refreshLater(afterMs),
    );
    this.#handedOver = new HandedOverPartitions(world, {
      isSending: () => isSending(this.#manager),
      discarded: (held) => {
        if (this.#held?.delete(heldName(held))) events.onHeldChanged();
      },
      refresh: () => this.#refresh(),
      warn: (...warning) => this.#warn(...warning),
    });
    this.#manager = createManager({
      concurrency,
      outbound: true,
      inbound: true,
    });
    this.inbound = new InboundProcess(world, this.#manager, {
      count: (count) => this.#step({ type: "inbound", count }),
      shareArrived: (...share) => this.repairing.shareArrived(...share),
      returning: (module, partition, source) =>
        this.#handedOver.clear({ module, partition }, source),
      changed: () => this.#refresh(),
      isKnown: () => this.#held !== undefined,
    });
    this.repairing = new RepairProcess(world, events, {
      refresh: () => this.#refresh(),
      refreshLater: (afterMs) => this.#refreshLater(afterMs),
    });
    this.outbound = new OutboundProcess(world, this.#manager, {
      follows: (name) => {
        this.#step({ type: "follows", name });
        this.#resize.report(this.outbound.following());
      },
      ended: (...ended) => this.#ended(...ended),
    }, onReport);
    this.#recheckLater();
  }

  /**
   * Ends everything; nothing is sent or accepted any more. A sender that has
   * already completed is reported.
   */
  close(): void {
    this.#closed = true;
    this.#handedOver.close();
    for (
      const timer of [this.#timer, this.#recheck, this.#refreshTimer]
    ) {
      if (timer !== undefined) this.#world.runtime.clearTimer(timer);
    }
    this.outbound.close();
    this.inbound.close();
  }

  // Notifications.

  /** The ring, or which nodes serve what, has changed. */
  changed(): void {
    this.#refresh();
  }

  /** A master has started: what it holds is unknown. */
  masterStarted(): void {
    this.#lookAgain = true;
    this.#refresh();
  }

  /** A vnode has started. */
  vnodeStarted(module: string, partition: number): void {
    const held = { module, partition };
    const name = heldName(held);
    if (this.#held === undefined || this.#held.has(name)) return;
    this.#held.set(name, held);
    this.#refresh();
  }

  /**
   * A vnode whose data has been handed over keeps running, since it was used
   * meanwhile.
   */
  vnodeKept(module: string, partition: number): void {
    const held = { module, partition };
    const name = heldName(held);
    this.#kept.add(name);
    this.#held?.set(name, held);
    this.#refresh();
  }

  /** A vnode has ended for good, along with its data. */
  vnodeEnded(module: string, partition: number): void {
    if (this.#held?.delete(heldName({ module, partition }))) {
      this.#events.onHeldChanged();
    }
    this.#refresh();
  }

  /**
   * Whether this node holds nothing that others need; a leaving node may then
   * exit.
   */
  get holdsNothing(): boolean {
    return this.#held?.size === 0;
  }

  #recheckLater(): void {
    this.#recheck = this.#world.runtime.setTimer(RECHECK_MS, () => {
      this.#lookAgain = true;
      this.#refresh();
      if (!this.#closed) this.#recheckLater();
    });
  }

  /**
   * Determines what has to be done, and once more if a change is notified
   * meanwhile.
   */
  #refresh(): void {
    if (this.#closed) return;
    this.#again = true;
    if (this.#refreshing) return;
    this.#refreshing = true;
    this.#look().catch((error) =>
      this.#warn("Handoffs could not be looked at", {
        reason: reasonOf(error),
      })
    ).finally(() => {
      this.#refreshing = false;
      if (this.#again && !this.#closed) this.#refresh();
    });
  }

  async #look(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      if (this.#lookAgain || this.#held === undefined) {
        this.#lookAgain = false;
        const held = await this.#askHeld().catch((error) => {
          this.#lookAgain = true;
          throw error;
        });
        this.#held = new Map(held.map((each) => [heldName(each), each]));
        this.#events.onHeldChanged();
      }
      this.#plan();
    }
  }

  /** What is on this node; at first also what of it was handed over before. */
  async #askHeld(): Promise<readonly HeldPartition[]> {
    if (this.#held === undefined) {
      this.#handedOver.resume(await this.#world.handedOver());
    }
    return await this.#world.held();
  }

  #plan(): void {
    const world = this.#world;
    const ring = world.ring();
    if (ring === undefined || this.#held === undefined) return;
    this.#handedOver.notePassedOn(ring, this.#held.values());
    const plan = planTransfers({
      ring,
      self: world.self,
      modules: world.modules,
      held: [...this.#held.values()],
      handedOver: this.#handedOver.byName,
      arriving: this.inbound.transfers.arriving,
      upNodes: (module) => world.upNodes(module),
      canHandOff: (node) => world.canHandOff?.(node) ?? true,
      formerStays: this.#formerStays(ring),
    });
    if (hasHandedOnOrigin(ring, world.self, [...this.#held.values()])) {
      world.originHandedOn?.();
    }
    for (const settled of plan.settled) this.#handedOver.settle(settled);
    this.#resize.report(this.outbound.following());
    this.repairing.giveUpLost(ring);
    this.repairing.askForShares();
    this.#step({
      type: "wanted",
      transfers: [...plan.wanted, ...this.repairing.requestedShares()],
    });
  }

  /**
   * Why data left from a ring of another size has to stay for now; `null` if it
   * may go.
   */
  #formerStays(ring: Ring): string | null {
    const nowMs = this.#world.runtime.now();
    const first = firstVnode(ring);
    if (this.#ringFirst !== first) {
      this.#ringFirst = first;
      this.#ringSinceMs = nowMs;
    }
    const { sizes } = ring.ownership.generations;
    if (sizes.length === 0) return null;
    const leftMs = this.#ringSinceMs + FORMER_LINGER_MS - nowMs;
    if (leftMs > 0) {
      this.#refreshLater(leftMs);
      return "requests that began before the ring changed may be under way";
    }
    // Nodes that use the former ring must find there what was acknowledged.
    return ringReady(ring)
      ? null
      : "not all members are known to go by the ring of the new size";
  }

  /**
   * Warns about something that will be retried. A node that stops closes its
   * stores, so what that prevents needs no warning.
   */
  #warn(message: string, data: LogData): void {
    const { log } = this.#world;
    if (this.#closed) log.debug(message, data);
    else log.warn(message, data);
  }

  // The manager.

  #step(event: ManagerEvent): void {
    if (this.#closed) return;
    const effects = stepManager(
      this.#manager,
      event,
      this.#world.runtime.now(),
    );
    for (const effect of effects) this.#perform(effect);
    // Nothing else is running that would end soon.
    if (!isSending(this.#manager)) this.#handedOver.flushReports();
    this.inbound.wake();
  }

  #perform(effect: ManagerEffect): void {
    const { runtime } = this.#world;
    switch (effect.type) {
      case "begin":
        this.#begin(effect.name, effect.transfer);
        return;
      case "stop":
        this.outbound.stop(effect.name, effect.resumable, effect.reason);
        return;
      case "forget":
        this.outbound.forget(effect.name, effect.transfer);
        return;
      case "finish":
        this.outbound.ringChanged(effect.name);
        return;
      case "stop_inbound":
        this.inbound.breakOff(effect.count);
        return;
      case "set_timer":
        if (this.#timer !== undefined) runtime.clearTimer(this.#timer);
        this.#timer = runtime.setTimer(
          Math.max(0, effect.atMs - runtime.now()),
          () => {
            this.#timer = undefined;
            this.#step({ type: "tick" });
          },
        );
        return;
      default:
        effect satisfies never;
    }
  }

  #begin(name: string, transfer: WantedTransfer): void {
    const { module, sourcePartition: partition } = transfer;
    this.#kept.delete(heldName({ module, partition }));
    if (this.outbound.begin(name, transfer)) return;
    // The senders are being stopped, and this process is next.
    this.#step({
      type: "failed",
      name,
      refused: false,
      yields: false,
      reason: "The senders are stopping",
      jitter: this.#world.runtime.random(),
    });
  }

  #ended(name: string, transfer: WantedTransfer, outcome: SenderOutcome): void {
    if (outcome.type === "completed") {
      this.repairing.shareSent(name);
      this.#handed(transfer);
      this.#step({ type: "completed", name });
      this.#refresh();
    } else {
      const { code, reason } = outcome;
      const refused = code === "handoff_refused";
      this.#step({
        type: "failed",
        name,
        refused,
        yields: refused && this.inbound.someWait,
        reason,
        jitter: this.#world.runtime.random(),
      });
      if (transfer.kind === "repair" && code === "not_capable") {
        this.repairing.refuse(name, transfer, reason);
      }
    }
    this.#events.onTransfer(transfer, outcome);
  }

  #handed(
    { kind, module, sourcePartition, target, decided }: WantedTransfer,
  ): void {
    const name = heldName({ module, partition: sourcePartition });
    // It may hold something new by now.
    const isGone = (kind === "hinted" || kind === "resize") &&
      !this.#kept.delete(name);
    if (isGone && this.#held?.delete(name)) this.#events.onHeldChanged();
    if (kind !== "ownership" || decided === null) return;
    this.#handedOver.add(
      { module, partition: sourcePartition },
      { target, ...decided },
    );
  }

  #refreshLater(afterMs: number): void {
    if (this.#closed) return;
    const { runtime } = this.#world;
    const atMs = runtime.now() + afterMs;
    if (this.#refreshTimer !== undefined) {
      if (this.#refreshAtMs <= atMs) return;
      runtime.clearTimer(this.#refreshTimer);
    }
    this.#refreshAtMs = atMs;
    this.#refreshTimer = runtime.setTimer(afterMs, () => {
      this.#refreshTimer = undefined;
      this.#refresh();
    });
  }

  // For operators.

  repair(partition: number, module: string | null): Promise<RepairStatus[]> {
    return this.repairing.repair(partition, module);
  }

  repairs(): readonly RepairStatus[] {
    return this.repairing.statuses();
  }

  status(): HandoffStatus {
    const { self } = this.#world;
    const nowMs = this.#world.runtime.now();
    return {
      node: self,
      config: this.#manager.config,
      transfers: [
        ...this.outbound.statuses(nowMs),
        ...this.inbound.transfers.statuses(self, nowMs),
      ],
      completed: this.outbound.completed,
      failed: this.outbound.failed,
    };
  }

  heldPartitions(): Promise<readonly HeldPartition[]> {
    return this.#world.held();
  }

  setConcurrency(concurrency: number): HandoffConfig {
    if (
      !Number.isInteger(concurrency) || concurrency < 0 ||
      concurrency > CONCURRENCY_MAX
    ) {
      throw new WhorlError(
        "invalid_argument",
        `Cannot set the transfer limit as it must be a whole number from 0 to ${CONCURRENCY_MAX}: current value is ${concurrency}`,
      );
    }
    this.#step({ type: "concurrency", concurrency });
    return this.#manager.config;
  }

  setEnabled(direction: TransferDirection, enabled: boolean): HandoffConfig {
    this.#step({ type: "enabled", direction, enabled });
    return this.#manager.config;
  }
}
