/**
 * The accepted transfers that bring data to this node, with the connection and
 * the progress of each. Only their frames reach vnodes.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import type { InboundOffer } from "./inbound_offer.ts";
import { RateMeter } from "./rate_meter.ts";
import { heldName } from "./transfer_plan.ts";
import type { TransferStatus } from "./transfer.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";

/** An accepted transfer. */
interface Inbound {
  readonly offer: InboundOffer;
  readonly source: string;
  /** The connection it comes over. */
  readonly connection: object;
  readonly startedAtMs: number;
  /** Its number in the order of acceptance. */
  readonly order: number;
  readonly itemRate: RateMeter;
  readonly byteRate: RateMeter;
  items: number;
  bytes: number;
}

/** The transfers to one node; see the module comment. */
export class InboundTransfers {
  /** By connection and number. */
  readonly #byConnection = new Map<object, Map<number, Inbound>>();
  #begun = 0;

  /** Number of transfers. */
  get size(): number {
    return [...this.#all()].length;
  }

  /** Number of transfers from nodes other than `self`. */
  countFromOthers(self: string): number {
    let count = 0;
    for (const { source } of this.#all()) if (source !== self) count++;
    return count;
  }

  /** Data that is currently arriving, by `heldName`. */
  get arriving(): Set<string> {
    return new Set(
      [...this.#all()].map(({ offer }) =>
        heldName({ module: offer.module, partition: offer.targetPartition })
      ),
    );
  }

  *#all(): Generator<Inbound> {
    for (const transfers of this.#byConnection.values()) {
      yield* transfers.values();
    }
  }

  /** Whether a transfer is known on this connection. */
  has(connection: object, transfer: number): boolean {
    return this.#byConnection.get(connection)?.has(transfer) ?? false;
  }

  /** A transfer was accepted. */
  begin(
    connection: object,
    source: string,
    offer: InboundOffer,
    now: { readonly monotonicMs: number; readonly wallMs: number },
  ): void {
    let transfers = this.#byConnection.get(connection);
    if (transfers === undefined) {
      transfers = new Map();
      this.#byConnection.set(connection, transfers);
    }
    transfers.set(offer.transfer, {
      offer,
      source,
      connection,
      startedAtMs: now.wallMs,
      order: this.#begun++,
      itemRate: new RateMeter(now.monotonicMs),
      byteRate: new RateMeter(now.monotonicMs),
      items: 0,
      bytes: 0,
    });
  }

  /** The vnode has stored a batch. */
  took(
    connection: object,
    transfer: number,
    items: number,
    bytes: number,
    nowMs: number,
  ): void {
    const inbound = this.#byConnection.get(connection)?.get(transfer);
    if (inbound === undefined) return;
    inbound.items += items;
    inbound.bytes += bytes;
    inbound.itemRate.add(items, nowMs);
    inbound.byteRate.add(bytes, nowMs);
  }

  /** A transfer has ended or was broken off; returns its offer. */
  end(connection: object, transfer: number): InboundOffer | undefined {
    const transfers = this.#byConnection.get(connection);
    const inbound = transfers?.get(transfer);
    transfers?.delete(transfer);
    if (transfers?.size === 0) this.#byConnection.delete(connection);
    return inbound?.offer;
  }

  /**
   * A connection has ended, with its transfers. Returns whether there were any.
   */
  connectionEnded(connection: object): boolean {
    return this.#byConnection.delete(connection);
  }

  /**
   * Breaks off the `count` that began last: their frames are refused from now
   * on.
   */
  breakOff(count: number): void {
    const newest = [...this.#all()].sort((a, b) => b.order - a.order)
      .slice(0, count);
    for (const { connection, offer } of newest) {
      this.end(connection, offer.transfer);
    }
  }

  /**
   * @throws {WhorlError} `handoff_refused` unless the transfer was accepted on
   * this connection, for that vnode.
   */
  require(
    connection: object,
    transfer: number,
    moduleId: number,
    partition: number,
  ): void {
    const offer = this.#byConnection.get(connection)?.get(transfer)?.offer;
    if (
      offer !== undefined && moduleIdOf(offer.module) === moduleId &&
      offer.targetPartition === partition
    ) return;
    throw new WhorlError(
      "handoff_refused",
      "Cannot go on with a handoff as the target has not let it begin, or has broken it off",
    );
  }

  /** Their progress. */
  statuses(self: string, nowMs: number): TransferStatus[] {
    return [...this.#all()].map((inbound) => {
      const { offer, source } = inbound;
      return {
        id: `${offer.transfer}`,
        kind: offer.kind,
        module: offer.module,
        direction: "inbound",
        source,
        sourcePartition: partitionOfVnode(offer.sourcePartition),
        target: self,
        targetPartition: partitionOfVnode(offer.targetPartition),
        state: "sending",
        startedAtMs: inbound.startedAtMs,
        items: inbound.items,
        bytes: inbound.bytes,
        itemsTotal: null,
        itemsPerSecond: Math.round(inbound.itemRate.perSecond(nowMs)),
        bytesPerSecond: Math.round(inbound.byteRate.perSecond(nowMs)),
        failures: 0,
        reason: null,
      };
    });
  }
}
