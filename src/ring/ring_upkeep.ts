/**
 * What a claimant makes of a ring: who may own partitions, to whom they go, and
 * which members may be let go. Pure, so that a plan is computed by the very
 * functions that carry it out: a plan with several steps is "tend the ring, take
 * it that all transfers are done, tend it again", until nothing is left to do
 * (`riak_core_claimant:compute_all_next_rings/3`).
 *
 * Nothing here asks whether the members agree, but for a resize, and a ring that
 * was tended is not changed by tending it again.
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
import type { RingOrigin, RingResize } from "./ring_generations.ts";
import { mistakenInResize, mistakenMembers } from "./ring_origin.ts";
import {
  allReported,
  goesTo,
  hasNoWayBack,
  originOfResize,
  resizedOwners,
} from "./ring_resize.ts";
import { stagedChanges } from "./staged_changes.ts";

/** A ring that was tended, and why it changed. */
export interface TendedRing {
  /** The same ring if there was nothing to do. */
  readonly ring: Ring;
  /** For the log, in the order things were done. */
  readonly reasons: readonly string[];
  /** Whether an operator should hear of it: of many moves, the last one is enough. */
  readonly isNews: boolean;
}

/** What a claimant knows of the resize under way besides the ring. */
export interface ResizeCare {
  /** Whether writes may be held for it now. @default {true} */
  readonly mayBind?: boolean;
  /** Whether they have been held for too long. @default {false} */
  readonly givesUpBinding?: boolean;
  /** Whether all is there that the ring cannot be without once it has its new size. @default {true} */
  readonly mayInstall?: boolean;
}

/**
 * Does what `ring` needs of its claimant `self`, in this order:
 *
 * 1. who joins with vnodes that would be taken for others of this ring joins no
 *    more; members that need no commit become valid;
 * 2. owners switch where transfers are complete; a resize whose members are not
 *    what they were is given up, and members that leave become valid if nobody
 *    could take over from them (after a split, everybody may be leaving); a resize
 *    comes to its next phase, and after the last one all owners switch;
 * 3. partitions of removed members go to others at once, those of leaving ones
 *    get a transfer if they have none, and transfers to members that can own
 *    nothing any more are planned anew; so is a ring in which a member owns
 *    nothing. All this waits while the ring is resized, unless somebody is gone
 *    who has, or is to have, a part in it: then the resize is given up;
 * 4. what a leaving member was to hand to one that is down goes to another;
 * 5. members that have exited and own nothing are members no longer;
 * 6. staged changes that make no sense any more are forgotten.
 *
 * @param targetN Consecutive partitions that should belong to different nodes.
 * @param mayCome Whether a node that needs no commit may become a member.
 * @param resize What the ring does not say of the resize under way.
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
      resume(current, self, targetN),
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

/** The phase that the resize under way comes to next, and why. */
function tendResize(
  ring: Ring,
  self: string,
  { mayBind = true, givesUpBinding = false, mayInstall = true }: ResizeCare,
): [ring: Ring, reason: string] {
  const { resize } = ring.ownership.generations;
  switch (resize?.phase) {
    case "copying":
      // Who is joining would be waited for where there is no way back.
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
        // A claimant before this one may have sent members into `reading`.
        : givesUpBinding &&
            (resize.since.term === ring.ownership.term || ringReady(ring))
        ? [
          enterResizePhase(ring, self, "copying"),
          "writes are not held any more, as some partitions are behind",
        ]
        : [ring, ""];
    case "reading":
      // Who is joining takes requests, too, and would read where nobody writes any more.
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

/** `ring` once reads go by the one to come, as all that is there has to know. */
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

/** The ring to come whose groups of consistent buckets have taken over, or may; `null` if there is none. */
function takenAhead(ring: Ring): RingOrigin | null {
  const taken = takenOverBy(ring);
  return taken !== null &&
      taken.generation > ring.ownership.generations.current
    ? taken
    : null;
}

/**
 * `ring` on its way to the one whose groups of consistent buckets have taken over, if
 * it knows nothing of that: it is of a claimant who was in another part of a split
 * cluster. All its owners must be there. The same ring if there is nothing of the kind.
 */
function resume(ring: Ring, self: string, targetN: number): Ring {
  const { owners, next, generations: { resize } } = ring.ownership;
  const taken = takenAhead(ring);
  if (taken === null || resize !== null || next.length > 0) return ring;
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

/** Whether each member that counts has reported for itself: any of them may be the next claimant. */
function allOwn(ring: Ring): boolean {
  return readyMembers(ring).every((node) =>
    ring.ownership.owners.includes(node)
  );
}

/** `ring` once all that is pending is done: owners are switched, and leaving members that own nothing have exited. */
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
 * Why the resize under way cannot be; `null` if it can. A claimant of another part
 * of a split cluster has removed owners meanwhile, has them leave, or has others
 * come, maybe one whose own vnodes are numbered like the partitions to come. From
 * the phase `reading` on that one has nothing in the ring before these have been
 * handed on (`heirs`, `transfer_plan.ts`).
 *
 * Where buckets are consistent there is no way back from the phase `reading`, in
 * which groups of the new partitions have taken over: then the ring gets its new
 * size, and after that other owners. A claimant that has another resize under way
 * when it hears of them gives that up, as its groups would not take over from these.
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

/** Whether `node` owns nothing in `ring` and is to get nothing. */
export function ownsNothing(ring: Ring, node: string): boolean {
  const { owners, next, generations } = ring.ownership;
  return !owners.includes(node) &&
    !next.some((transfer) => transfer.nextOwner === node) &&
    !generations.resize?.owners.includes(node);
}

/**
 * Who may own partitions, sorted. Valid members and those that are only down; a
 * joining member only if it owns some, as one does that was taken for dead. One
 * whose own vnodes would be taken for parts of the ring hands these on before.
 */
export function heirs(ring: Ring): string[] {
  const mistaken = mistakenMembers(ring);
  return membersWith(ring, ["valid", "down", "joining"]).filter((node) =>
    !ownsNothing(ring, node) ||
    memberStatus(ring, node) !== "joining" && !mistaken.includes(node)
  );
}

/** How owners are to be replaced, and whether the ring is to be claimed anew. */
export interface TargetOptions {
  /** Who takes over from whom, partition by partition. @default {nobody} */
  readonly replaced?: ReadonlyMap<string, string>;
  /** Whether to balance the ring although nothing in it asks for that. @default {false} */
  readonly balance?: boolean;
}

/**
 * The owners `ring` should come to. Those it is coming to anyway, unless
 * somebody among them can't own, or a member would own nothing: then they are
 * claimed anew.
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
    // What can't go there may as well stay where it is.
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

/** `ring` on its way to the owners `target`; the same ring if it is already. */
export function settleOn(
  ring: Ring,
  self: string,
  target: readonly string[],
): Ring {
  const { owners: before, next } = ring.ownership;
  // There is nobody left who could hand these over.
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
 * Those of {@linkcode mistakenMembers} that are not in the ring yet: they stand
 * alone again, with all they hold, and may join once more. Only their own word
 * tells where they come from.
 */
function mistakenGuests(ring: Ring): string[] {
  return mistakenMembers(ring).filter((node) =>
    isGuest(ring, node) && !isInvited(ring, node)
  );
}

/** Whether `node` is joining and was no member before. */
function isGuest(ring: Ring, node: string): boolean {
  return memberStatus(ring, node) === "joining" && ownsNothing(ring, node);
}

/** Members to be made valid: those that need no commit, and one that owns partitions, which was a member before. */
function comingMembers(ring: Ring): string[] {
  return membersWith(ring, ["joining"]).filter((node) =>
    isAutoJoining(ring, node) ||
    !isInvited(ring, node) && !ownsNothing(ring, node)
  );
}

/** Owners on their way out while there is nobody who could own anything. */
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

/** Sends what leaving members hand to members that are down to valid ones. Other owners can wait. */
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

/** How near `node` owns partitions to `partition`: a repeat in a smaller window counts more. */
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
