/**
 * What a node has to do for ensembles, as a function of what it sees. The
 * process that performs it (`ensemble_process.ts`) asks again whenever
 * something has changed, so each act is one step, and nothing is remembered in
 * between.
 *
 *     the ring names a root ensemble
 *       its nodes create their members ──► the claimant has seen them all: it is formed
 *     its leader writes the table of groups, once
 *       all nodes read it and create their members in it ──► the root's leader
 *       has seen them all: they are formed
 *     each leader changes its members to follow the owners of its preference list
 *
 *     a resize is in progress, and the groups of the current ring exist
 *       the root's leader writes a table for the future ring, and so on, as above
 *     each leader of a new group takes over from the groups that have its keys
 *     the claimant has seen that all have copied ──► reads use the future ring
 *     the claimant has seen that all are open ──► the ring has its new size
 *       when all members know that, the former groups and their tables are dropped
 *
 * A node that lost a member must not create it again from the initial
 * definition: it would have forgotten what it agreed to, and two such members
 * could outvote the current ones. So members are created only before their
 * ensemble is formed, members change only after it, and a node creates none
 * twice while it runs. A node that comes back reads from the root whether an
 * ensemble is formed, confirmed by a majority.
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

/**
 * How long a member must have been unwanted before its node asks whether it is
 * still one, in milliseconds: longer than an addition takes.
 */
export const STRAY_MS = 60_000;

/**
 * How long a leader leads before it transfers leadership to the first owner, in
 * milliseconds: a node that has just taken over had a reason.
 */
export const LEAD_MS_MIN = 10_000;

/** A member of an ensemble on this node. */
export interface MemberHere {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
  /** Whether it leads. */
  readonly leads: boolean;
  /** How long it has been leading, in milliseconds. */
  readonly leadsMs: number;
  /** Whether it knows a leader. */
  readonly isLed: boolean;
  readonly membership: Membership;
  /** Whether a majority has agreed to it. */
  readonly settled: boolean;
  /** How long it has been unwanted here, in milliseconds. */
  readonly unwantedMs: number;
  /** The relation of its group to the ring; `present` for the root. */
  readonly age: VnodeAge;
  /** Whether its group, of a future ring, has yet to take over from others. */
  readonly isShut: boolean;
  /**
   * Whether its group may have served somebody (`served_groups.ts`); undefined
   * until its log has been read for that.
   */
  readonly hasServed: boolean | undefined;
}

/** The groups of a ring. */
export interface RingGroups {
  readonly generation: number;
  /** Owner by partition. */
  readonly owners: readonly string[];
  /** As stored by the root; undefined while unknown. */
  readonly table: GroupTable | undefined;
  /** Whether all members of the table are known to have been created. */
  readonly formed: boolean;
}

/** The groups of a future ring. */
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
  /** The nodes that should have a member of the root ensemble. */
  readonly rootOwners: readonly string[];
  readonly present: RingGroups;
  /** Those of the future ring, during a resize. */
  readonly future: FutureGroups | undefined;
  /**
   * Whether all members have used the current ring for so long that nobody asks
   * the groups of former ones any more.
   */
  readonly isSettled: boolean;
  /**
   * The newest generation begun, if the root may still have tables of
   * generations other than the current one; else undefined.
   */
  readonly formerTables: number | undefined;
  readonly members: readonly MemberHere[];
  /**
   * Uids of the members this node has created while running, or had when it
   * started.
   */
  readonly made: ReadonlySet<number>;
  readonly isUp: (node: string) => boolean;
  /** Uids of members that their nodes report as missing. */
  readonly gone: ReadonlySet<number>;
}

/** One step. */
export type EnsembleAct =
  | {
    readonly type: "make_member";
    readonly group: string;
    readonly groupId: number;
    readonly uid: number;
    readonly initial: readonly Member[];
  }
  /**
   * The claimant asks whether all initial members of the root ensemble exist.
   */
  | { readonly type: "check_root"; readonly group: string }
  /** Reads the table of a ring, and whether it is formed, from the root. */
  | TableAct<"read_table">
  /** The root's leader writes the table unless there is one. */
  | TableAct<"write_table">
  /** The root's leader asks whether all initial members of the table exist. */
  | TableAct<"check_table">
  /**
   * The root's leader drops the tables of former rings, up to the newest
   * generation.
   */
  | TableAct<"drop_tables"> & { readonly newest: number }
  /**
   * The leader of a group of the future ring imports from the groups whose keys
   * it gets.
   */
  | {
    readonly type: "take_over";
    readonly group: string;
    readonly partition: number;
    readonly mayEnd: boolean;
  }
  /**
   * The claimant asks whether all groups of the future ring have got that far.
   */
  | {
    readonly type: "check_takeover";
    readonly group: string;
    readonly generation: number;
    readonly step: TakeoverStep;
  }
  /**
   * Makes the first owner of a new group stand for election, so that it has a
   * leader sooner.
   */
  | { readonly type: "stand"; readonly group: string }
  | {
    readonly type: "change";
    readonly group: string;
    readonly step: Exclude<MemberStep, { type: "wait" | "none" }>;
  }
  /**
   * With everything in order, transfers leadership to the first owner, so that
   * the load spreads like the ring.
   */
  | { readonly type: "hand_over"; readonly group: string; readonly to: string }
  /**
   * Drops a member of a group that is not the ensemble's: of a former cluster
   * or a former ring.
   */
  | {
    readonly type: "drop";
    readonly group: string;
    readonly uid: number;
    /** Of a former ring, or of one that was abandoned. */
    readonly isOfOtherRing: boolean;
  }
  /**
   * The ring of a group no longer exists: reads from the member's log whether
   * the group may go.
   */
  | { readonly type: "read_log"; readonly group: string; readonly uid: number }
  /** Drops an unwanted member if its leader does not know it. */
  | {
    readonly type: "ask_stray";
    readonly group: string;
    readonly uid: number;
  };

/**
 * Progress of the groups of a future ring: their first copies are complete, or
 * they serve.
 */
export type TakeoverStep = "copied" | "open";

/** An act on the table of a ring. */
interface TableAct<Type> {
  readonly type: Type;
  readonly group: string;
  readonly generation: number;
}

/** What to do now, in no particular order. */
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
    // Groups that do not exist have nothing to take over.
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

/** The ring that a group belongs to. */
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
 * Whether its ring is a former one, or was abandoned. A group that has taken
 * over, or has keys, stays even then: claimants of two parts of a split cluster
 * may have decided differently, and the groups it took over from redirect
 * everybody to it.
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
  // A resize known only to a former claimant, unless the ring is behind.
  return age === "aborted" || age === "unknown" && unwantedMs >= STRAY_MS;
}

/**
 * Whether a member belongs to a group of that name that never was, or no longer
 * is, this cluster's.
 */
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

/** Whether the root's leader is on this node. */
function isRootLed(own: readonly MemberHere[]): boolean {
  return own.some(({ group, leads }) => group === ROOT_GROUP && leads);
}

/** Drops tables of former rings when nobody uses those any more. */
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

/**
 * Creates the member of this node in `definition`, unless it has been created.
 */
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
  // By then, any possible next claimant knows that there is no way back.
  const mayEnd = future.phase === "reading" && ringReady;
  return [{ type: "take_over", group, partition, mayEnd }];
}

/**
 * `acts` in the order in which they are started. Takeovers come last, since
 * they take long, and those that have waited longest first: otherwise some
 * would continue forever while others never start.
 *
 * @param takenOn When each group last took a step of its takeover.
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
