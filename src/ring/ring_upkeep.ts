/**
 * What a claimant does to a ring: which nodes may own partitions, where
 * partitions go, and which members may be removed. Pure, so that a plan is
 * computed by the very functions that carry it out: a plan with several steps
 * is "tend the ring, assume that all transfers are done, tend it again", until
 * nothing is left to do (`riak_core_claimant:compute_all_next_rings/3`).
 *
 * Nothing here depends on whether the members agree, except for a resize, and
 * tending a tended ring changes nothing.
 *
 * @module
 */
import { claim } from "./claim.ts";
import {
  currentMembers,
  futureOwners,
  memberStatus,
  membersWith,
  type OwnershipTransfer,
  partitionCounts,
  pendingTransfers,
  readyMembers,
  requestersBehind,
  type Ring,
  ringReady,
} from "./ring.ts";
import {
  abortResize,
  decideAnew,
  enterResizePhase,
  installResize,
  isAutoJoining,
  isInvited,
  resumeResize,
  setOwnership,
  setStatus,
  transfersTowards,
} from "./ring_change.ts";
import {
  hasConsistentBuckets,
  markTakenOver,
  takenOverBy,
} from "./consistent_buckets.ts";
import {
  isWithinReach,
  type RingOrigin,
  type RingResize,
} from "./ring_generations.ts";
import { mistakenInResize, mistakenMembers } from "./ring_origin.ts";
import {
  allReported,
  goesTo,
  hasNoWayBack,
  originOfResize,
  resizedOwners,
} from "./ring_resize.ts";
import { stagedChanges } from "./staged_changes.ts";

/** A tended ring, and why it changed. */
export interface TendedRing {
  /** The same ring if there was nothing to do. */
  readonly ring: Ring;
  /** For the log, in the order in which things were done. */
  readonly reasons: readonly string[];
  /**
   * Whether an operator should be told: of many moves, the last one is enough.
   */
  readonly isNews: boolean;
}

/** What a claimant knows of the resize in progress besides the ring. */
export interface ResizeCare {
  /** Whether writes may be held for it now. @default {true} */
  readonly mayBind?: boolean;
  /** Whether they have been held for too long. @default {false} */
  readonly givesUpBinding?: boolean;
  /**
   * Whether everything is in place that the ring needs once it has its new
   * size.
   *
   * @default {true}
   */
  readonly mayInstall?: boolean;
  /**
   * Whether all members can read a ring that resizes to a generation before its
   * newest one.
   *
   * @default {true}
   */
  readonly mayGoBack?: boolean;
}

/**
 * Does what `ring` needs from its claimant `self`, in this order:
 *
 * 0. what no owner can report of, as it is outweighed, is decided anew;
 * 1. joining nodes whose vnodes would be mistaken for others of this ring are
 *    dropped; members that need no commit become valid;
 * 2. owners switch where transfers are complete; a resize that no longer fits the
 *    members is aborted, and leaving members become valid if nobody could take
 *    over from them (after a split, every member may be leaving); a resize enters
 *    its next phase, and after the last one all owners switch;
 * 3. partitions of removed members move to others at once, those of leaving
 *    members get a transfer if they have none, and transfers to members that can
 *    no longer own anything are replanned; so is a ring in which a member owns
 *    nothing. All this waits during a resize, unless a node that has, or will
 *    have, a part in it is gone: then the resize is aborted;
 * 4. transfers from a leaving member to one that is down are redirected;
 * 5. members that have exited and own nothing are removed;
 * 6. staged changes that no longer make sense are dropped.
 *
 * @param targetN Number of consecutive partitions that should belong to
 * different nodes.
 * @param mayCome Whether a node that needs no commit may become a member.
 * @param resize What the ring does not show of the resize in progress.
 */
export function tendRing(
  ring: Ring,
  self: string,
  targetN: number,
  mayCome: (node: string) => boolean = () => true,
  resize: ResizeCare = {},
): TendedRing {
  const reasons: string[] = [];
  let isNews = false;
  let current = ring;
  const go = (next: Ring, reason: string): void => {
    if (next === current) return;
    current = next;
    reasons.push(reason);
    isNews = true;
  };
  go(
    decideAnew(current, self),
    "reports about decisions of another claimant hid those that count",
  );
  for (const node of mistakenGuests(current)) {
    const why =
      `${node} joins no more as what it holds would be taken for parts of the resized ring`;
    go(setStatus(current, self, node, "invalid"), why);
  }
  for (const node of comingMembers(current).filter(mayCome)) {
    go(setStatus(current, self, node, "valid"), `${node} is a member`);
  }
  const done = completeTransfersOf(current);
  const installed = install(current, self, done);
  if (installed !== current) {
    const isLast = installed.ownership.next.length === 0;
    isNews ||= isLast;
    current = installed;
    reasons.push(moved(done, isLast));
  }
  const flaw = flawOfResize(current);
  if (flaw !== null) {
    go(abortResize(current, self), `the resize was given up as ${flaw}`);
  }
  for (const node of stayingMembers(current)) {
    const why = `${node} stays as nobody could take over from it`;
    go(setStatus(current, self, node, "valid"), why);
  }
  const letGo = (): void => {
    for (const node of gone(current)) {
      go(setStatus(current, self, node, "invalid"), `${node} has left`);
    }
  };
  // A resize does not wait for them.
  letGo();
  const goOn = (): void =>
    go(
      resume(current, self, targetN, resize),
      "the resize goes on for which groups of consistent buckets have taken over",
    );
  goOn();
  go(
    keepTo(current, self),
    "groups of consistent buckets take over for the resize that is read",
  );
  go(...tendResize(current, self, resize));
  if (current.ownership.generations.resize === null) {
    go(settleOn(current, self, targetOf(current, targetN)), "partitions move");
    goOn();
  }
  letGo();
  const staged = stagedChanges(current);
  if (staged !== current.ownership.staged) {
    go(setOwnership(current, self, { staged }), "staged changes were void");
  }
  return { ring: current, reasons, isNews };
}

function moved(
  transfers: readonly OwnershipTransfer[],
  isLast: boolean,
): string {
  const [first] = transfers;
  const what = transfers.length === 1
    ? `partition ${first?.partition} has moved to ${first?.nextOwner}`
    : `${transfers.length} partitions have moved`;
  return isLast ? `${what}, the last to move` : what;
}

/** The next phase of the resize in progress, and why. */
function tendResize(
  ring: Ring,
  self: string,
  { mayBind = true, givesUpBinding = false, mayInstall = true }: ResizeCare,
): [ring: Ring, reason: string] {
  const { resize } = ring.ownership.generations;
  switch (resize?.phase) {
    case "copying":
      // A joining node would be waited for where there is no way back.
      return mayBind && allReported(ring) &&
          requestersBehind(ring).length === 0
        ? [
          enterResizePhase(ring, self, "binding"),
          "writes are to be held until the resized ring has them",
        ]
        : [ring, ""];
    case "binding":
      return allReported(ring) && (allOwn(ring) || ringReady(ring))
        ? [read(ring, self), "reads go by the resized ring"]
        // An earlier claimant may have moved members to `reading`.
        : givesUpBinding &&
            (resize.since.term === ring.ownership.term || ringReady(ring))
        ? [
          enterResizePhase(ring, self, "copying"),
          "writes are not held any more, as some partitions are behind",
        ]
        : [ring, ""];
    case "reading":
      // A joining node serves requests too, and would read where nobody writes
      // any more.
      return mayInstall && requestersBehind(ring).length === 0
        ? [
          // Written again, the note wins over one that only its claimant knew.
          marked(installResize(ring, self), self, resize),
          `the ring has ${resize.owners.length} partitions`,
        ]
        : [ring, ""];
    case undefined:
      return [ring, ""];
  }
}

/** `ring` once reads use the future one, which everybody has to know. */
function read(ring: Ring, self: string): Ring {
  const { resize } = ring.ownership.generations;
  const reading = enterResizePhase(ring, self, "reading");
  return resize === null ? reading : marked(reading, self, resize);
}

/** `ring` with the note that groups take over for `resize`, if there are consistent buckets. */
function marked(ring: Ring, self: string, resize: RingResize): Ring {
  return hasConsistentBuckets(ring)
    ? markTakenOver(ring, self, originOfResize(resize))
    : ring;
}

/**
 * The future ring whose groups of consistent buckets have taken over, or may;
 * `null` if there is none.
 */
function takenAhead(ring: Ring): RingOrigin | null {
  const taken = takenOverBy(ring);
  return taken !== null &&
      taken.generation > ring.ownership.generations.current
    ? taken
    : null;
}

/**
 * `ring`, resizing to the ring whose groups of consistent buckets have taken
 * over, if it does not know of that: its claimant was in another part of a
 * split cluster. All its owners must be present, and all members must be able
 * to read that ring: until then no other resize gets to its end
 * (`flawOfResize`). The same ring if there is no such case.
 */
function resume(
  ring: Ring,
  self: string,
  targetN: number,
  { mayGoBack = true }: ResizeCare,
): Ring {
  const { owners, next, generations } = ring.ownership;
  const taken = takenAhead(ring);
  if (
    taken === null || generations.resize !== null || next.length > 0 ||
    !mayGoBack && taken.generation < generations.newest ||
    !isWithinReach(generations, taken.generation)
  ) return ring;
  const able = heirs(ring);
  return owners.every((owner) => able.includes(owner))
    ? resumeResize(
      ring,
      self,
      taken.generation,
      resizedOwners(owners, taken.size, able, targetN),
    )
    : ring;
}

/**
 * `ring`, in which groups take over for the resize that is in phase `reading`, if the
 * ring names another one. A claimant that owned nothing had brought that into
 * `reading` when no owner knew of it. An owner seals its groups only for the resize in
 * its own ring, and a resize enters `reading` only after each owner has reported for
 * it. So this one continues, and the other is void.
 */
function keepTo(ring: Ring, self: string): Ring {
  const { resize } = ring.ownership.generations;
  const taken = takenOverBy(ring);
  return resize?.phase !== "reading" || taken === null || goesTo(ring, taken)
    ? ring
    : marked(ring, self, resize);
}

/**
 * Whether each member that counts has reported for itself: any of them may be
 * the next claimant.
 */
function allOwn(ring: Ring): boolean {
  return readyMembers(ring).every((node) =>
    ring.ownership.owners.includes(node)
  );
}

/**
 * `ring` once everything pending is done: owners are switched, and leaving
 * members that own nothing have exited.
 */
export function assumeDone(ring: Ring, self: string): Ring {
  let done = ring.ownership.next.length === 0
    ? ring
    : setOwnership(ring, self, { owners: futureOwners(ring), next: [] });
  for (const node of membersWith(done, ["leaving"])) {
    if (ownsNothing(done, node)) done = setStatus(done, self, node, "exiting");
  }
  return done;
}

/**
 * Why the resize in progress is impossible; `null` if it is not. A claimant of
 * another part of a split cluster has meanwhile removed owners, let them leave,
 * or admitted others, perhaps one whose own vnodes are numbered like the future
 * partitions. From the phase `reading` on, that one owns nothing in the ring
 * before these have been handed on (`heirs`, `transfer_plan.ts`).
 *
 * Where buckets are consistent there is no way back from the phase `reading`,
 * in which groups of the new partitions have taken over: then the ring gets its
 * new size, and after that other owners. A claimant with another resize in
 * progress aborts it when it hears of these groups, since its own groups would
 * not take over from them.
 */
function flawOfResize(ring: Ring): string | null {
  const { owners, next, generations: { resize } } = ring.ownership;
  if (
    resize === null || resize.phase === "reading" && hasConsistentBuckets(ring)
  ) return null;
  if (!hasNoWayBack(ring)) {
    const taken = takenAhead(ring);
    if (taken !== null) {
      return `groups of consistent buckets have taken over for one to ${taken.size} partitions`;
    }
    const [mistaken] = mistakenInResize(ring)
      .filter((node) => !isGuest(ring, node));
    if (mistaken !== undefined) {
      return `what ${mistaken} holds would be taken for parts of the resized ring`;
    }
  }
  const able = new Set(heirs(ring));
  const isVoid = next.length > 0 || !owners.every((owner) => able.has(owner)) ||
    !resize.owners.every((owner) => able.has(owner));
  return isVoid ? "owners are gone" : null;
}

/** Whether `node` owns nothing in `ring` and will get nothing. */
export function ownsNothing(ring: Ring, node: string): boolean {
  const { owners, next, generations } = ring.ownership;
  return !owners.includes(node) &&
    !next.some((transfer) => transfer.nextOwner === node) &&
    !generations.resize?.owners.includes(node);
}

/**
 * The nodes that may own partitions, sorted. Valid members and those that are
 * only down; a joining member only if it owns some, like one that was wrongly
 * declared dead. A member whose own vnodes would be mistaken for parts of the
 * ring hands these on first.
 */
export function heirs(ring: Ring): string[] {
  const mistaken = mistakenMembers(ring);
  return membersWith(ring, ["valid", "down", "joining"]).filter((node) =>
    !ownsNothing(ring, node) ||
    memberStatus(ring, node) !== "joining" && !mistaken.includes(node)
  );
}

/** How owners are replaced, and whether the ring is claimed anew. */
export interface TargetOptions {
  /**
   * The successor of each replaced node, for all its partitions.
   *
   * @default {none}
   */
  readonly replaced?: ReadonlyMap<string, string>;
  /**
   * Whether to balance the ring although nothing in it requires that.
   *
   * @default {false}
   */
  readonly balance?: boolean;
}

/**
 * The owners that `ring` should get. The ones it is getting anyway, unless one
 * of them cannot own partitions, or a member would own nothing: then the ring
 * is claimed anew.
 */
export function targetOf(
  ring: Ring,
  targetN: number,
  options: TargetOptions = {},
): readonly string[] {
  const { replaced = new Map<string, string>(), balance = false } = options;
  const claimants = heirs(ring);
  const able = new Set(claimants);
  let claimsAnew = balance;
  const wanted = ring.ownership.owners.map((owner) =>
    replaced.get(owner) ?? owner
  );
  for (const { partition, nextOwner } of ring.ownership.next) {
    const next = replaced.get(nextOwner) ?? nextOwner;
    // A partition that cannot go there may as well stay where it is.
    if (able.has(next)) wanted[partition] = next;
    else claimsAnew = true;
  }
  const owning = new Set(wanted);
  claimsAnew ||= wanted.some((owner) => !able.has(owner)) ||
    claimants.length <= ring.size &&
      claimants.some((node) =>
        !owning.has(node) && memberStatus(ring, node) === "valid"
      );
  return claimsAnew && claimants.length > 0
    ? claim({ owners: wanted, claimants, targetN })
    : wanted;
}

/** `ring`, moving to the owners `target`; the same ring if it already is. */
export function settleOn(
  ring: Ring,
  self: string,
  target: readonly string[],
): Ring {
  const { owners: before, next } = ring.ownership;
  // The old owner is gone, so there is nobody to hand these over.
  const owners = before.map((owner, partition) =>
    isCurrent(ring, owner) ? owner : target[partition] as string
  );
  const settled = { ...ring, ownership: { ...ring.ownership, owners } };
  const transfers = redirect(settled, transfersTowards(settled, target));
  const isSame = owners.every((owner, i) => owner === before[i]) &&
    transfers.length === next.length &&
    transfers.every((transfer, i) => transfer === next[i]);
  return isSame ? ring : setOwnership(ring, self, { owners, next: transfers });
}

/**
 * Those of {@linkcode mistakenMembers} that are not full members yet: they
 * become alone again, with all their data, and may join once more. Only they
 * themselves can tell where they come from.
 */
function mistakenGuests(ring: Ring): string[] {
  return mistakenMembers(ring).filter((node) =>
    isGuest(ring, node) && !isInvited(ring, node)
  );
}

/** Whether `node` is joining and was not a member before. */
function isGuest(ring: Ring, node: string): boolean {
  return memberStatus(ring, node) === "joining" && ownsNothing(ring, node);
}

/**
 * Joining members to be made valid: those that need no commit, and those that
 * own partitions, which were members before.
 */
function comingMembers(ring: Ring): string[] {
  return membersWith(ring, ["joining"]).filter((node) =>
    isAutoJoining(ring, node) ||
    !isInvited(ring, node) && !ownsNothing(ring, node)
  );
}

/** Leaving owners that stay, since nobody else could own anything. */
function stayingMembers(ring: Ring): string[] {
  return heirs(ring).length > 0
    ? []
    : membersWith(ring, ["leaving", "exiting"]).filter((node) =>
      !ownsNothing(ring, node)
    );
}

function completeTransfersOf(ring: Ring): OwnershipTransfer[] {
  return pendingTransfers(ring).filter(({ status, nextOwner }) =>
    status === "complete" && isCurrent(ring, nextOwner)
  );
}

function install(
  ring: Ring,
  self: string,
  done: readonly OwnershipTransfer[],
): Ring {
  if (done.length === 0) return ring;
  const owners = [...ring.ownership.owners];
  for (const { partition, nextOwner } of done) owners[partition] = nextOwner;
  const installed = new Set(done.map((transfer) => transfer.partition));
  return setOwnership(ring, self, {
    owners,
    next: ring.ownership.next.filter(({ partition }) =>
      !installed.has(partition)
    ),
  });
}

function isCurrent(ring: Ring, node: string): boolean {
  const status = memberStatus(ring, node);
  return status !== undefined && status !== "invalid";
}

/** Members that have exited and that nothing depends on. */
function gone(ring: Ring): string[] {
  return currentMembers(ring).filter((node) =>
    memberStatus(ring, node) === "exiting" && ownsNothing(ring, node)
  );
}

/**
 * Redirects what leaving members hand to members that are down to valid ones.
 * Other owners can wait.
 */
function redirect(
  ring: Ring,
  transfers: OwnershipTransfer[],
): OwnershipTransfer[] {
  const isStuck = ({ owner, nextOwner }: OwnershipTransfer): boolean =>
    memberStatus(ring, nextOwner) === "down" &&
    ["leaving", "exiting"].includes(memberStatus(ring, owner) as string);
  if (!transfers.some(isStuck)) return transfers;
  const candidates = membersWith(ring, ["valid"]);
  if (candidates.length === 0) return transfers;
  const target = [...ring.ownership.owners];
  for (const { partition, nextOwner } of transfers) {
    target[partition] = nextOwner;
  }
  for (const transfer of transfers.filter(isStuck)) {
    const { partition } = transfer;
    const counts = partitionCounts(target);
    const rank = (node: string): number =>
      repeatsAt(target, partition, node) * ring.size + (counts.get(node) ?? 0);
    target[partition] = candidates.reduce((best, node) =>
      rank(node) < rank(best) ? node : best
    );
  }
  return transfersTowards(ring, target);
}

/**
 * How near to `partition` the partitions of `node` are: a repeat in a smaller
 * window counts more.
 */
function repeatsAt(
  owners: readonly string[],
  partition: number,
  node: string,
): number {
  let repeats = 0;
  for (const distance of [1, 2]) {
    for (const at of [partition + distance, partition - distance]) {
      const owner = owners[(at + owners.length) % owners.length];
      if (owner === node) repeats += 3 - distance;
    }
  }
  return repeats;
}
