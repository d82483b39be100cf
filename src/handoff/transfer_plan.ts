/**
 * Which transfers a node has to make: what the ring promises to others, and
 * what it holds of partitions that are not its own. Partitions have the numbers
 * of their vnodes here, so those of a ring of another size are different
 * (`ring_generations.ts`).
 *
 * @module
 */
import { resizeMark } from "../ring/decision_mark.ts";
import {
  agreeingMembers,
  memberStatus,
  type OwnershipTransfer,
  pendingTransfers,
  type Ring,
} from "../ring/ring.ts";
import {
  ageOfVnode,
  firstVnode,
  firstVnodeOf,
  partitionOfVnode,
  type RingResize,
} from "../ring/ring_generations.ts";
import { isTakenForPresent, originsOf } from "../ring/ring_origin.ts";
import { ownsNothing } from "../ring/ring_upkeep.ts";
import type { HandoffSpread } from "../vnode/handoff_codec.ts";
import type { HeldPartition, TransferKind } from "./transfer.ts";

/** A ring that a vnode spreads its data over. */
export interface TransferSpread extends HandoffSpread {
  /**
   * Whether new writes are forwarded until the ring has that size. Otherwise
   * the vnode belongs to a former ring, and ends.
   */
  readonly follows: boolean;
}

/** A transfer that should be made. */
export interface WantedTransfer {
  /** Why it is made. */
  readonly kind: TransferKind;
  /** Name of the vnode module. */
  readonly module: string;
  /** The partition on this node. */
  readonly sourcePartition: number;
  /** The node that should have it. */
  readonly target: string;
  /** The partition there; another one only for repairs. */
  readonly targetPartition: number;
  /** The part of the data; `null` for all. */
  readonly keySpaces: readonly number[] | null;
  /**
   * The ownership version in which it was decided, which the target must know;
   * `null` if current ownership decides. For a resize also what the ring becomes
   * (`decision_mark.ts`), since claimants of a split cluster may have begun
   * different ones in one term and version.
   */
  readonly decided: {
    readonly term: number;
    readonly version: number;
    readonly resize?: string;
  } | null;
  /** The ring its data is spread over, in a resize. */
  readonly spread?: TransferSpread;
  /** Why it cannot be made now; `null` if it can. */
  readonly blocked: string | null;
}

/** Whether two transfers, between the same vnodes, carry out one decision. */
export function sameDecision(
  a: WantedTransfer["decided"],
  b: WantedTransfer["decided"],
): boolean {
  return a?.term === b?.term && a?.version === b?.version &&
    a?.resize === b?.resize;
}

/** The decision that the transfers of a resize carry out, in all its phases. */
export function decidedResize(resize: RingResize): WantedTransfer["decided"] {
  const { term, version } = resize;
  return { term, version, resize: resizeMark(resize) };
}

/** What to do with a partition that has been handed over. */
export interface SettledPartition extends HeldPartition {
  /**
   * - `report`: the ring does not know it yet;
   * - `drop`: the ring names the new owner, or one after that, or has another
   *   size by now;
   * - `discard`: it has come for a resize that was given up;
   * - `take_back`: it names this node after all;
   * - `forget`: the node that it went to is lost, so it is handed off once more.
   */
  readonly action: "report" | "drop" | "discard" | "take_back" | "forget";
}

/** Where the data of a partition went, and by which decision of the ring. */
export interface HandedOver {
  readonly target: string;
  /** Whether the ring has named an owner after it while it served: it has passed the data on, whatever becomes of it. */
  passedOn?: boolean;
  readonly term: number;
  readonly version: number;
}

/** What is left here of a partition that another node has all of. */
export interface HandedOverPartition extends HeldPartition, HandedOver {}

/** What a node has to do. */
export interface TransferPlan {
  readonly wanted: readonly WantedTransfer[];
  readonly settled: readonly SettledPartition[];
}

/** The input of a plan. */
export interface TransferSituation {
  readonly ring: Ring;
  readonly self: string;
  /** Modules of this node. */
  readonly modules: readonly string[];
  readonly held: readonly HeldPartition[];
  /** Data that another node has acknowledged, by {@linkcode heldName}. */
  readonly handedOver: ReadonlyMap<string, HandedOver>;
  /**
   * Why data left from a ring of another size has to stay; `null` if it may go.
   */
  readonly formerStays?: string | null;
  /** Partitions that data is currently arriving for. */
  readonly arriving: ReadonlySet<string>;
  /** Nodes that currently serve a module. */
  upNodes(module: string): readonly string[];
  /** Whether the version of `node` supports transfers. @default {always} */
  canHandOff?(node: string): boolean;
}

/** Target name that stands for the many targets of a spread. */
export const SPREAD_TARGET = "*";

/** Name of the data of a module and partition. */
export function heldName({ module, partition }: HeldPartition): string {
  return `${module}/${partition}`;
}

/** Whether the data went where `transfer` sends it, by the same decision. */
function counts(went: HandedOver, transfer: OwnershipTransfer): boolean {
  return went.target === transfer.nextOwner && went.term === transfer.term &&
    went.version === transfer.version;
}

/**
 * The partitions among `held`, all of one module, whose data is with their next
 * owner. The ring may have decided otherwise since, and must not be told then:
 * the node it names now would become the owner without data.
 */
export function completedPartitions(
  { ring, self, handedOver }: Pick<
    TransferSituation,
    "ring" | "self" | "handedOver"
  >,
  held: readonly HeldPartition[],
): number[] {
  const first = firstVnode(ring);
  const pending = new Map(
    ring.ownership.next.map((transfer) => [
      first + transfer.partition,
      transfer,
    ]),
  );
  return held.flatMap((each) => {
    const transfer = pending.get(each.partition);
    const went = handedOver.get(heldName(each));
    return transfer?.owner === self && went !== undefined &&
        counts(went, transfer)
      ? transfer.partition
      : [];
  });
}

/**
 * Whether the data that went elsewhere is with `owner` or on its way there. The
 * rest of it here is older, and not the only copy while the target serves.
 */
export function isWithOwner(
  ring: Ring,
  went: HandedOver,
  owner: string,
): boolean {
  return went.target === owner || isElsewhere(ring, went);
}

/** Whether the node that has the data serves, or has passed it on. */
function isElsewhere(ring: Ring, went: HandedOver): boolean {
  return went.passedOn === true || agreeingMembers(ring).includes(went.target);
}

/** Name of a transfer on its node. */
export function transferName(transfer: WantedTransfer): string {
  const { kind, module, sourcePartition, target, targetPartition } = transfer;
  return `${kind}/${module}/${sourcePartition}/${targetPartition}/${target}`;
}

/** A transfer that spreads the data of a vnode over partitions that `owners` own. */
function spreadOf(
  situation: TransferSituation,
  owners: readonly string[],
  module: string,
  vnode: number,
): WantedTransfer {
  const up = situation.upNodes(module);
  const away = owners.find((owner) => !up.includes(owner));
  return {
    kind: "resize",
    module,
    sourcePartition: vnode,
    target: SPREAD_TARGET,
    targetPartition: 0,
    keySpaces: null,
    decided: null,
    blocked: away === undefined ? null : `${away} does not serve ${module} now`,
  };
}

/**
 * Whether the vnode with this number may belong to another ring that `self`
 * comes from, although the current ring has such a number too. `self` does not
 * own it then, so its data goes where its keys belong.
 */
function isOfOrigin(ring: Ring, self: string, vnode: number): boolean {
  return originsOf(ring, self)
    .some((origin) => isTakenForPresent(ring, origin)) &&
    ageOfVnode(ring, vnode) === "present" && ownsNothing(ring, self);
}

/**
 * Whether `self`, which holds `held`, has handed on everything from its former
 * rings, and so may own partitions of this one.
 */
export function hasHandedOnOrigin(
  ring: Ring,
  self: string,
  held: readonly HeldPartition[],
): boolean {
  return originsOf(ring, self)
    .some((origin) => isTakenForPresent(ring, origin)) &&
    memberStatus(ring, self) !== "joining" && ownsNothing(ring, self) &&
    !held.some(({ partition }) => isOfOrigin(ring, self, partition));
}

/** The plan of a node. */
export function planTransfers(situation: TransferSituation): TransferPlan {
  const { ring, self, modules, held, handedOver, arriving } = situation;
  const { owners } = ring.ownership;
  const first = firstVnode(ring);
  const wanted: WantedTransfer[] = [];
  const settled: SettledPartition[] = [];
  const pending = new Map(
    pendingTransfers(ring)
      .map((transfer) => [first + transfer.partition, transfer]),
  );
  const want = (
    kind: TransferKind,
    module: string,
    partition: number,
    target: string,
    decided: WantedTransfer["decided"],
  ): void => {
    wanted.push({
      kind,
      module,
      sourcePartition: partition,
      target,
      targetPartition: partition,
      keySpaces: null,
      decided,
      blocked: situation.canHandOff?.(target) === false
        ? `${target} runs a version that takes no transfers`
        : situation.upNodes(module).includes(target)
        ? null
        : `${target} does not serve ${module} now`,
    });
  };
  for (const [partition, transfer] of pending) {
    const { owner, nextOwner, term, version } = transfer;
    if (owner !== self) continue;
    for (const module of modules) {
      const name = heldName({ module, partition });
      if (
        transfer.status === "complete" ||
        transfer.completedModules.includes(module)
      ) continue;
      const went = handedOver.get(name);
      if (went === undefined) {
        want("ownership", module, partition, nextOwner, { term, version });
        continue;
      }
      settled.push({
        module,
        partition,
        action: counts(went, transfer) ? "report" : "take_back",
      });
    }
  }
  const { resize } = ring.ownership.generations;
  if (resize !== null) {
    const { generation } = resize;
    const decided = decidedResize(resize);
    const spread = {
      ringSize: resize.owners.length,
      firstVnode: firstVnodeOf(generation),
      follows: true,
    };
    owners.forEach((owner, partition) => {
      if (owner !== self) return;
      for (const module of modules) {
        wanted.push({
          ...spreadOf(situation, resize.owners, module, first + partition),
          targetPartition: spread.firstVnode,
          spread,
          decided,
        });
      }
    });
  }
  const origins = originsOf(ring, self);
  for (const each of held) {
    const { module, partition } = each;
    const age = ageOfVnode(ring, partition, origins);
    const isBefore = age === "former" || isOfOrigin(ring, self, partition);
    const went = handedOver.get(heldName(each));
    if (isBefore && went !== undefined) {
      const action = isElsewhere(ring, went) ? "drop" : "forget";
      settled.push({ module, partition, action });
      // The newer data there goes where it belongs, and this must not follow it.
      if (action === "drop") continue;
    }
    if (isBefore && memberStatus(ring, self) !== "joining") {
      const transfer = spreadOf(situation, owners, module, partition);
      wanted.push({
        ...transfer,
        targetPartition: first,
        spread: { ringSize: ring.size, firstVnode: first, follows: false },
        blocked: situation.formerStays ?? transfer.blocked,
      });
    }
    if (age === "aborted") {
      settled.push({ module, partition, action: "discard" });
    }
    if (age !== "present" || isBefore) continue;
    const owner = owners[partitionOfVnode(partition)];
    const transfer = pending.get(partition);
    if (owner === undefined) continue;
    if (owner === self) {
      // The ring has changed its decision: what this node handed over is its
      // own again.
      if (went !== undefined && transfer === undefined) {
        settled.push({ module, partition, action: "take_back" });
      }
      continue;
    }
    const isDropped = went !== undefined && isWithOwner(ring, went, owner);
    if (went !== undefined && !isDropped) {
      settled.push({ module, partition, action: "forget" });
    }
    // It will be this node's, and the data here has arrived for that.
    if (transfer?.nextOwner === self || arriving.has(heldName(each))) continue;
    if (isDropped) {
      settled.push({ module, partition, action: "drop" });
      continue;
    }
    // Until it is a full member, it may still end up alone with what it has.
    if (memberStatus(ring, self) === "joining") continue;
    want("hinted", module, partition, owner, null);
  }
  return { wanted, settled };
}
