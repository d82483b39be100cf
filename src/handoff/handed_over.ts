/**
 * What this node has handed over to new owners, until nothing of it is left here.
 *
 *     handed over ─► reported to the ring ─► the ring names the new owner ─► dropped
 *          │                                                                   ▲
 *          ├── the ring names this node after all ─► taken back                │
 *          ├── it is about to come back ─► dropped at once ────────────────────┤
 *          └── its target is lost ─► forgotten, and kept to be handed off again ┘
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import type { LogData } from "../environment/log.ts";
import { agreeingMembers, type Ring } from "../ring/ring.ts";
import { firstVnode, partitionOfVnode } from "../ring/ring_generations.ts";
import { CompletionReports } from "./completion_reports.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import type { HeldPartition } from "./transfer.ts";
import {
  completedPartitions,
  type HandedOver,
  type HandedOverPartition,
  heldName,
  isWithOwner,
  type SettledPartition,
} from "./transfer_plan.ts";

/** What it needs of the handoffs around it. */
export interface HandedOverHost {
  /** Whether anything is being sent: removing can wait, and transfers should not wait for it. */
  isSending(): boolean;
  /** What has arrived for a resize that was abandoned is removed. */
  discarded(held: HeldPartition): void;
  /** There may be something new to do. */
  refresh(): void;
  /** Warns about something that will be retried. */
  warn(message: string, data: LogData): void;
}

/** The partitions that one node has handed over; see the module comment. */
export class HandedOverPartitions {
  readonly #world: HandoffWorld;
  readonly #host: HandedOverHost;
  readonly #byName = new Map<string, HandedOver>();
  /** Those that the ring does not know of yet. */
  readonly #reports: CompletionReports;
  /** Names of those that are being dropped, discarded or taken back. */
  readonly #settling = new Set<string>();
  /** Partitions whose leftovers are being removed: one at a time. */
  #drops = 0;

  constructor(world: HandoffWorld, host: HandedOverHost) {
    this.#world = world;
    this.#host = host;
    this.#reports = new CompletionReports(
      world.runtime,
      (partitions, module) => this.#report(partitions, module),
    );
  }

  /** Where they went, by {@linkcode heldName}. */
  get byName(): ReadonlyMap<string, HandedOver> {
    return this.#byName;
  }

  /** Reports what has not been reported yet. */
  close(): void {
    this.#reports.close();
  }

  /**
   * What vnodes have handed over before this process was started, which knows
   * nothing of it. Whether a target has passed it on is not known any more; what
   * is here is handed off once more if that target is lost.
   */
  resume(partitions: readonly HandedOverPartition[]): void {
    for (const { module, partition, ...went } of partitions) {
      this.#byName.set(heldName({ module, partition }), went);
    }
  }

  /** The target has all of a partition. */
  add(held: HeldPartition, went: HandedOver): void {
    this.#byName.set(heldName(held), went);
    this.#reports.add(held.partition, held.module);
  }

  /** Reports to the ring what has been handed over. */
  flushReports(): void {
    this.#reports.flush();
  }

  #report(partitions: readonly number[], module: string): void {
    const world = this.#world;
    const ring = world.ring();
    if (ring === undefined) return;
    const completed = completedPartitions(
      { ring, self: world.self, handedOver: this.#byName },
      partitions.map((partition) => ({ module, partition })),
    );
    if (completed.length > 0) world.transferComplete(completed, module, ring);
  }

  /**
   * Notes what of `held` has been passed on by the node that it went to: later
   * one that left in order cannot be told from a lost one.
   */
  notePassedOn(ring: Ring, held: Iterable<HeldPartition>): void {
    const first = firstVnode(ring);
    for (const each of held) {
      const went = this.#byName.get(heldName(each));
      const owner = ring.ownership.owners[each.partition - first];
      if (
        went !== undefined && owner !== undefined &&
        owner !== this.#world.self && owner !== went.target &&
        agreeingMembers(ring).includes(went.target)
      ) went.passedOn = true;
    }
  }

  /** Brings a partition in line with the ring. */
  settle({ module, partition, action }: SettledPartition): void {
    const name = heldName({ module, partition });
    if (action === "report") {
      this.#reports.add(partition, module);
      return;
    }
    if (action === "forget") {
      this.#byName.delete(name);
      this.#keep({ module, partition });
      return;
    }
    if (this.#settling.has(name)) return;
    if (action === "drop" && (this.#drops > 0 || this.#host.isSending())) {
      return;
    }
    this.#settling.add(name);
    if (action === "drop") this.#drops++;
    const world = this.#world;
    const went = this.#byName.get(name);
    const done = action === "drop"
      ? world.drop(module, partition)
      : action === "discard"
      ? this.#discard({ module, partition })
      : world.takeBack(module, partition);
    done.then(
      () => this.#settled(name, went),
      (error) =>
        this.#host.warn("What is left of a handoff could not be settled yet", {
          module,
          partition: partitionOfVnode(partition),
          reason: reasonOf(error),
        }),
    ).finally(() => {
      this.#settling.delete(name);
      if (action === "drop") this.#drops--;
      // A failed one is retried at the next check.
      if (action !== "discard" && this.#byName.get(name) !== went) {
        this.#host.refresh();
      }
    });
  }

  /**
   * Removes the rest of a partition that is coming back from `source`, unless
   * that may lack some of it.
   */
  async clear(held: HeldPartition, source: string): Promise<void> {
    const name = heldName(held);
    const world = this.#world;
    const [ring, went] = [world.ring(), this.#byName.get(name)];
    if (ring === undefined || went === undefined) return;
    if (!isWithOwner(ring, went, source)) {
      if (this.#settling.has(name)) this.#keep(held);
      return;
    }
    await world.drop(held.module, held.partition, true);
    this.#settled(name, went);
  }

  /**
   * What is here may be the only copy: a removal that waits for its turn removes
   * nothing, and a process started after this one is not told that it was handed
   * over, as its target may have joined anew, without the data, by then.
   */
  #keep(held: HeldPartition): void {
    const { module, partition } = held;
    this.#world.keep(module, partition).catch((error) =>
      this.#host.warn("A removal could not be called off", {
        module,
        partition: partitionOfVnode(partition),
        reason: reasonOf(error),
      })
    );
  }

  /** What went by `went` is settled; it may have gone once more since. */
  #settled(name: string, went: HandedOver | undefined): void {
    if (this.#byName.get(name) === went) this.#byName.delete(name);
  }

  async #discard(held: HeldPartition): Promise<void> {
    await this.#world.discard?.(held.module, held.partition);
    this.#host.discarded(held);
  }
}
