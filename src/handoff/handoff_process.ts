/**
 * The handoffs of a node: it sees what has to move, begins what may, keeps count
 * of what comes, and tells the ring what has gone.
 *
 *     ring, services, vnodes ─► plan ─► manager ─► senders ─► bulk connections
 *                                                     └─► completed ─► the ring
 *     bulk connections ─► inbound transfers ─► vnodes
 *
 * It acts on what it is told; a look at everything from time to time is for what
 * was told to nobody.
 *
 * @module
 */
import { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import { type Ring, ringReady } from "../ring/ring.ts";
import {
  ageOfVnode,
  firstVnode,
  ownerOfVnode,
  partitionOfVnode,
} from "../ring/ring_generations.ts";
import { expectInteger, expectList, expectText } from "../wire/plain_data.ts";
import { BulkConnections } from "./bulk_connections.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import {
  expectOffer,
  type InboundOffer,
  refuseOffer,
} from "./inbound_offer.ts";
import { InboundTransfers } from "./inbound_transfers.ts";
import { HandoffOutcome, writeHandoffFinish } from "../vnode/handoff_codec.ts";
import {
  admitsInbound,
  CONCURRENCY_DEFAULT,
  CONCURRENCY_MAX,
  createManager,
  isSending,
  type ManagerEffect,
  type ManagerEvent,
  type ManagerState,
  stepManager,
} from "./manager_fsm.ts";
import { RateMeter } from "./rate_meter.ts";
import { Repairs, repairShares } from "./repairs.ts";
import type { SenderOutcome } from "./sender_fsm.ts";
import { SenderProcess } from "./sender_process.ts";
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
  type HandedOver,
  heldName,
  planTransfers,
  type SettledPartition,
  transferName,
  type WantedTransfer,
} from "./transfer_plan.ts";

/** Most transfers that may run or follow at once: those of a resize that follow are beside the others, one for each vnode. */
export const SENDERS_MAX = 65_536;
/** Time between looks at everything, in milliseconds; only what was told to nobody needs it. Source: riak_core's `vnode_management_timer`. */
export const RECHECK_MS = 10_000;
/** Time after which a neighbour is asked for its share of a repair once more, in milliseconds. */
export const REPAIR_ASK_MS = 5_000;
/** The same for one that could not be asked. */
const REPAIR_ASK_AGAIN_MS = 500;
/** Time after which a share that nobody asks for any more is not sent, in milliseconds. */
const REPAIR_FORGET_MS = 60_000;
/** Time a vnode has to give up a transfer, in milliseconds. */
const FORGET_MS = 30_000;
/** Shares that other nodes may have asked for; a further one is refused. */
export const REQUESTED_SHARES_MAX = 4_096;
/** Replicas of a key, as far as repairs go. Source: riak_core's `n_val`. */
export const REPAIR_N = 3;

/**
 * How long what is left of a ring of another size stays where it is, in
 * milliseconds: so long a request may take that began by that ring. Source:
 * `TIMEOUT_MS_DEFAULT`.
 */
export const FORMER_LINGER_MS = 5_000;

/** How long a transfer that may not begin waits before it is refused, in milliseconds. */
export const OFFER_WAIT_MS = 250;
/** Transfers that may wait so; a further one is refused at once. */
export const OFFERS_WAITING_MAX = 256;

/** A transfer that waits to be let begin here. */
interface WaitingOffer {
  readonly connection: object;
  readonly transfer: number;
  /** Whether its source has given it up meanwhile. */
  withdrawn: boolean;
  /** Has it looked at again. */
  wake(): void;
}

/** What is known of a transfer besides what the manager knows. */
interface Outbound {
  /** Number it bears at both ends. */
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

/** A repair somebody else has asked this node to send for. */
interface RequestedShare {
  readonly transfer: WantedTransfer;
  askedMs: number;
}

/** What a handoff process tells. */
export interface HandoffEvents {
  /** A transfer from here has ended. */
  onTransfer(transfer: WantedTransfer, outcome: SenderOutcome): void;
  /** A partition has been rebuilt. */
  onRepaired(module: string, partition: number): void;
  /** A partition cannot be rebuilt: its module does not say how. */
  onUnrepairable(module: string, partition: number, reason: string): void;
  /** Something that may let a leaving node exit has changed. */
  onHeldChanged(): void;
}

/** The handoffs of one node; see the module's text. */
export class HandoffProcess implements HandoffControl {
  /** Its senders, temporary children. */
  readonly senders: DynamicSupervisor<[SenderProcess], SenderProcess>;
  readonly #world: HandoffWorld;
  readonly #events: HandoffEvents;
  readonly #connections: BulkConnections;
  readonly #gate = new SwitchGate();
  readonly #manager: ManagerState;
  readonly #inbound = new InboundTransfers();
  readonly #outbound = new Map<string, Outbound>();
  readonly #repairs = new Repairs();
  /** The first vnode of the ring as it is, and since when. */
  #ringFirst: number | undefined;
  #ringSinceMs = 0;
  /** The first vnode of the ring they were begun in. */
  #repairsFirst = 0;
  /** Shares of other nodes' repairs, by the names of their transfers. */
  readonly #requested = new Map<string, RequestedShare>();
  /** When each share of this node's repairs was asked for. */
  readonly #asked = new Map<string, number>();
  /** What is on this node, by name; `undefined` until it has been looked at. */
  #held: Map<string, HeldPartition> | undefined;
  /** Of that, what was asked for more while its transfer came to its end. */
  readonly #kept = new Set<string>();
  readonly #handedOver = new Map<string, HandedOver>();
  readonly #settling = new Set<string>();
  /** Partitions whose rest is being removed: one at a time. */
  #drops = 0;
  /** Transfers that wait to be let begin. */
  readonly #waitingOffers = new Set<WaitingOffer>();
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
    this.#manager = createManager({
      concurrency,
      outbound: true,
      inbound: true,
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

  /** Ends everything; nothing is sent or taken any more. */
  close(): void {
    this.#closed = true;
    for (
      const timer of [this.#timer, this.#recheck, this.#refreshTimer]
    ) {
      if (timer !== undefined) this.#world.runtime.clearTimer(timer);
    }
    this.#connections.close();
    this.#wakeOffers();
  }

  // What it is told.

  /** The ring, or who serves what, has changed. */
  changed(): void {
    this.#refresh();
  }

  /** A master runs that did not: what it holds is not known. */
  masterStarted(): void {
    this.#lookAgain = true;
    this.#refresh();
  }

  /** A vnode runs that did not. */
  vnodeStarted(module: string, partition: number): void {
    const held = { module, partition };
    const name = heldName(held);
    if (this.#held === undefined || this.#held.has(name)) return;
    this.#held.set(name, held);
    this.#refresh();
  }

  /** A vnode whose data is elsewhere runs on, as it was asked for more meanwhile. */
  vnodeKept(module: string, partition: number): void {
    const held = { module, partition };
    const name = heldName(held);
    this.#kept.add(name);
    this.#held?.set(name, held);
    this.#refresh();
  }

  /** A vnode has ended for good, and with it its data. */
  vnodeEnded(module: string, partition: number): void {
    if (this.#held?.delete(heldName({ module, partition }))) {
      this.#events.onHeldChanged();
    }
    this.#refresh();
  }

  /** Whether nothing is on this node that others must have; a node that leaves may then go. */
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

  /** Sees what has to be done, once more if it is told of a change meanwhile. */
  #refresh(): void {
    if (this.#closed) return;
    this.#again = true;
    if (this.#refreshing) return;
    this.#refreshing = true;
    this.#look().catch((error) =>
      this.#world.log.warn("Handoffs could not be looked at", {
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
    const plan = planTransfers({
      ring,
      self: world.self,
      modules: world.modules,
      held: [...this.#held.values()],
      handedOver: this.#handedOver,
      arriving: this.#inbound.arriving,
      upNodes: (module) => world.upNodes(module),
      canHandOff: (node) => world.canHandOff?.(node) ?? true,
      formerStays: this.#formerStays(ring),
    });
    for (const settled of plan.settled) this.#settle(settled);
    this.#giveUpRepairs(ring);
    this.#askForShares();
    this.#step({
      type: "wanted",
      transfers: [...plan.wanted, ...this.#requestedShares()],
    });
  }

  /** Why what is left of a ring of another size has to stay for now; `null` if it may go. */
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
    // Who goes by the former ring must find there what was acknowledged.
    return ringReady(ring)
      ? null
      : "not all members are known to go by the ring of the new size";
  }

  /** Gives up the repairs of partitions that are not this node's any more. */
  #giveUpRepairs(ring: Ring): void {
    const first = firstVnode(ring);
    const resized = first !== this.#repairsFirst;
    this.#repairsFirst = first;
    this.#repairs.giveUp(
      (partition) =>
        resized || ring.ownership.owners[partition] !== this.#world.self,
      resized
        ? "the ring has another size now"
        : "another node owns the partition now",
    );
  }

  /** Brings a partition that has been handed over in line with the ring. */
  #settle({ module, partition, action }: SettledPartition): void {
    const name = heldName({ module, partition });
    if (action === "report") {
      this.#world.transferComplete(partitionOfVnode(partition), module);
      return;
    }
    if (this.#settling.has(name)) return;
    // Removing can wait, and what is moving should not wait for it.
    if (action === "drop" && (this.#drops > 0 || isSending(this.#manager))) {
      return;
    }
    this.#settling.add(name);
    if (action === "drop") this.#drops++;
    const world = this.#world;
    const done = action === "drop"
      ? world.drop(module, partition)
      : action === "discard"
      ? this.#discard(module, partition)
      : world.takeBack(module, partition);
    done.then(
      () => void this.#handedOver.delete(name),
      (error) =>
        world.log.warn("What is left of a handoff could not be settled yet", {
          module,
          partition,
          reason: reasonOf(error),
        }),
    ).finally(() => {
      this.#settling.delete(name);
      if (action === "drop") this.#drops--;
      // One that failed is tried again with the next look.
      if (action !== "discard" && !this.#handedOver.has(name)) this.#refresh();
    });
  }

  /** Removes what has come for a resize that was given up. */
  async #discard(module: string, vnode: number): Promise<void> {
    await this.#world.discard?.(module, vnode);
    if (this.#held?.delete(heldName({ module, partition: vnode }))) {
      this.#events.onHeldChanged();
    }
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
    this.#wakeOffers();
  }

  #wakeOffers(): void {
    for (const offer of [...this.#waitingOffers]) offer.wake();
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
        this.#inbound.breakOff(effect.count);
        this.#step({
          type: "inbound",
          count: this.#inbound.countFromOthers(this.#world.self),
        });
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

  /** A source keeps a transfer that may be resumed, which this one will not be. */
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
      // They are being stopped, and this process is next.
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
          const { sourcePartition, module } = transfer;
          world.transferComplete(partitionOfVnode(sourcePartition), module);
          this.#step({ type: "follows", name });
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
      this.#requested.delete(name);
      this.#handed(transfer);
      this.#step({ type: "completed", name });
      this.#refresh();
    } else {
      this.#failed++;
      if (!outcome.resumable) this.#outbound.delete(name);
      world.log.debug("A handoff ended before its time", {
        name,
        code: outcome.code,
        reason: outcome.reason,
      });
      const refused = outcome.code === "handoff_refused";
      this.#step({
        type: "failed",
        name,
        refused,
        yields: refused && this.#waitingOffers.size > 0,
        reason: outcome.reason,
        jitter: world.runtime.random(),
      });
      if (transfer.kind === "repair" && outcome.code === "not_capable") {
        this.#refuseShare(name, transfer, outcome.reason);
      }
    }
    this.#events.onTransfer(transfer, outcome);
  }

  /** Tells who rebuilds a partition that its neighbours cannot help. */
  #refuseShare(name: string, transfer: WantedTransfer, reason: string): void {
    const world = this.#world;
    const { module, target, sourcePartition, targetPartition } = transfer;
    this.#requested.delete(name);
    const args = [module, sourcePartition, targetPartition, reason];
    const told = target === world.self
      ? Promise.try(() => this.shareRefused(args))
      : world.call(target, "handoff_repair_refused", args);
    // It asks again if it has not heard.
    told.catch((error) =>
      world.log.debug("A refused repair was not told", {
        reason: reasonOf(error),
      })
    );
    this.#refresh();
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
    this.#handedOver.set(name, { target, ...decided });
    this.#world.transferComplete(partitionOfVnode(sourcePartition), module);
  }

  // What comes to this node.

  /**
   * A transfer wants to begin over `connection`. One that may not waits a little
   * first: for one that is about to end, or for the ring that its source knows.
   *
   * @throws {WhorlError} `handoff_refused` if it may not, `protocol_error` if it makes no sense.
   */
  async inboundBegins(
    connection: { readonly closed?: unknown },
    source: string,
    offered: unknown,
  ): Promise<void> {
    const offer = expectOffer(offered);
    const { runtime } = this.#world;
    const untilMs = runtime.now() + OFFER_WAIT_MS;
    const waiting: WaitingOffer = {
      connection,
      transfer: offer.transfer,
      withdrawn: false,
      wake: () => {},
    };
    for (;;) {
      const refusal = this.#refusalOf(connection, source, offer);
      if (refusal === null) break;
      const leftMs = untilMs - runtime.now();
      if (leftMs <= 0 || this.#waitingOffers.size >= OFFERS_WAITING_MAX) {
        throw refusal;
      }
      await this.#nextChange(waiting, leftMs);
      if (
        this.#closed || connection.closed !== undefined || waiting.withdrawn
      ) throw refusal;
    }
    this.#inbound.begin(connection, source, offer, {
      monotonicMs: runtime.now(),
      wallMs: this.#world.wallClock(),
    });
    this.#step({
      type: "inbound",
      count: this.#inbound.countFromOthers(this.#world.self),
    });
  }

  /** Why a transfer may not begin now; `null` if it may. */
  #refusalOf(
    connection: object,
    source: string,
    offer: InboundOffer,
  ): WhorlError | null {
    const world = this.#world;
    const ring = world.ring();
    const refusal = ring === undefined
      ? new WhorlError("handoff_refused", "Cannot take a handoff yet")
      : refuseOffer(ring, world.self, world.modules, source, offer);
    if (refusal !== null) return refusal;
    // What goes from one partition of this node to another counts once.
    if (
      source === world.self || this.#inbound.has(connection, offer.transfer) ||
      admitsInbound(this.#manager)
    ) return null;
    const { inbound, concurrency } = this.#manager.config;
    return new WhorlError(
      "handoff_refused",
      inbound
        ? `Cannot take a handoff as ${concurrency} may run at once`
        : "Cannot take a handoff as inbound ones are disabled",
    );
  }

  /** Resolves when transfers or the ring have changed, when `offer` is withdrawn, or after `waitMs`. */
  #nextChange(offer: WaitingOffer, waitMs: number): Promise<void> {
    const { runtime } = this.#world;
    return new Promise((resolve) => {
      offer.wake = (): void => {
        this.#waitingOffers.delete(offer);
        runtime.clearTimer(timer);
        resolve();
      };
      const timer = runtime.setTimer(waitMs, () => offer.wake());
      this.#waitingOffers.add(offer);
    });
  }

  /** A transfer over `connection` is over, for now or for good. */
  inboundEnded(connection: object, transfer: number): void {
    // One that is let begin after its source has given it up would never end.
    for (const offer of [...this.#waitingOffers]) {
      if (offer.connection !== connection || offer.transfer !== transfer) {
        continue;
      }
      offer.withdrawn = true;
      offer.wake();
    }
    if (this.#inbound.end(connection, transfer) === undefined) return;
    this.#step({
      type: "inbound",
      count: this.#inbound.countFromOthers(this.#world.self),
    });
    // What it brought and nobody wants here goes on to whom it belongs to.
    this.#refresh();
  }

  /**
   * A part of a spread has come from `source` for one of this node's vnodes.
   *
   * @throws {WhorlError} `handoff_refused` unless this node owns its partition, or
   * will once the resize under way is done.
   */
  requireSpread(source: string, vnode: number): void {
    const ring = this.#world.ring();
    const isInbound = this.#manager.config.inbound;
    const owner = ring === undefined ? undefined : ownerOfVnode(ring, vnode);
    if (isInbound && owner === this.#world.self) return;
    const partition = partitionOfVnode(vnode);
    throw new WhorlError(
      "handoff_refused",
      isInbound
        ? `Cannot take data of partition ${partition} from ${source} as the ring here does not say so`
        : "Cannot take a handoff as inbound ones are disabled",
      { details: { partition } },
    );
  }

  /** @throws {WhorlError} `handoff_refused` unless `transfer` was let begin over `connection`, to that vnode. */
  requireInbound(
    connection: object,
    transfer: number,
    moduleId: number,
    partition: number,
  ): void {
    this.#inbound.require(connection, transfer, moduleId, partition);
  }

  /** A vnode has taken so much of a transfer. */
  inboundTook(
    connection: object,
    transfer: number,
    items: number,
    bytes: number,
  ): void {
    this.#inbound.took(
      connection,
      transfer,
      items,
      bytes,
      this.#world.runtime.now(),
    );
  }

  /** A vnode has everything of a transfer from `source`. */
  inboundCompleted(
    connection: object,
    transfer: number,
    source: string,
    items: number,
  ): void {
    const offer = this.#inbound.end(connection, transfer);
    if (offer === undefined) return;
    this.#step({
      type: "inbound",
      count: this.#inbound.countFromOthers(this.#world.self),
    });
    if (offer.kind === "repair") {
      const { module, targetPartition, sourcePartition } = offer;
      const repaired = this.#repairs.shareArrived(
        module,
        partitionOfVnode(targetPartition),
        partitionOfVnode(sourcePartition),
        source,
        items,
      );
      if (repaired !== undefined) {
        this.#events.onRepaired(module, repaired.partition);
      }
    }
    this.#refresh();
  }

  /** A connection has ended, and what came over it. */
  connectionEnded(connection: object): void {
    if (!this.#inbound.connectionEnded(connection)) return;
    this.#step({
      type: "inbound",
      count: this.#inbound.countFromOthers(this.#world.self),
    });
    this.#refresh();
  }

  // Repairs.

  async repair(
    partition: number,
    module: string | null,
  ): Promise<RepairStatus[]> {
    const world = this.#world;
    const ring = world.ring();
    const modules = module === null ? world.modules : [module];
    const known = modules.every((name) => world.modules.includes(name));
    if (
      ring === undefined || !known || !Number.isInteger(partition) ||
      partition < 0 || partition >= ring.size
    ) {
      throw new WhorlError(
        "invalid_argument",
        known
          ? `Cannot repair partition ${partition} as partitions are numbered from 0 to ${
            (ring?.size ?? 1) - 1
          }`
          : `Cannot repair a partition of '${module}' as this node runs no such module`,
      );
    }
    const owner = ring.ownership.owners[partition] as string;
    if (owner !== world.self) {
      throw new WhorlError(
        "wrong_owner",
        `Cannot repair partition ${partition} here as ${owner} owns it`,
        { details: { partition, owner } },
      );
    }
    if (ring.ownership.next.some((next) => next.partition === partition)) {
      throw new WhorlError(
        "ownership_change_in_progress",
        `Cannot repair partition ${partition} as it is moving to another node`,
        { details: { partition } },
      );
    }
    const shares = repairShares(partition, ring.size, REPAIR_N);
    const begun = modules.map((name) =>
      this.#repairs.begin(name, partition, shares)
    );
    this.#refresh();
    const all = this.repairs();
    return await Promise.resolve(
      begun.map((repair) =>
        all.find((status) =>
          status.module === repair.module && status.partition === partition
        ) as RepairStatus
      ),
    );
  }

  repairs(): readonly RepairStatus[] {
    const owners = this.#world.ring()?.ownership.owners;
    return this.#repairs.statuses((partition) => owners?.[partition] ?? "?");
  }

  /** Asks the neighbours of what is being repaired for what they have yet to send. */
  #askForShares(): void {
    const world = this.#world;
    const ring = world.ring();
    if (ring === undefined) return;
    const { owners } = ring.ownership;
    const first = firstVnode(ring);
    const nowMs = world.runtime.now();
    for (const { module, partition, pending } of this.#repairs.running) {
      for (const { sourcePartition, keySpaces } of pending.values()) {
        const owner = owners[sourcePartition] as string;
        const name = `${module}/${partition}/${sourcePartition}`;
        const askedMs = this.#asked.get(name) ?? -Infinity;
        if (nowMs - askedMs < REPAIR_ASK_MS) continue;
        if (!world.upNodes(module).includes(owner)) continue;
        if (world.canHandOff?.(owner) === false) continue;
        this.#asked.set(name, nowMs);
        const args = [
          module,
          first + sourcePartition,
          first + partition,
          keySpaces,
        ];
        const asked = owner === world.self
          ? Promise.try(() => this.shareRequested(world.self, args))
          : world.call(owner, "handoff_repair", args);
        asked.catch((error) => {
          this.#asked.set(name, nowMs - REPAIR_ASK_MS + REPAIR_ASK_AGAIN_MS);
          this.#refreshLater(REPAIR_ASK_AGAIN_MS);
          world.log.debug("A neighbour cannot send its share of a repair yet", {
            module,
            partition,
            owner,
            reason: reasonOf(error),
          });
        });
      }
    }
    // Whoever was asked and forgot it, having been started anew, is asked again.
    if (this.#repairs.running.length > 0) this.#refreshLater(REPAIR_ASK_MS);
  }

  #refreshLater(afterMs: number): void {
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

  /**
   * `node` rebuilds a partition and asks for what one of this node's has in common
   * with it.
   *
   * @throws {WhorlError} `protocol_error` if that makes no sense, `overload` beyond {@linkcode REQUESTED_SHARES_MAX}.
   */
  shareRequested(node: string, args: unknown): void {
    const fields = expectList(args, "a request for a repair", 4, 4);
    const keySpaces = expectList(fields[3], "key spaces", 1, 64);
    const transfer: WantedTransfer = {
      kind: "repair",
      module: expectText(fields[0], "a module", 32),
      sourcePartition: expectInteger(fields[1], "a partition"),
      target: node,
      targetPartition: expectInteger(fields[2], "a partition"),
      keySpaces: keySpaces.map((each) => expectInteger(each, "a key space")),
      decided: null,
      blocked: null,
    };
    const name = transferName(transfer);
    const askedMs = this.#world.runtime.now();
    const known = this.#requested.get(name);
    if (known === undefined && this.#requested.size >= REQUESTED_SHARES_MAX) {
      throw new WhorlError(
        "overload",
        `Cannot send for another repair as ${REQUESTED_SHARES_MAX} wait`,
      );
    }
    if (known !== undefined) known.askedMs = askedMs;
    else this.#requested.set(name, { transfer, askedMs });
    this.#refresh();
  }

  /**
   * A neighbour can send no part of what it has, as the module does not say what
   * belongs to it: nothing can be rebuilt.
   *
   * @throws {WhorlError} `protocol_error` if that makes no sense.
   */
  shareRefused(args: unknown): void {
    const fields = expectList(args, "a refused repair", 4, 4);
    const module = expectText(fields[0], "a module", 32);
    const partition = partitionOfVnode(expectInteger(fields[2], "a partition"));
    const reason = expectText(fields[3], "a reason", 1_000);
    if (!this.#repairs.fail(module, partition, reason)) return;
    this.#events.onUnrepairable(module, partition, reason);
    this.#refresh();
  }

  #requestedShares(): WantedTransfer[] {
    const world = this.#world;
    const ring = world.ring();
    const isOwn = (vnode: number): boolean =>
      ring !== undefined && ageOfVnode(ring, vnode) === "present" &&
      ring.ownership.owners[partitionOfVnode(vnode)] === world.self;
    const forgetMs = world.runtime.now() - REPAIR_FORGET_MS;
    const transfers: WantedTransfer[] = [];
    for (const [name, { transfer, askedMs }] of this.#requested) {
      if (askedMs < forgetMs || !isOwn(transfer.sourcePartition)) {
        this.#requested.delete(name);
        continue;
      }
      const { target, module } = transfer;
      transfers.push({
        ...transfer,
        blocked: world.upNodes(module).includes(target)
          ? null
          : `${target} does not serve ${module} now`,
      });
    }
    return transfers;
  }

  // For operators.

  status(): HandoffStatus {
    const { self } = this.#world;
    const nowMs = this.#world.runtime.now();
    const outbound = [...this.#manager.transfers].map(
      ([name, { wanted, failures, reason }]): TransferStatus => {
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
          reason: wanted.blocked ?? reason,
        };
      },
    );
    return {
      node: self,
      config: this.#manager.config,
      transfers: [...outbound, ...this.#inbound.statuses(self, nowMs)],
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
