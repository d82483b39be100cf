/**
 * The repairs of a node: requests the shares of neighbours until all have been
 * sent, and remembers what other nodes have requested until it has been sent.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Ring } from "../ring/ring.ts";
import {
  ageOfVnode,
  firstVnode,
  partitionOfVnode,
} from "../ring/ring_generations.ts";
import { expectInteger, expectList, expectText } from "../wire/plain_data.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import type { InboundOffer } from "./inbound_offer.ts";
import { Repairs, repairShares } from "./repairs.ts";
import type { RepairStatus } from "./transfer.ts";
import { transferName, type WantedTransfer } from "./transfer_plan.ts";

/**
 * Interval at which a neighbour is asked again for its share of a repair, in
 * milliseconds.
 */
export const REPAIR_ASK_MS = 5_000;
/** The same for one that could not be reached. */
const REPAIR_ASK_AGAIN_MS = 500;
/**
 * Time after which a share that is no longer requested is not sent, in
 * milliseconds.
 */
const REPAIR_FORGET_MS = 60_000;
/**
 * Most shares that other nodes may have requested; a further one is refused.
 */
export const REQUESTED_SHARES_MAX = 4_096;
/** Replicas of a key, for repairs. Source: riak_core's `n_val`. */
export const REPAIR_N = 3;

/** A share that another node has requested. */
interface RequestedShare {
  readonly transfer: WantedTransfer;
  askedMs: number;
}

/** Notifications about repairs. */
export interface RepairEvents {
  /** A partition has been rebuilt. */
  onRepaired(module: string, partition: number): void;
  /** A partition cannot be rebuilt: its module does not support it. */
  onUnrepairable(module: string, partition: number, reason: string): void;
}

/** Requests a check of what has to move. */
export interface Refresh {
  /** Now. */
  refresh(): void;
  /** In at most that many milliseconds. */
  refreshLater(afterMs: number): void;
}

/** The repairs of one node; see the module comment. */
export class RepairProcess {
  readonly #world: HandoffWorld;
  readonly #events: RepairEvents;
  readonly #refresh: Refresh;
  readonly #repairs = new Repairs();
  /**
   * The first vnode of the ring in which the running repairs were started;
   * `undefined` until a ring was seen.
   */
  #repairsFirst: number | undefined;
  /** Shares of other nodes' repairs, by the names of their transfers. */
  readonly #requested = new Map<string, RequestedShare>();
  /** When each share of this node's repairs was requested. */
  readonly #asked = new Map<string, number>();

  constructor(world: HandoffWorld, events: RepairEvents, refresh: Refresh) {
    this.#world = world;
    this.#events = events;
    this.#refresh = refresh;
  }

  /** Abandons repairs of partitions that this node no longer owns. */
  giveUpLost(ring: Ring): void {
    const first = firstVnode(ring);
    const resized = first !== (this.#repairsFirst ?? first);
    this.#repairsFirst = first;
    // The requests were for the previous ring.
    if (resized) this.#asked.clear();
    this.#repairs.giveUp(
      (partition) =>
        resized || ring.ownership.owners[partition] !== this.#world.self,
      resized
        ? "the ring has another size now"
        : "another node owns the partition now",
    );
  }

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
    // The ring may have been resized since it was last seen.
    this.giveUpLost(ring);
    const begun = modules.map((name) =>
      this.#repairs.begin(name, partition, shares)
    );
    this.#refresh.refresh();
    const all = this.statuses();
    return await Promise.resolve(
      begun.map((repair) =>
        all.find((status) =>
          status.module === repair.module && status.partition === partition
        ) as RepairStatus
      ),
    );
  }

  /** Their current state. */
  statuses(): readonly RepairStatus[] {
    const owners = this.#world.ring()?.ownership.owners;
    return this.#repairs.statuses((partition) => owners?.[partition] ?? "?");
  }

  /**
   * Asks the neighbours of partitions being repaired for the shares not sent
   * yet.
   */
  askForShares(): void {
    const world = this.#world;
    const ring = world.ring();
    if (ring === undefined) return;
    const { owners } = ring.ownership;
    const first = firstVnode(ring);
    const nowMs = world.runtime.now();
    for (const { module, partition, pending } of this.#repairs.running) {
      for (const { sourcePartition, keySpaces } of pending.values()) {
        const owner = owners[sourcePartition] as string;
        const name = shareName(module, partition, sourcePartition);
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
          this.#refresh.refreshLater(REPAIR_ASK_AGAIN_MS);
          world.log.debug("A neighbour cannot send its share of a repair yet", {
            module,
            partition,
            owner,
            reason: reasonOf(error),
          });
        });
      }
    }
    // A neighbour that restarted and forgot the request is asked again.
    if (this.#repairs.running.length > 0) {
      this.#refresh.refreshLater(REPAIR_ASK_MS);
    }
  }

  /**
   * `node` rebuilds a partition and requests what it shares with one of this
   * node's.
   *
   * @throws {WhorlError} `protocol_error` if it is malformed, `overload` beyond
   * {@linkcode REQUESTED_SHARES_MAX}.
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
    this.#refresh.refresh();
  }

  /**
   * A neighbour cannot send a share, since the module does not say which keys
   * belong to it: the partition cannot be rebuilt.
   *
   * @throws {WhorlError} `protocol_error` if it is malformed.
   */
  shareRefused(args: unknown): void {
    const fields = expectList(args, "a refused repair", 4, 4);
    const module = expectText(fields[0], "a module", 32);
    const partition = partitionOfVnode(expectInteger(fields[2], "a partition"));
    const reason = expectText(fields[3], "a reason", 1_000);
    if (!this.#repairs.fail(module, partition, reason)) return;
    this.#events.onUnrepairable(module, partition, reason);
    this.#refresh.refresh();
  }

  requestedShares(): WantedTransfer[] {
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

  /**
   * Tells the node that rebuilds a partition that its neighbours cannot help.
   */
  refuse(name: string, transfer: WantedTransfer, reason: string): void {
    const world = this.#world;
    const { module, target, sourcePartition, targetPartition } = transfer;
    this.#requested.delete(name);
    const args = [module, sourcePartition, targetPartition, reason];
    const told = target === world.self
      ? Promise.try(() => this.shareRefused(args))
      : world.call(target, "handoff_repair_refused", args);
    // It asks again if it does not get this.
    told.catch((error) =>
      world.log.debug("A refused repair was not told", {
        reason: reasonOf(error),
      })
    );
    this.#refresh.refresh();
  }

  /** A share of a repair has arrived from `source`. */
  shareArrived(
    offer: InboundOffer,
    source: string,
    items: number,
  ): void {
    const { module } = offer;
    const partition = partitionOfVnode(offer.targetPartition);
    const sourcePartition = partitionOfVnode(offer.sourcePartition);
    // The next repair asks at once, however soon it begins.
    this.#asked.delete(shareName(module, partition, sourcePartition));
    const repaired = this.#repairs.shareArrived(
      module,
      partition,
      sourcePartition,
      source,
      items,
    );
    if (repaired !== undefined) {
      this.#events.onRepaired(module, repaired.partition);
    }
  }

  /** A share that another node has requested has been sent. */
  shareSent(name: string): void {
    this.#requested.delete(name);
  }
}

/** The key of a share of a repair of `partition`. */
function shareName(
  module: string,
  partition: number,
  sourcePartition: number,
): string {
  return `${module}/${partition}/${sourcePartition}`;
}
