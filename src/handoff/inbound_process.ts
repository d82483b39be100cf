/**
 * Inbound transfers of a node: offers that wait for a moment if they cannot be
 * accepted yet, and the transfers that run.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { ownerOfVnode, partitionOfVnode } from "../ring/ring_generations.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import {
  expectOffer,
  type InboundOffer,
  refuseOffer,
} from "./inbound_offer.ts";
import { InboundTransfers } from "./inbound_transfers.ts";
import {
  admitsInbound,
  exceedsLimit,
  type ManagerState,
} from "./manager_fsm.ts";

/**
 * How long an offer that cannot be accepted waits before it is refused, in
 * milliseconds.
 */
export const OFFER_WAIT_MS = 250;
/** Most offers that may wait; a further one is refused at once. */
export const OFFERS_WAITING_MAX = 256;

/** An offer that waits to be accepted. */
interface WaitingOffer {
  readonly connection: object;
  readonly transfer: number;
  /** Whether its source has withdrawn it. */
  withdrawn: boolean;
  /** Checks it again. */
  wake(): void;
}

/** Notifications about inbound transfers. */
export interface InboundEvents {
  /** The number of running transfers from other nodes. */
  count(fromOthers: number): void;
  /**
   * A partition has received a neighbour's share of its repair, with that many
   * items.
   */
  shareArrived(offer: InboundOffer, source: string, items: number): void;
  /**
   * A partition is about to come back from `source`: resolves once the rest of it
   * here is removed, if that is with `source` as well.
   */
  returning(module: string, partition: number, source: string): Promise<void>;
  /** Data on this node may have to move on. */
  changed(): void;
  /** Whether it is known what this node holds, and what of it was handed over. */
  isKnown(): boolean;
}

/** The inbound side of one node's handoffs; see the module comment. */
export class InboundProcess {
  readonly #world: HandoffWorld;
  readonly #manager: Readonly<ManagerState>;
  readonly #events: InboundEvents;
  readonly #inbound = new InboundTransfers();
  /** Offers that wait to be accepted. */
  readonly #waitingOffers = new Set<WaitingOffer>();
  /** Accepted offers that wait for what is left here to be removed. */
  #clearing = 0;
  #closed = false;

  /**
   * @param manager Decides whether another transfer may run; stepped by its
   * owner.
   */
  constructor(
    world: HandoffWorld,
    manager: Readonly<ManagerState>,
    events: InboundEvents,
  ) {
    this.#world = world;
    this.#manager = manager;
    this.#events = events;
  }

  /** The running transfers. */
  get transfers(): InboundTransfers {
    return this.#inbound;
  }

  /** Whether some offers wait. */
  get someWait(): boolean {
    return this.#waitingOffers.size > 0;
  }

  /** The ring, or what may run, has changed: checks waiting offers again. */
  wake(): void {
    for (const offer of [...this.#waitingOffers]) offer.wake();
  }

  /** Accepts nothing any more. */
  close(): void {
    this.#closed = true;
    this.wake();
  }

  /** Breaks off `count` of them. */
  breakOff(count: number): void {
    this.#inbound.breakOff(count);
    this.#tellCount();
  }

  #tellCount(): void {
    const running = this.#inbound.countFromOthers(this.#world.self);
    this.#events.count(running + this.#clearing);
  }

  /**
   * A transfer is offered over `connection`. If it cannot be accepted, it waits
   * for a moment: for one that is about to end, or for the ring that its source
   * knows.
   *
   * @throws {WhorlError} `handoff_refused` if it is refused, `protocol_error`
   * if it is malformed.
   */
  async begins(
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
    const isOver = (): boolean =>
      this.#closed || connection.closed !== undefined || waiting.withdrawn;
    for (;;) {
      const refusal = this.#refusalOf(connection, source, offer);
      if (refusal === null) break;
      const leftMs = untilMs - runtime.now();
      if (leftMs <= 0 || this.#waitingOffers.size >= OFFERS_WAITING_MAX) {
        throw refusal;
      }
      await this.#nextChange(waiting, leftMs);
      if (isOver()) throw refusal;
    }
    const clears = offer.kind === "ownership" &&
      !this.#inbound.has(connection, offer.transfer);
    // What is being cleared for counts as running.
    this.#clearing += Number(clears);
    try {
      if (clears) {
        this.#tellCount();
        await this.#clear(waiting, source, offer);
        if (isOver()) throw withdrawn(offer);
        const refusal = this.#currentRefusal(source, offer) ??
          (exceedsLimit(this.#manager) ? this.#noRoom() : null);
        if (refusal !== null) throw refusal;
      }
      this.#inbound.begin(connection, source, offer, {
        monotonicMs: runtime.now(),
        wallMs: this.#world.wallClock(),
      });
    } finally {
      this.#clearing -= Number(clears);
      this.#tellCount();
    }
  }

  /** Why a transfer cannot be accepted now; `null` if it can. */
  #refusalOf(
    connection: object,
    source: string,
    offer: InboundOffer,
  ): WhorlError | null {
    const refusal = this.#currentRefusal(source, offer);
    if (refusal !== null) return refusal;
    // A transfer between two partitions of this node counts once.
    if (
      source === this.#world.self ||
      this.#inbound.has(connection, offer.transfer) ||
      admitsInbound(this.#manager)
    ) return null;
    return this.#noRoom();
  }

  #noRoom(): WhorlError {
    return new WhorlError(
      "handoff_refused",
      `Cannot take a handoff as ${this.#manager.config.concurrency} may run at once`,
    );
  }

  /** Why a transfer cannot be accepted however few are running; `null` if it can. */
  #currentRefusal(source: string, offer: InboundOffer): WhorlError | null {
    const { self, modules } = this.#world;
    const ring = this.#world.ring();
    // The rest of a partition that comes back must be removed first.
    const isReady = offer.kind !== "ownership" || this.#events.isKnown();
    if (ring === undefined || !isReady) {
      return new WhorlError("handoff_refused", "Cannot take a handoff yet");
    }
    const refusal = refuseOffer(ring, self, modules, source, offer);
    if (refusal !== null || source === self || this.#manager.config.inbound) {
      return refusal;
    }
    return new WhorlError(
      "handoff_refused",
      "Cannot take a handoff as inbound ones are disabled",
    );
  }

  /**
   * Has the rest of a partition that is coming back removed: it would bring back
   * what has been deleted since.
   */
  async #clear(
    waiting: WaitingOffer,
    source: string,
    { module, targetPartition }: InboundOffer,
  ): Promise<void> {
    waiting.wake = () => {};
    this.#waitingOffers.add(waiting);
    try {
      await this.#events.returning(module, targetPartition, source);
    } finally {
      this.#waitingOffers.delete(waiting);
    }
  }

  /**
   * Resolves when transfers or the ring have changed, when `offer` is
   * withdrawn, or after `waitMs`.
   */
  #nextChange(offer: WaitingOffer, waitMs: number): Promise<void> {
    const { runtime } = this.#world;
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waitingOffers.delete(offer);
        runtime.clearTimer(timer);
        resolve();
      };
      offer.wake = wake;
      const timer = runtime.setTimer(waitMs, () => offer.wake());
      this.#waitingOffers.add(offer);
    });
  }

  /** A transfer over `connection` has ended, for now or for good. */
  ended(connection: object, transfer: number): void {
    // One accepted after its source has withdrawn it would never end.
    for (const offer of [...this.#waitingOffers]) {
      if (offer.connection !== connection || offer.transfer !== transfer) {
        continue;
      }
      offer.withdrawn = true;
      offer.wake();
    }
    if (this.#inbound.end(connection, transfer) === undefined) return;
    this.#tellCount();
    // Data it brought that does not belong here moves on.
    this.#events.changed();
  }

  /**
   * Part of a spread has arrived from `source` for one of this node's vnodes.
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

  /**
   * @throws {WhorlError} `handoff_refused` unless `transfer` was accepted over
   * `connection`, for that vnode.
   */
  require(
    connection: object,
    transfer: number,
    moduleId: number,
    partition: number,
  ): void {
    this.#inbound.require(connection, transfer, moduleId, partition);
  }

  /** A vnode has stored part of a transfer. */
  took(
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

  /** A vnode has stored all of a transfer from `source`. */
  completed(
    connection: object,
    transfer: number,
    source: string,
    items: number,
  ): void {
    const offer = this.#inbound.end(connection, transfer);
    if (offer === undefined) return;
    this.#tellCount();
    if (offer.kind === "repair") {
      this.#events.shareArrived(offer, source, items);
    }
    this.#events.changed();
  }

  /** A connection has ended, with its transfers. */
  connectionEnded(connection: object): void {
    if (!this.#inbound.connectionEnded(connection)) return;
    this.#tellCount();
    this.#events.changed();
  }
}

function withdrawn({ targetPartition }: InboundOffer): WhorlError {
  const partition = partitionOfVnode(targetPartition);
  return new WhorlError(
    "handoff_refused",
    `Cannot take partition ${partition} as the transfer was given up`,
    { details: { partition } },
  );
}
