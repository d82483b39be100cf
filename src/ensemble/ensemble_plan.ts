/**
 * What a node has to do for ensembles: a function of what it sees. The process
 * that performs it (`ensemble_process.ts`) asks again whenever something has
 * changed, so each act is one step, and nothing is remembered between two.
 *
 *     the ring names a root ensemble
 *       its nodes make their members ──► the claimant has seen them all: it is formed
 *     its leader writes the table of groups, once
 *       all nodes read it and make the members named there ──► the root's leader
 *       has seen them all: they are formed
 *     each leader has its members follow the owners of its preference list
 *
 *     the ring is to have another size, and its groups are there
 *       the root's leader writes a table for the ring to come, and so on, as above
 *     each leader of a new group has it take over from those that have its keys
 *     the claimant has seen that all have copied ──► the ring is read by them
 *     the claimant has seen that all are open ──► the ring has its new size
 *       when all members know that, those of before go, and their tables
 *
 * Who loses a member that it once had must not make it again from the first
 * definition: it would have forgotten what it agreed to, and two of its kind
 * could outvote those that are the members now. So members are made only before
 * their ensemble is formed, members change only after it, and within one life a
 * node makes none twice. A node that comes back reads from the root whether it
 * is formed, and a majority answers.
 *
 * @module
 */
import type { Member, Membership } from "../raft/raft_entry.ts";
import {
  ensembleOwners,
  type FirstMember,
  type RootEnsemble,
} from "../ring/consistent_buckets.ts";
import type { RingResizePhase, VnodeAge } from "../ring/ring_generations.ts";
import {
  partitionGroup,
  partitionOfGroup,
  ROOT_GROUP,
} from "./ensemble_names.ts";
import type { GroupTable } from "./group_table.ts";
import { type MemberStep, planMembers } from "./member_plan.ts";

/** Time for which a member must have been in nobody's way before its node asks whether it is one, in milliseconds: longer than an addition takes. */
export const STRAY_MS = 60_000;

/** Time a leader leads before it hands the lead to the first owner, in milliseconds: whoever has just taken over had a reason. */
export const LEAD_MS_MIN = 10_000;

/** A member of an ensemble on this node. */
export interface MemberHere {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
  /** Whether it leads. */
  readonly leads: boolean;
  /** For how long it has led, in milliseconds. */
  readonly leadsMs: number;
  /** Whether it knows a leader. */
  readonly isLed: boolean;
  readonly membership: Membership;
  /** Whether a majority has agreed to that. */
  readonly settled: boolean;
  /** For how long nobody has wanted it here, in milliseconds. */
  readonly unwantedMs: number;
  /** What its group is in the ring; `present` for the root. */
  readonly age: VnodeAge;
  /** Whether its group has yet to take over from others, if it is of a ring to come. */
  readonly isShut: boolean;
  /** Whether somebody may have been served by its group (`served_groups.ts`); undefined while its log has not been read for that. */
  readonly hasServed: boolean | undefined;
}

/** The groups of a ring. */
export interface RingGroups {
  readonly generation: number;
  /** Owner by partition. */
  readonly owners: readonly string[];
  /** As the root keeps it; undefined while that is not known. */
  readonly table: GroupTable | undefined;
  /** Whether all members of the table are known to have been made. */
  readonly formed: boolean;
}

/** The groups of a ring to come. */
export interface FutureGroups extends RingGroups {
  readonly phase: RingResizePhase;
}

/** What a node sees. */
export interface EnsembleView {
  readonly self: string;
  /** Whether it is the claimant. */
  readonly isClaimant: boolean;
  /** Whether all members know the ring. */
  readonly ringReady: boolean;
  /** Undefined without consistent buckets. */
  readonly root: RootEnsemble | undefined;
  /** Who should have a member of the root ensemble. */
  readonly rootOwners: readonly string[];
  readonly present: RingGroups;
  /** Those of the ring to come, while it is resized. */
  readonly future: FutureGroups | undefined;
  /** Whether all members have gone by the ring as it is for so long that nobody asks the groups of former ones any more. */
  readonly isSettled: boolean;
  /** The newest generation that was begun, if the root may still have tables of others than the present one; else undefined. */
  readonly formerTables: number | undefined;
  readonly members: readonly MemberHere[];
  /** Members this node has made in this life, or had when it began: their uids. */
  readonly made: ReadonlySet<number>;
  readonly isUp: (node: string) => boolean;
  /** Members that their nodes have said not to have: their uids. */
  readonly gone: ReadonlySet<number>;
}

/** One thing to do. */
export type EnsembleAct =
  | {
    readonly type: "make_member";
    readonly group: string;
    readonly groupId: number;
    readonly uid: number;
    readonly initial: readonly Member[];
  }
  /** The claimant asks whether all first members of the root ensemble are there. */
  | { readonly type: "check_root"; readonly group: string }
  /** The table of a ring and whether it is formed, from the root. */
  | TableAct<"read_table">
  /** The root's leader writes the table unless there is one. */
  | TableAct<"write_table">
  /** The root's leader asks whether all first members of the table are there. */
  | TableAct<"check_table">
  /** The root's leader has the tables go of rings that are no more, up to that of the newest generation. */
  | TableAct<"drop_tables"> & { readonly newest: number }
  /** The leader of a group of the ring to come brings what the groups have whose keys it gets. */
  | {
    readonly type: "take_over";
    readonly group: string;
    readonly partition: number;
    readonly mayEnd: boolean;
  }
  /** The claimant asks whether all groups of the ring to come have come so far. */
  | {
    readonly type: "check_takeover";
    readonly group: string;
    readonly generation: number;
    readonly step: TakeoverStep;
  }
  /** A new group has its leader sooner if its first owner stands. */
  | { readonly type: "stand"; readonly group: string }
  | {
    readonly type: "change";
    readonly group: string;
    readonly step: Exclude<MemberStep, { type: "wait" | "none" }>;
  }
  /** All is as it should be, so the lead may go to the first owner: then the load spreads as the ring does. */
  | { readonly type: "hand_over"; readonly group: string; readonly to: string }
  /** A member of a group that is not the ensemble's: of a former cluster, or of a former ring. */
  | {
    readonly type: "drop";
    readonly group: string;
    readonly uid: number;
    /** Of a ring before, or of one that was given up. */
    readonly isOfOtherRing: boolean;
  }
  /** The ring of a group is no more: whether it may go is in the log of its member. */
  | { readonly type: "read_log"; readonly group: string; readonly uid: number }
  /** Nobody wants it here: it goes if its leader does not know it. */
  | {
    readonly type: "ask_stray";
    readonly group: string;
    readonly uid: number;
  };

/** How far groups of a ring to come are: their first copies are there, or they serve. */
export type TakeoverStep = "copied" | "open";

/** An act on the table of a ring. */
interface TableAct<Type> {
  readonly type: Type;
  readonly group: string;
  readonly generation: number;
}

/** What to do now, in no certain order. */
export function planEnsembles(view: EnsembleView): EnsembleAct[] {
  const { root, members } = view;
  const strangers = members.filter((member) => isStranger(view, member));
  const acts: EnsembleAct[] = strangers.map((member) => ({
    type: "drop",
    group: member.group,
    uid: member.uid,
    isOfOtherRing: root !== undefined && isOfOtherRing(view, member),
  }));
  if (root === undefined) return acts;
  const own = members.filter((member) => !strangers.includes(member));
  const { present, future } = view;
  return [
    ...acts,
    ...rootActs(view, root, own),
    ...tableActs(view, present, own),
    // Groups that are not there have nothing to take over.
    ...future !== undefined && present.formed
      ? [...tableActs(view, future, own), ...claimantActs(view, future)]
      : [],
    ...formerTableActs(view, own),
    ...own.flatMap((member) => memberActs(view, root, member)),
  ];
}

function claimantActs(
  { isClaimant }: EnsembleView,
  { generation, phase }: FutureGroups,
): EnsembleAct[] {
  if (!isClaimant) return [];
  const step: TakeoverStep = phase === "reading" ? "open" : "copied";
  return [{ type: "check_takeover", group: ROOT_GROUP, generation, step }];
}

/** The ring of which a group is. */
function groupsOf(
  { present, future }: Pick<EnsembleView, "present" | "future">,
  group: string,
): { readonly groups: RingGroups; readonly partition: number } | undefined {
  for (const groups of [present, future]) {
    const partition = groups && partitionOfGroup(groups.generation, group);
    if (groups !== undefined && partition !== undefined) {
      return { groups, partition };
    }
  }
  return undefined;
}

/**
 * Whether its ring is no more, or was given up. A group that has taken over, or has
 * keys, stays even then: claimants of two parts of a split cluster may have decided otherwise,
 * and those that it took over from send everybody to it.
 */
function isOfOtherRing(
  { isSettled }: EnsembleView,
  member: MemberHere,
): boolean {
  return member.age === "former"
    ? isSettled
    : isGivenUp(member) && member.hasServed === false;
}

/** Whether the ring of its group never came to be, as far as is known here. */
function isGivenUp({ age, unwantedMs }: MemberHere): boolean {
  // A resize that only a claimant of before knew, unless the ring is behind.
  return age === "aborted" || age === "unknown" && unwantedMs >= STRAY_MS;
}

/** Whether a member is of a group by that name that is not, and will not be, this cluster's, or is not any more. */
function isStranger(view: EnsembleView, member: MemberHere): boolean {
  const { root } = view;
  const { group, groupId, unwantedMs } = member;
  // A ring that has not heard of it yet will soon.
  if (root === undefined) return unwantedMs >= STRAY_MS;
  if (group === ROOT_GROUP) return groupId !== root.groupId;
  if (isOfOtherRing(view, member)) return true;
  const of = groupsOf(view, group);
  const there = of?.groups.table?.[of.partition];
  return there !== undefined && there.groupId !== groupId;
}

function rootActs(
  view: EnsembleView,
  root: RootEnsemble,
  own: readonly MemberHere[],
): EnsembleAct[] {
  if (root.formed) return [];
  const make = makeAct(view, own, ROOT_GROUP, root);
  const check: EnsembleAct = { type: "check_root", group: ROOT_GROUP };
  return [...make, ...view.isClaimant ? [check] : []];
}

function tableActs(
  view: EnsembleView,
  { generation, table, formed }: RingGroups,
  own: readonly MemberHere[],
): EnsembleAct[] {
  if (formed) return [];
  const group = ROOT_GROUP;
  const leadsRoot = isRootLed(own);
  const acts: EnsembleAct[] = [{ type: "read_table", group, generation }];
  if (table === undefined) {
    return leadsRoot
      ? [...acts, { type: "write_table", group, generation }]
      : acts;
  }
  if (leadsRoot) acts.push({ type: "check_table", group, generation });
  table.forEach((definition, partition) => {
    const name = partitionGroup(generation, partition);
    acts.push(...makeAct(view, own, name, definition));
  });
  return acts;
}

/** Whether the root is led here. */
function isRootLed(own: readonly MemberHere[]): boolean {
  return own.some(({ group, leads }) => group === ROOT_GROUP && leads);
}

/** Tables of former rings go when nobody goes by those any more. */
function formerTableActs(
  { present, future, isSettled, formerTables: newest }: EnsembleView,
  own: readonly MemberHere[],
): EnsembleAct[] {
  const { generation, formed } = present;
  return newest !== undefined && formed && future === undefined && isSettled &&
      isRootLed(own)
    ? [{ type: "drop_tables", group: ROOT_GROUP, generation, newest }]
    : [];
}

/** The member of this node that `definition` names, unless it has been made. */
function makeAct(
  { self, made }: EnsembleView,
  own: readonly MemberHere[],
  group: string,
  definition: {
    readonly groupId: number;
    readonly members: readonly FirstMember[];
  },
): EnsembleAct[] {
  const { groupId, members } = definition;
  const here = members.find(({ node }) => node === self);
  if (
    here === undefined || made.has(here.uid) ||
    own.some((member) => member.group === group)
  ) return [];
  const initial = members.map(({ node, uid }): Member => ({
    node,
    uid,
    kind: "voter",
    target: 0,
  })).sort((a, b) => a.node < b.node ? -1 : 1);
  return [{ type: "make_member", group, groupId, uid: here.uid, initial }];
}

function memberActs(
  view: EnsembleView,
  root: RootEnsemble,
  member: MemberHere,
): EnsembleAct[] {
  const { self } = view;
  const { group, uid, leads, isLed, membership, settled } = member;
  const isRoot = group === ROOT_GROUP;
  const of = groupsOf(view, group);
  // Those of another ring stay as they are until they go.
  if (!isRoot && of === undefined) {
    return isGivenUp(member) && member.hasServed === undefined
      ? [{ type: "read_log", group, uid }]
      : [];
  }
  const wanted = wantedOf(view, group);
  const isFormed = isRoot
    ? root.formed && view.ringReady
    : of?.groups.formed === true;
  if (!isLed && !isFormed && wanted[0] === self) {
    return [{ type: "stand", group }];
  }
  if (!isFormed) return [];
  if (!leads) {
    return member.unwantedMs >= STRAY_MS
      ? [{ type: "ask_stray", group, uid }]
      : [];
  }
  const acts = of === undefined ? [] : takeoverActs(view, member, of.partition);
  if (!settled) return acts;
  const step = planMembers({
    members: membership.members,
    leader: self,
    wanted,
    isUp: view.isUp,
    isGone: (other) => view.gone.has(other.uid),
  });
  switch (step.type) {
    case "wait":
      return acts;
    case "none": {
      const [to] = isRoot || member.leadsMs < LEAD_MS_MIN ? [] : wanted;
      return to === undefined || to === self || !view.isUp(to)
        ? acts
        : [...acts, { type: "hand_over", group, to }];
    }
    default:
      return [...acts, { type: "change", group, step }];
  }
}

function takeoverActs(
  { future, ringReady }: EnsembleView,
  { group, age, isShut }: MemberHere,
  partition: number,
): EnsembleAct[] {
  if (age !== "future" || !isShut || future === undefined) return [];
  // Whoever may be the next claimant knows by then that there is no way back.
  const mayEnd = future.phase === "reading" && ringReady;
  return [{ type: "take_over", group, partition, mayEnd }];
}

/**
 * `acts` in the order in which they are begun. Groups that take over come last, as
 * that takes long, and first of them those that have waited longest: else some
 * would go on and on while others never begin.
 *
 * @param takenOn When groups were taken one step on last.
 */
export function inTurn(
  acts: readonly EnsembleAct[],
  takenOn: ReadonlyMap<string, number>,
): EnsembleAct[] {
  const turn = (act: EnsembleAct): number =>
    act.type === "take_over" ? takenOn.get(act.group) ?? 0 : -1;
  return acts.toSorted((a, b) => turn(a) - turn(b));
}

/** The nodes that should have a member of `group`. */
export function wantedOf(
  view: Pick<EnsembleView, "rootOwners" | "present" | "future">,
  group: string,
): readonly string[] {
  if (group === ROOT_GROUP) return view.rootOwners;
  const of = groupsOf(view, group);
  return of === undefined ? [] : ensembleOwners(of.groups.owners, of.partition);
}
