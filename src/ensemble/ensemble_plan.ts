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
  /** Owner by partition. */
  readonly owners: readonly string[];
  /** As the root keeps it; undefined while that is not known. */
  readonly table: GroupTable | undefined;
  /** Whether all members of the table are known to have been made. */
  readonly formed: boolean;
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
  /** The table and whether it is formed, from the root. */
  | { readonly type: "read_table"; readonly group: string }
  /** The root's leader writes the table unless there is one. */
  | { readonly type: "write_table"; readonly group: string }
  /** The root's leader asks whether all first members of the table are there. */
  | { readonly type: "check_table"; readonly group: string }
  /** A new group has its leader sooner if its first owner stands. */
  | { readonly type: "stand"; readonly group: string }
  | {
    readonly type: "change";
    readonly group: string;
    readonly step: Exclude<MemberStep, { type: "wait" | "none" }>;
  }
  /** All is as it should be, so the lead may go to the first owner: then the load spreads as the ring does. */
  | { readonly type: "hand_over"; readonly group: string; readonly to: string }
  /** A member of a group that is not the ensemble's: of a former cluster. */
  | { readonly type: "drop"; readonly group: string; readonly uid: number }
  /** Nobody wants it here: it goes if its leader does not know it. */
  | {
    readonly type: "ask_stray";
    readonly group: string;
    readonly uid: number;
  };

/** What to do now, in no certain order. */
export function planEnsembles(view: EnsembleView): EnsembleAct[] {
  const { root, members } = view;
  const strangers = members.filter((member) => isStranger(view, member));
  const acts: EnsembleAct[] = strangers.map(({ group, uid }) => ({
    type: "drop",
    group,
    uid,
  }));
  if (root === undefined) return acts;
  const own = members.filter((member) => !strangers.includes(member));
  return [
    ...acts,
    ...rootActs(view, root, own),
    ...tableActs(view, own),
    ...own.flatMap((member) => memberActs(view, root, member)),
  ];
}

/** Whether a member is of a group by that name that is not, and will not be, this cluster's. */
function isStranger(
  { root, table }: EnsembleView,
  { group, groupId, unwantedMs }: MemberHere,
): boolean {
  // A ring that has not heard of it yet will soon.
  if (root === undefined) return unwantedMs >= STRAY_MS;
  if (group === ROOT_GROUP) return groupId !== root.groupId;
  const there = table?.[partitionOfGroup(group) ?? -1];
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
  own: readonly MemberHere[],
): EnsembleAct[] {
  const { table, formed } = view;
  if (formed) return [];
  const group = ROOT_GROUP;
  const leadsRoot = own.some((member) =>
    member.group === group && member.leads
  );
  const acts: EnsembleAct[] = [{ type: "read_table", group }];
  if (table === undefined) {
    return leadsRoot ? [...acts, { type: "write_table", group }] : acts;
  }
  if (leadsRoot) acts.push({ type: "check_table", group });
  table.forEach((definition, partition) => {
    acts.push(...makeAct(view, own, partitionGroup(partition), definition));
  });
  return acts;
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
  const wanted = wantedOf(view, group);
  const isFormed = isRoot ? root.formed && view.ringReady : view.formed;
  if (!isLed && !isFormed && wanted[0] === self) {
    return [{ type: "stand", group }];
  }
  if (!isFormed) return [];
  if (!leads) {
    return member.unwantedMs >= STRAY_MS
      ? [{ type: "ask_stray", group, uid }]
      : [];
  }
  if (!settled) return [];
  const step = planMembers({
    members: membership.members,
    leader: self,
    wanted,
    isUp: view.isUp,
    isGone: (other) => view.gone.has(other.uid),
  });
  switch (step.type) {
    case "wait":
      return [];
    case "none": {
      const [to] = isRoot || member.leadsMs < LEAD_MS_MIN ? [] : wanted;
      return to === undefined || to === self || !view.isUp(to)
        ? []
        : [{ type: "hand_over", group, to }];
    }
    default:
      return [{ type: "change", group, step }];
  }
}

/** The nodes that should have a member of `group`. */
export function wantedOf(
  { rootOwners, owners }: Pick<EnsembleView, "rootOwners" | "owners">,
  group: string,
): readonly string[] {
  const partition = partitionOfGroup(group);
  return partition === undefined
    ? rootOwners
    : ensembleOwners(owners, partition);
}
