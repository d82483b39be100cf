/**
 * The handoffs of a node: finds what has to move, starts what may, tracks what
 * arrives, and reports to the ring what has been handed over.
 *
 *     ring, services, vnodes ─► plan ─► manager ─► senders ─► bulk connections
 *                                                     └─► completed ─► the ring
 *     bulk connections ─► inbound transfers ─► vnodes
 *
 * It acts on notifications; a periodic check of everything covers what nobody
 * was notified of.
 *
 * @module
 */
import { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { LogData } from "../environment/log.ts";
import { type Ring, ringReady } from "../ring/ring.ts";
import { firstVnode, partitionOfVnode } from "../ring/ring_generations.ts";
import { BulkConnections } from "./bulk_connections.ts";
import { HandedOverPartitions } from "./handed_over.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import { InboundProcess } from "./inbound_process.ts";
import { HandoffOutcome, writeHandoffFinish } from "../vnode/handoff_codec.ts";
import {
  CONCURRENCY_DEFAULT,
  CONCURRENCY_MAX,
  createManager,
  isSending,
  type ManagerEffect,
  type ManagerEvent,
  type ManagerState,
  reasonFor,
  stepManager,
} from "./manager_fsm.ts";
import { RateMeter } from "./rate_meter.ts";
import { type RepairEvents, RepairProcess } from "./repair_process.ts";
import type { SenderOutcome } from "./sender_fsm.ts";
import { SenderProcess } from "./sender_process.ts";
import { type FollowingTransfer, ResizeReports } from "./resize_reports.ts";
import { SwitchGate } from "./switch_gate.ts";
import type {
  HandoffConfig,
  HandoffControl,
  HandoffStatus,
  HeldPartition,
  RepairStatus,
  TransferDirection,
  TransferState,
  TransferStatus,
} from "./transfer.ts";
import {
  hasHandedOnOrigin,
  heldName,
  planTransfers,
  type WantedTransfer,
} from "./transfer_plan.ts";

/**
 * Most transfers that may run or follow at once: those that follow a resize,
 * one per vnode, do not count towards the concurrency.
 */
export const SENDERS_MAX = 65_536;
/**
 * Interval between checks of everything, in milliseconds; needed only for what
 * was missed. Source: riak_core's `vnode_management_timer`.
 */
export const RECHECK_MS = 10_000;
/** Timeout for a vnode to forget a transfer, in milliseconds. */
const FORGET_MS = 30_000;
/**
 * How long data left from a ring of another size is kept, in milliseconds: as
 * long as a request that began with that ring may take. Source:
 * `TIMEOUT_MS_DEFAULT`.
 */
export const FORMER_LINGER_MS = 5_000;

/** What is known of a transfer beyond what the manager knows. */
interface Outbound {
  /** Its number, the same at both ends. */
  number: number;
  sender: SenderProcess | undefined;
  state: TransferState;
  startedAtMs: number | null;
  items: number;
  bytes: number;
  total: number | null;
  readonly itemRate: RateMeter;
  readonly byteRate: RateMeter;
}

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
  /** Its senders, temporary children. */
  readonly senders: DynamicSupervisor<[SenderProcess], SenderProcess>;
  readonly #world: HandoffWorld;
  readonly #events: HandoffEvents;
  readonly #connections: BulkConnections;
  readonly #gate = new SwitchGate();
  readonly #manager: ManagerState;
  readonly #outbound = new Map<string, Outbound>();
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
  #completed = 0;
  #failed = 0;
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
    this.#connections = new BulkConnections(world);
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
    });
    this.repairing = new RepairProcess(world, events, {
      refresh: () => this.#refresh(),
      refreshLater: (afterMs) => this.#refreshLater(afterMs),
    });
    this.senders = new DynamicSupervisor({
      name: "senders",
      start: (sender: SenderProcess) => sender,
      maxChildren: SENDERS_MAX,
      shutdown: 1_000,
      runtime: world.runtime,
      onReport,
    });
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
    this.#connections.close();
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
        const held = await this.#world.held().catch((error) => {
          this.#lookAgain = true;
          throw error;
        });
        this.#held = new Map(held.map((each) => [heldName(each), each]));
        this.#events.onHeldChanged();
      }
      this.#plan();
    }
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
    this.#resize.report(this.#following());
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

  /** The transfers of a resize that have sent everything and follow what is written. */
  *#following(): Iterable<FollowingTransfer> {
    for (const [name, { wanted, phase }] of this.#manager.transfers) {
      const outbound = this.#outbound.get(name);
      // One that is being stopped may be wanted anew, for another decision.
      if (phase !== "following" || wanted.spread?.follows !== true) continue;
      if (outbound?.state !== "following") continue;
      yield { name, number: outbound.number, wanted };
    }
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
        this.#outbound.get(effect.name)?.sender?.giveUp(
          effect.resumable,
          effect.reason,
        );
        return;
      case "forget":
        this.#forget(effect.name, effect.transfer);
        return;
      case "finish":
        this.#outbound.get(effect.name)?.sender?.ringChanged();
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

  /**
   * A source keeps a transfer that may be resumed, which this one will not be.
   */
  #forget(
    name: string,
    { module, sourcePartition }: WantedTransfer,
  ): void {
    const outbound = this.#outbound.get(name);
    if (outbound === undefined) return;
    this.#outbound.delete(name);
    this.#world.askVnode(
      module,
      sourcePartition,
      (into) =>
        writeHandoffFinish(
          into,
          outbound.number,
          HandoffOutcome.abandoned,
          "",
        ),
      FORGET_MS,
    ).catch((error) =>
      this.#world.log.debug("A vnode was not told of the end of its handoff", {
        name,
        reason: reasonOf(error),
      })
    );
  }

  #begin(name: string, transfer: WantedTransfer): void {
    const world = this.#world;
    if (this.senders.full) {
      // The senders are being stopped, and this process is next.
      this.#step({
        type: "failed",
        name,
        refused: false,
        yields: false,
        reason: "The senders are stopping",
        jitter: world.runtime.random(),
      });
      return;
    }
    const nowMs = world.runtime.now();
    const { module, sourcePartition: partition } = transfer;
    this.#kept.delete(heldName({ module, partition }));
    let outbound = this.#outbound.get(name);
    if (outbound === undefined) {
      outbound = {
        number: world.secretNumber(),
        sender: undefined,
        state: "waiting",
        startedAtMs: null,
        items: 0,
        bytes: 0,
        total: null,
        itemRate: new RateMeter(nowMs),
        byteRate: new RateMeter(nowMs),
      };
      this.#outbound.set(name, outbound);
    }
    const known = outbound;
    known.startedAtMs ??= world.wallClock();
    const sender = new SenderProcess(
      world,
      (node) => this.#connections.to(node),
      transfer,
      known.number,
      {
        state: (state) => void (known.state = state),
        progress: (items, bytes, total) => {
          const now = world.runtime.now();
          known.itemRate.add(Math.max(0, items - known.items), now);
          known.byteRate.add(Math.max(0, bytes - known.bytes), now);
          known.items = items;
          known.bytes = bytes;
          known.total = total;
        },
        copied: () => {
          known.state = "following";
          this.#step({ type: "follows", name });
          this.#resize.report(this.#following());
        },
        ended: (outcome) => this.#ended(name, transfer, outcome),
      },
      this.#gate,
    );
    known.sender = sender;
    this.senders.startChild(sender);
    sender.begin();
  }

  #ended(name: string, transfer: WantedTransfer, outcome: SenderOutcome): void {
    const world = this.#world;
    const outbound = this.#outbound.get(name);
    if (outbound !== undefined) {
      outbound.sender = undefined;
      outbound.state = "waiting";
    }
    if (outcome.type === "completed") {
      this.#completed++;
      if (outcome.items > 0) this.#logCompleted(transfer, outcome, outbound);
      this.#outbound.delete(name);
      this.repairing.shareSent(name);
      this.#handed(transfer);
      this.#step({ type: "completed", name });
      this.#refresh();
    } else {
      const refused = outcome.code === "handoff_refused";
      if (!refused) this.#failed++;
      if (!outcome.resumable) this.#outbound.delete(name);
      world.log.debug("A handoff ended before its time", {
        name,
        code: outcome.code,
        reason: outcome.reason,
      });
      this.#step({
        type: "failed",
        name,
        refused,
        yields: refused && this.inbound.someWait,
        reason: outcome.reason,
        jitter: world.runtime.random(),
      });
      if (transfer.kind === "repair" && outcome.code === "not_capable") {
        this.repairing.refuse(name, transfer, outcome.reason);
      }
    }
    this.#events.onTransfer(transfer, outcome);
  }

  #logCompleted(
    { kind, module, sourcePartition, target, targetPartition }: WantedTransfer,
    { items, bytes }: { readonly items: number; readonly bytes: number },
    outbound: Outbound | undefined,
  ): void {
    const tookMs = this.#world.wallClock() - (outbound?.startedAtMs ?? 0);
    this.#world.log.info(
      `${kind} transfer of ${module} from partition ${
        partitionOfVnode(sourcePartition)
      } to ${
        kind === "resize"
          ? "where it belongs in the resized ring"
          : `partition ${partitionOfVnode(targetPartition)} of ${target}`
      } completed`,
      { items, bytes, tookMs: Math.max(0, Math.round(tookMs)) },
    );
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
    const outbound = [...this.#manager.transfers].map(
      ([name, transfer]): TransferStatus => {
        const { wanted, failures } = transfer;
        const known = this.#outbound.get(name);
        return {
          id: name,
          kind: wanted.kind,
          module: wanted.module,
          direction: "outbound",
          source: self,
          sourcePartition: partitionOfVnode(wanted.sourcePartition),
          target: wanted.target,
          targetPartition: partitionOfVnode(
            wanted.spread === undefined
              ? wanted.targetPartition
              : wanted.sourcePartition,
          ),
          state: known?.state ?? "waiting",
          startedAtMs: known?.startedAtMs ?? null,
          items: known?.items ?? 0,
          bytes: known?.bytes ?? 0,
          itemsTotal: known?.total ?? null,
          itemsPerSecond: Math.round(known?.itemRate.perSecond(nowMs) ?? 0),
          bytesPerSecond: Math.round(known?.byteRate.perSecond(nowMs) ?? 0),
          failures,
          reason: reasonFor(this.#manager, transfer),
        };
      },
    );
    return {
      node: self,
      config: this.#manager.config,
      transfers: [...outbound, ...this.inbound.transfers.statuses(self, nowMs)],
      completed: this.#completed,
      failed: this.#failed,
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
