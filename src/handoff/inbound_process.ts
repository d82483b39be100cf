/**
 * What comes to a node: transfers that want to begin, wait a little if they may
 * not yet, and are counted while they bring data.
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
import { admitsInbound, type ManagerState } from "./manager_fsm.ts";

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

/** Who is told of what comes. */
export interface InboundEvents {
  /** So many transfers from other nodes run now. */
  count(fromOthers: number): void;
  /** A partition has a neighbour's share of its repair, so many items. */
  shareArrived(offer: InboundOffer, source: string, items: number): void;
  /** What is on this node may have to move on. */
  changed(): void;
}

/** The inbound side of one node's handoffs; see the module's text. */
export class InboundProcess {
  readonly #world: HandoffWorld;
  readonly #manager: Readonly<ManagerState>;
  readonly #events: InboundEvents;
  readonly #inbound = new InboundTransfers();
  /** Transfers that wait to be let begin. */
  readonly #waitingOffers = new Set<WaitingOffer>();
  #closed = false;

  /** @param manager Says whether another transfer may run; its holder steps it. */
  constructor(
    world: HandoffWorld,
    manager: Readonly<ManagerState>,
    events: InboundEvents,
  ) {
    this.#world = world;
    this.#manager = manager;
    this.#events = events;
  }

  /** The transfers that run. */
  get transfers(): InboundTransfers {
    return this.#inbound;
  }

  /** Whether some wait to be let begin. */
  get someWait(): boolean {
    return this.#waitingOffers.size > 0;
  }

  /** The ring, or what may run, has changed: those that wait are looked at again. */
  wake(): void {
    for (const offer of [...this.#waitingOffers]) offer.wake();
  }

  /** Nothing is let begin any more. */
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
    this.#events.count(this.#inbound.countFromOthers(this.#world.self));
  }

  /**
   * A transfer wants to begin over `connection`. One that may not waits a little
   * first: for one that is about to end, or for the ring that its source knows.
   *
   * @throws {WhorlError} `handoff_refused` if it may not, `protocol_error` if it makes no sense.
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
    let isCleared = offer.kind !== "ownership";
    for (;;) {
      const refusal = this.#refusalOf(connection, source, offer);
      if (refusal === null && isCleared) break;
      if (refusal === null) {
        await this.#clear(waiting, offer);
        isCleared = true;
        if (isOver()) throw withdrawn(offer);
        continue;
      }
      const leftMs = untilMs - runtime.now();
      if (leftMs <= 0 || this.#waitingOffers.size >= OFFERS_WAITING_MAX) {
        throw refusal;
      }
      await this.#nextChange(waiting, leftMs);
      if (isOver()) throw refusal;
    }
    this.#inbound.begin(connection, source, offer, {
      monotonicMs: runtime.now(),
      wallMs: this.#world.wallClock(),
    });
    this.#tellCount();
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

  /** Removes what is left here of a partition that comes back: it would bring back what was deleted since. */
  async #clear(
    waiting: WaitingOffer,
    { module, targetPartition }: InboundOffer,
  ): Promise<void> {
    this.#waitingOffers.add(waiting);
    try {
      await this.#world.drop(module, targetPartition, true);
    } finally {
      this.#waitingOffers.delete(waiting);
    }
  }

  /** Resolves when transfers or the ring have changed, when `offer` is withdrawn, or after `waitMs`. */
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

  /** A transfer over `connection` is over, for now or for good. */
  ended(connection: object, transfer: number): void {
    // One that is let begin after its source has given it up would never end.
    for (const offer of [...this.#waitingOffers]) {
      if (offer.connection !== connection || offer.transfer !== transfer) {
        continue;
      }
      offer.withdrawn = true;
      offer.wake();
    }
    if (this.#inbound.end(connection, transfer) === undefined) return;
    this.#tellCount();
    // What it brought and nobody wants here goes on to whom it belongs to.
    this.#events.changed();
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
  require(
    connection: object,
    transfer: number,
    moduleId: number,
    partition: number,
  ): void {
    this.#inbound.require(connection, transfer, moduleId, partition);
  }

  /** A vnode has taken so much of a transfer. */
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

  /** A vnode has everything of a transfer from `source`. */
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

  /** A connection has ended, and what came over it. */
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
