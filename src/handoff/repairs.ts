/**
 * Repairs: partitions of this node that are rebuilt from their neighbours. Two
 * partitions less than N apart share key spaces; each neighbour is asked to
 * send those it shares. All must send, since each may have a write that the
 * others missed.
 *
 * @module
 */
import type { RepairStatus } from "./transfer.ts";

/** Completed repairs that are remembered. */
export const REPAIRS_KEPT = 100;

/** A neighbour's share of a repair. */
export interface RepairShare {
  /** The neighbour. */
  readonly sourcePartition: number;
  /** Key spaces it shares with the partition, ascending. */
  readonly keySpaces: readonly number[];
}

/**
 * What each neighbour of `partition` shares with it.
 *
 * @param n Replicas of a key.
 */
export function repairShares(
  partition: number,
  ringSize: number,
  n: number,
): RepairShare[] {
  const shares: RepairShare[] = [];
  // A key has at most as many replicas as there are partitions.
  n = Math.min(n, ringSize);
  for (let distance = 1 - n; distance <= n - 1; distance++) {
    const sourcePartition = (partition + distance + ringSize) % ringSize;
    if (sourcePartition === partition) continue;
    if (shares.some((share) => share.sourcePartition === sourcePartition)) {
      continue;
    }
    const keySpaces: number[] = [];
    // The key spaces of a partition are its own and the n - 1 before it.
    for (let back = 0; back < n; back++) {
      const keySpace = (partition - back + ringSize) % ringSize;
      const reach = (sourcePartition - keySpace + ringSize) % ringSize;
      if (reach < n) keySpaces.push(keySpace);
    }
    shares.push({
      sourcePartition,
      keySpaces: keySpaces.sort((a, b) => a - b),
    });
  }
  return shares;
}

/** One repair. */
export interface Repair {
  readonly module: string;
  readonly partition: number;
  /** Neighbours that have not sent their share yet. */
  readonly pending: Map<number, RepairShare>;
  readonly done: { readonly sourcePartition: number; readonly node: string }[];
  items: number;
  state: RepairStatus["state"];
  reason: string | null;
}

/** The repairs of one node. */
export class Repairs {
  readonly #repairs: Repair[] = [];

  /** The running repairs. */
  get running(): Repair[] {
    return this.#repairs.filter(({ state }) => state === "running");
  }

  /** The running repair of a partition, if there is one. */
  find(module: string, partition: number): Repair | undefined {
    return this.running.find((repair) =>
      repair.module === module && repair.partition === partition
    );
  }

  /** Starts a repair, or returns the running one. */
  begin(
    module: string,
    partition: number,
    shares: readonly RepairShare[],
  ): Repair {
    const known = this.find(module, partition);
    if (known !== undefined) return known;
    const repair: Repair = {
      module,
      partition,
      pending: new Map(shares.map((share) => [share.sourcePartition, share])),
      done: [],
      items: 0,
      state: shares.length === 0 ? "done" : "running",
      reason: null,
    };
    this.#repairs.unshift(repair);
    while (this.#repairs.length > REPAIRS_KEPT) {
      const oldest = this.#repairs.findLastIndex(({ state }) =>
        state !== "running"
      );
      if (oldest < 0) break;
      this.#repairs.splice(oldest, 1);
    }
    return repair;
  }

  /**
   * A neighbour on `node` has sent everything it shares; returns the repair if
   * that was the last.
   */
  shareArrived(
    module: string,
    partition: number,
    sourcePartition: number,
    node: string,
    items: number,
  ): Repair | undefined {
    const repair = this.find(module, partition);
    if (repair === undefined || !repair.pending.delete(sourcePartition)) return;
    repair.done.push({ sourcePartition, node });
    repair.items += items;
    if (repair.pending.size > 0) return;
    repair.state = "done";
    return repair;
  }

  /** Abandons repairs of partitions for which `lost` returns true. */
  giveUp(lost: (partition: number) => boolean, reason: string): void {
    for (const repair of this.running) {
      if (!lost(repair.partition)) continue;
      repair.state = "failed";
      repair.reason = reason;
    }
  }

  /** Abandons the repair of a partition; returns whether it was running. */
  fail(module: string, partition: number, reason: string): boolean {
    const repair = this.find(module, partition);
    if (repair === undefined) return false;
    repair.state = "failed";
    repair.reason = reason;
    return true;
  }

  /**
   * Their status, newest first.
   *
   * @param ownerOf The current owner of a partition.
   */
  statuses(ownerOf: (partition: number) => string): RepairStatus[] {
    return this.#repairs.map((repair) => ({
      module: repair.module,
      partition: repair.partition,
      state: repair.state,
      done: repair.done.map(({ sourcePartition, node }) =>
        `${node}/${sourcePartition}`
      ),
      pending: [...repair.pending.keys()].map((sourcePartition) =>
        `${ownerOf(sourcePartition)}/${sourcePartition}`
      ),
      items: repair.items,
      reason: repair.reason,
    }));
  }
}
