/**
 * The outbound side of one node's handoffs: the transfers being sent, each by a
 * sender of its own, and what is known of those that will be resumed.
 *
 * @module
 */
import { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import { reasonOf } from "../base/errors.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { HandoffOutcome, writeHandoffFinish } from "../vnode/handoff_codec.ts";
import { BulkConnections } from "./bulk_connections.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import { type ManagerState, reasonFor } from "./manager_fsm.ts";
import { RateMeter } from "./rate_meter.ts";
import type { FollowingTransfer } from "./resize_reports.ts";
import type { SenderOutcome } from "./sender_fsm.ts";
import { SenderProcess, type SenderWatch } from "./sender_process.ts";
import { SwitchGate } from "./switch_gate.ts";
import type { TransferState, TransferStatus } from "./transfer.ts";
import type { WantedTransfer } from "./transfer_plan.ts";

/**
 * Most transfers that may run or follow at once: those that follow a resize,
 * one per vnode, do not count towards the concurrency.
 */
export const SENDERS_MAX = 65_536;
/** Timeout for a vnode to forget a transfer, in milliseconds. */
const FORGET_MS = 30_000;

/** What is known of a transfer beyond what the manager knows. */
interface Outbound {
  /** Its number, the same at both ends. */
  readonly number: number;
  sender: SenderProcess | undefined;
  state: TransferState;
  startedAtMs: number | null;
  items: number;
  bytes: number;
  total: number | null;
  readonly itemRate: RateMeter;
  readonly byteRate: RateMeter;
}

/** Notifications about outbound transfers, by their names. */
export interface OutboundEvents {
  /** Nearly everything is copied, and new writes are forwarded. */
  follows(name: string): void;
  /** It has ended, for now or for good. */
  ended(name: string, transfer: WantedTransfer, outcome: SenderOutcome): void;
}

/** The outbound side of one node's handoffs; see the module comment. */
export class OutboundProcess {
  /** The senders, temporary children. */
  readonly senders: DynamicSupervisor<[SenderProcess], SenderProcess>;
  readonly #world: HandoffWorld;
  readonly #manager: Readonly<ManagerState>;
  readonly #events: OutboundEvents;
  readonly #connections: BulkConnections;
  readonly #gate = new SwitchGate();
  readonly #outbound = new Map<string, Outbound>();
  #completed = 0;
  #failed = 0;

  /**
   * @param manager Decides which transfers run; stepped by its owner.
   */
  constructor(
    world: HandoffWorld,
    manager: Readonly<ManagerState>,
    events: OutboundEvents,
    onReport: (report: SupervisorReport) => void,
  ) {
    this.#world = world;
    this.#manager = manager;
    this.#events = events;
    this.#connections = new BulkConnections(world);
    this.senders = new DynamicSupervisor({
      name: "senders",
      start: (sender: SenderProcess) => sender,
      maxChildren: SENDERS_MAX,
      shutdown: 1_000,
      runtime: world.runtime,
      onReport,
    });
  }

  /** Transfers that have been completed. */
  get completed(): number {
    return this.#completed;
  }

  /** Attempts that were broken off. */
  get failed(): number {
    return this.#failed;
  }

  /** Ends all connections. */
  close(): void {
    this.#connections.close();
  }

  /**
   * Begins a transfer, or resumes it; false if there can be no more senders, or
   * they are being stopped.
   */
  begin(name: string, transfer: WantedTransfer): boolean {
    if (this.senders.full) return false;
    const world = this.#world;
    const outbound = this.#outbound.get(name) ?? this.#add(name);
    outbound.startedAtMs ??= world.wallClock();
    const sender = new SenderProcess(
      world,
      (node) => this.#connections.to(node),
      transfer,
      outbound.number,
      this.#watch(name, transfer, outbound),
      this.#gate,
    );
    outbound.sender = sender;
    this.senders.startChild(sender);
    sender.begin();
    return true;
  }

  #add(name: string): Outbound {
    const world = this.#world;
    const nowMs = world.runtime.now();
    const outbound: Outbound = {
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
    return outbound;
  }

  #watch(
    name: string,
    transfer: WantedTransfer,
    outbound: Outbound,
  ): SenderWatch {
    return {
      state: (state) => void (outbound.state = state),
      progress: (items, bytes, total) => {
        const now = this.#world.runtime.now();
        outbound.itemRate.add(Math.max(0, items - outbound.items), now);
        outbound.byteRate.add(Math.max(0, bytes - outbound.bytes), now);
        outbound.items = items;
        outbound.bytes = bytes;
        outbound.total = total;
      },
      copied: () => {
        outbound.state = "following";
        this.#events.follows(name);
      },
      ended: (outcome) => this.#ended(name, transfer, outcome),
    };
  }

  /** Stops a transfer for now, or because it is no longer wanted. */
  stop(name: string, resumable: boolean, reason: string): void {
    this.#outbound.get(name)?.sender?.giveUp(resumable, reason);
  }

  /** The ring that the data was spread for is in effect. */
  ringChanged(name: string): void {
    this.#outbound.get(name)?.sender?.ringChanged();
  }

  /**
   * A transfer will not be resumed. Its source, which keeps it for that, is
   * told.
   */
  forget(name: string, { module, sourcePartition }: WantedTransfer): void {
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

  /** The transfers of a resize that have sent everything and follow what is written. */
  *following(): Iterable<FollowingTransfer> {
    for (const [name, { wanted, phase }] of this.#manager.transfers) {
      const outbound = this.#outbound.get(name);
      // One that is being stopped may be wanted anew, for another decision.
      if (phase !== "following" || wanted.spread?.follows !== true) continue;
      if (outbound?.state !== "following") continue;
      yield { name, number: outbound.number, wanted };
    }
  }

  #ended(name: string, transfer: WantedTransfer, outcome: SenderOutcome): void {
    const outbound = this.#outbound.get(name);
    if (outbound !== undefined) {
      outbound.sender = undefined;
      outbound.state = "waiting";
    }
    if (outcome.type === "completed") {
      this.#completed++;
      if (outcome.items > 0) this.#logCompleted(transfer, outcome, outbound);
      this.#outbound.delete(name);
    } else {
      const { code, reason } = outcome;
      if (code !== "handoff_refused") this.#failed++;
      if (!outcome.resumable) this.#outbound.delete(name);
      this.#world.log.debug("A handoff ended before its time", {
        name,
        code,
        reason,
      });
    }
    this.#events.ended(name, transfer, outcome);
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

  /** Their progress, of those that wait as well. */
  statuses(nowMs: number): TransferStatus[] {
    return [...this.#manager.transfers].map(([name, transfer]) => {
      const { wanted, failures } = transfer;
      const known = this.#outbound.get(name);
      return {
        id: name,
        kind: wanted.kind,
        module: wanted.module,
        direction: "outbound",
        source: this.#world.self,
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
    });
  }
}
