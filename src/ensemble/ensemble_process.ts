/**
 * Keeps the ensembles of a node as they should be: checks ring, root and
 * members whenever one of them has changed, and performs the acts of
 * `planEnsembles`. A failed act is retried after a pause, as long as it is
 * still needed.
 *
 * @module
 */
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import { fieldOf } from "../ra_kv/method_arguments.ts";
import { isRaKv } from "../ra_kv/ra_kv_member.ts";
import { FIRST_SUCCESSION } from "../ra_kv/succession.ts";
import { RA_KV_MACHINE } from "../ra_kv/ra_kv_command_codec.ts";
import type { ClusterMembers } from "../ra_kv/ra_kv_protocol.ts";
import {
  hasConsistentBuckets,
  rootEnsemble,
  rootOwners,
} from "../ring/consistent_buckets.ts";
import {
  currentMembers,
  type Ring,
  ringReady,
  ringVersion,
} from "../ring/ring.ts";
import { ageOfVnode } from "../ring/ring_generations.ts";
import { isEnsemble, ROOT_GROUP, vnodeOfGroup } from "./ensemble_names.ts";
import {
  type EnsembleAct,
  type EnsembleView,
  inTurn,
  type MemberHere,
  planEnsembles,
  type RingGroups,
  type TakeoverStep,
  wantedOf,
} from "./ensemble_plan.ts";
import {
  type GroupsNode,
  type GroupTakeovers,
  TAKEOVERS_MAX,
} from "./group_takeovers.ts";
import { RootTables } from "./root_tables.ts";
import { ServedGroups } from "./served_groups.ts";

/** Most concurrent acts. */
export const ENSEMBLE_ACTS_MAX = 8;
/** Interval between checks without notifications, in milliseconds. */
export const LOOK_INTERVAL_MS = 1_000;
/**
 * Delay between a notification and the check, in milliseconds: many
 * notifications cause one check.
 */
const LOOK_DELAY_MS = 10;
/**
 * Pause before an act is repeated that has failed, or has found nothing new, in
 * milliseconds.
 */
const PAUSE_MS = 250;
/**
 * Pause before acts are repeated that disturb elections or are not urgent, in
 * milliseconds.
 */
const LONG_PAUSE_MS = 10_000;
/**
 * Interval between asking a node whether it has the members that are led here,
 * in milliseconds.
 */
export const AUDIT_INTERVAL_MS = 5_000;
/** Timeout for a node to report its members, in milliseconds. */
const MEMBERS_TIMEOUT_MS = 2_000;
/**
 * Pause before a group checks its sources for changes again, while they may
 * still change, in milliseconds.
 */
const FOLLOW_PAUSE_MS = 2_000;
/**
 * How long after all members use the current ring the groups of a former one
 * may still be asked, in milliseconds: the same as for vnodes.
 */
const FORMER_LINGER_MS = 5_000;

/** What ensembles need from their node. */
export interface EnsembleWorld extends GroupsNode {
  /** Whether a node can be reached. */
  readonly isUp: (node: string) => boolean;
  /** A number from 1 to 2^48 - 1, never used before. */
  readonly newNumber: () => number;
  /** The store with the root's tables. */
  readonly raKv: RaKvClient;
  /** This node is the claimant, and all initial members of the root exist. */
  readonly rootFormed: () => void;
  /**
   * This node is the claimant, and all groups of the ring of that generation
   * have got that far.
   */
  readonly takenOver: (generation: number, step: TakeoverStep) => void;
  /** This node no longer has a member of any ensemble. */
  readonly emptied: () => void;
  /** An act has violated an invariant. */
  readonly failed: (error: unknown) => void;
}

/** The members of ensembles on a node. */
export interface MembersHere {
  /** Ids of their groups. */
  readonly groups: readonly number[];
  readonly uids: readonly number[];
}

function numbersIn(answer: unknown, name: string): readonly number[] {
  const numbers = fieldOf(answer, name);
  if (Array.isArray(numbers)) return numbers;
  throw new WhorlError(
    "protocol_error",
    "Cannot read which members of ensembles a node has",
  );
}

/** The ensembles of a node; see the module comment. */
export class EnsembleProcess {
  readonly #world: EnsembleWorld;
  /** Acts in progress, and until when others pause. */
  readonly #acts = new Map<string, "busy" | number>();
  readonly #made = new Set<number>();
  /** Since when the member of a group has been unwanted here. */
  readonly #unwanted = new Map<string, number>();
  /** When groups led here last took a step of their takeover. */
  readonly #takenOn = new Map<string, number>();
  /** Since when groups have been led here. */
  readonly #leading = new Map<string, number>();
  /** Members that their nodes report as missing. */
  #gone: ReadonlySet<number> = new Set();
  /** Those that the last audit missed. */
  #missed: ReadonlySet<number> = new Set();
  #auditAtMs = 0;
  readonly #waiters = new Set<() => void>();
  readonly #served = new ServedGroups();
  readonly #tables: RootTables;
  readonly #takeovers: GroupTakeovers;
  /** The current generation, as last seen. */
  #generation = 0;
  /** What this claimant has seen of the groups of a future ring. */
  #seen:
    | { readonly generation: number; readonly step: TakeoverStep }
    | undefined;
  /** The ring that all members use, and since when. */
  #settled: { readonly version: number; readonly sinceMs: number } | undefined;
  #held = false;
  #timer: TimerHandle | undefined;
  #timerAt = Infinity;
  #closed = false;

  constructor(world: EnsembleWorld, takeovers: GroupTakeovers) {
    this.#world = world;
    this.#tables = new RootTables({
      raKv: world.raKv,
      newNumber: world.newNumber,
      present: () =>
        world.ring()?.ownership.generations.current ?? this.#generation,
      formed: (generation) => this.#tableFormed(generation),
    });
    this.#takeovers = takeovers;
    this.changed();
  }

  /** Whether this node has no member of an ensemble. */
  get holdsNothing(): boolean {
    const system = this.#world.system();
    return system !== undefined &&
      !system.members().some(({ group }) => isEnsemble(group));
  }

  /** Whether the members of all ensembles are known to have been created. */
  get formed(): boolean {
    return this.#tables.isFormed(this.#generation);
  }

  /**
   * Resolves with `true` once {@linkcode formed}, with `false` after `waitMs`.
   */
  whenFormed(waitMs: number): Promise<boolean> {
    if (this.formed) return Promise.resolve(true);
    const { runtime } = this.#world;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const formed = (): void => {
      runtime.clearTimer(timer);
      this.#waiters.delete(formed);
      resolve(this.formed);
    };
    const timer = runtime.setTimer(waitMs, formed);
    this.#waiters.add(formed);
    return promise;
  }

  /** Something relevant has changed. */
  changed(): void {
    if (this.#isConcerned) this.#lookIn(LOOK_DELAY_MS);
  }

  /**
   * Whether there is anything to check. A cluster without consistent buckets
   * pays nothing for them.
   */
  get #isConcerned(): boolean {
    const ring = this.#world.ring();
    return ring !== undefined && hasConsistentBuckets(ring) ||
      this.#world.system()?.members().some(({ group }) => isEnsemble(group)) ===
        true;
  }

  /** Stops; acts in progress end on their own. */
  close(): void {
    this.#closed = true;
    this.#takeovers.close();
    this.#world.runtime.clearTimer(this.#timer);
    for (const tell of [...this.#waiters]) tell();
  }

  #lookIn(ms: number): void {
    const { runtime } = this.#world;
    const at = runtime.now() + ms;
    if (this.#closed || at >= this.#timerAt) return;
    runtime.clearTimer(this.#timer);
    this.#timerAt = at;
    this.#timer = runtime.setTimer(ms, () => {
      this.#timerAt = Infinity;
      this.#look();
    });
  }

  #look(): void {
    if (this.#closed) return;
    const ring = this.#world.ring();
    const system = this.#world.system();
    if (ring === undefined || system === undefined) {
      // A node that has a part in it is notified when that changes.
      if (ring !== undefined && !hasConsistentBuckets(ring)) return;
      return this.#lookIn(LOOK_INTERVAL_MS);
    }
    const view = this.#view(ring, system);
    const held = view.members.length > 0;
    if (this.#held && !held) this.#world.emptied();
    this.#held = held;
    if (held || hasConsistentBuckets(ring)) this.#lookIn(LOOK_INTERVAL_MS);
    const now = this.#world.runtime.now();
    let busy = 0;
    let takeovers = 0;
    for (const [key, state] of this.#acts) {
      if (state === "busy") {
        busy++;
        if (key.startsWith("take_over ")) takeovers++;
      } else if (state <= now) this.#acts.delete(key);
    }
    if (view.present.formed && now >= this.#auditAtMs) {
      this.#auditAtMs = now + AUDIT_INTERVAL_MS;
      void this.#audit(view);
    }
    for (const act of inTurn(planEnsembles(view), this.#takenOn)) {
      const key = keyOf(act);
      if (busy >= ENSEMBLE_ACTS_MAX) return;
      if (this.#acts.has(key) || this.#acts.has(pauseKeyOf(act))) continue;
      if (act.type === "take_over" && ++takeovers > TAKEOVERS_MAX) continue;
      busy++;
      if (act.type === "take_over") this.#takenOn.set(act.group, now);
      this.#acts.set(key, "busy");
      this.#begin(key, act, ring, view);
    }
  }

  #view(ring: Ring, system: RaftSystem): EnsembleView {
    const { self, isUp, runtime } = this.#world;
    const members = system.members().filter(({ group }) => isEnsemble(group));
    const root = members.find(({ group }) => group === ROOT_GROUP);
    const there = root?.membership.members.map(({ node }) => node) ??
      rootEnsemble(ring)?.members.map(({ node }) => node) ?? [];
    const now = runtime.now();
    const { newest } = ring.ownership.generations;
    const plan = { rootOwners: rootOwners(ring, there), ...this.#rings(ring) };
    if (!ringReady(ring)) this.#settled = undefined;
    else if (this.#settled?.version !== ringVersion(ring)) {
      this.#settled = { version: ringVersion(ring), sinceMs: now };
    }
    for (const { uid } of members) this.#made.add(uid);
    const groups = new Set(members.map(({ group }) => group));
    for (const since of [this.#unwanted, this.#leading, this.#takenOn]) {
      for (const group of since.keys()) {
        if (!groups.has(group)) since.delete(group);
      }
    }
    this.#served.keep(groups);
    return {
      self,
      isClaimant: ring.ownership.claimant === self,
      ringReady: ringReady(ring),
      root: rootEnsemble(ring),
      ...plan,
      isSettled: this.#settled !== undefined &&
        now - this.#settled.sinceMs >= FORMER_LINGER_MS,
      formerTables: this.#tables.mayHaveFormer(newest) ? newest : undefined,
      members: members.map((member): MemberHere => {
        const { group, groupId, uid, role, leader, membership } = member;
        const isWanted = hasConsistentBuckets(ring) &&
          wantedOf(plan, group).includes(self);
        if (isWanted) this.#unwanted.delete(group);
        else if (!this.#unwanted.has(group)) this.#unwanted.set(group, now);
        const { succession } = isRaKv(member)
          ? member.state
          : { succession: FIRST_SUCCESSION };
        const leads = role === "leader";
        if (!leads) this.#leading.delete(group);
        else if (!this.#leading.has(group)) this.#leading.set(group, now);
        return {
          group,
          groupId,
          uid,
          leads,
          leadsMs: now - (this.#leading.get(group) ?? now),
          isLed: leader !== undefined,
          membership,
          settled: membership.index <= member.commitIndex,
          unwantedMs: now - (this.#unwanted.get(group) ?? now),
          age: group === ROOT_GROUP
            ? "present"
            : ageOfVnode(ring, vnodeOfGroup(group) ?? 0),
          isShut: !succession.isComplete || succession.sources.size === 0,
          hasServed: isRaKv(member) && this.#served.hasServed(member),
        };
      }),
      made: this.#made,
      isUp: (node) => node === self || isUp(node),
      gone: this.#gone,
    };
  }

  /** The groups of the current ring, and of the future one. */
  #rings(ring: Ring): Pick<EnsembleView, "present" | "future"> {
    const { owners, generations: { current, resize } } = ring.ownership;
    this.#generation = current;
    this.#tables.keep([current, resize?.generation ?? current]);
    const groups = (
      generation: number,
      owners: readonly string[],
    ): RingGroups => ({
      generation,
      owners,
      table: this.#tables.of(generation),
      formed: this.#tables.isFormed(generation),
    });
    return {
      present: groups(current, owners),
      future: resize === null ? undefined : {
        ...groups(resize.generation, resize.owners),
        phase: resize.phase,
      },
    };
  }

  async #begin(
    key: string,
    act: EnsembleAct,
    ring: Ring,
    view: EnsembleView,
  ): Promise<void> {
    const { log, runtime } = this.#world;
    let pauseMs = act.type === "hand_over" || act.type === "stand"
      ? LONG_PAUSE_MS
      : PAUSE_MS;
    try {
      const next = await this.#perform(act, ring, view);
      if (next !== false) pauseMs = next === true ? 0 : next;
    } catch (error) {
      if (!isWhorlError(error)) return this.#world.failed(error);
      log.debug(`Cannot ${act.type.replace("_", " ")} of ${act.group} yet`, {
        reason: reasonOf(error),
      });
    }
    this.#acts.delete(key);
    if (pauseMs > 0) this.#acts.set(pauseKeyOf(act), runtime.now() + pauseMs);
    this.#lookIn(pauseMs === 0 ? LOOK_DELAY_MS : PAUSE_MS);
  }

  /**
   * Asks other nodes whether they have the members that are led here. One may
   * have been lost: where a change was in doubt, a later attempt at it removes
   * what it takes for a remnant of the first. Since each incarnation of a
   * member has its own uid, one that is missing will never appear.
   */
  async #audit(view: EnsembleView): Promise<void> {
    const expected = new Map<string, number[]>();
    for (const { leads, settled, membership } of view.members) {
      if (!leads || !settled) continue;
      for (const { node, uid } of membership.members) {
        if (node === view.self || !view.isUp(node)) continue;
        expected.getOrInsert(node, []).push(uid);
      }
    }
    const missed = new Set<number>();
    await Promise.all(
      [...expected].map(async ([node, uids]) => {
        try {
          const { uids: there } = await this.#membersOf(node);
          const known = new Set(there);
          for (const uid of uids) if (!known.has(uid)) missed.add(uid);
        } catch (error) {
          if (!isWhorlError(error)) return this.#world.failed(error);
          // It will answer another time.
        }
      }),
    );
    // A node that was down answers by the next time.
    this.#gone = missed.intersection(this.#missed);
    this.#missed = missed;
    if (this.#gone.size > 0) this.changed();
  }

  /**
   * Performs an act; returns true if the next one may follow at once, else
   * false or after how many milliseconds.
   */
  async #perform(
    act: EnsembleAct,
    ring: Ring,
    view: EnsembleView,
  ): Promise<boolean | number> {
    const { perform, log } = this.#world;
    const { group: cluster } = act;
    switch (act.type) {
      case "make_member":
        return await this.#make(act);
      case "check_root":
        return await this.#checkRoot(ring, view);
      case "read_table":
        return await this.#tables.read(act.generation);
      case "write_table":
        return await this.#writeTable(act.generation, view);
      case "check_table":
        return await this.#checkTable(ring, act.generation);
      case "drop_tables":
        await this.#tables.dropFormer(act.generation, act.newest);
        return false;
      case "take_over":
        await this.#takeovers.takeOver(act);
        return act.mayEnd ? false : FOLLOW_PAUSE_MS;
      case "check_takeover":
        if (!await this.#takeovers.haveCome(act)) return false;
        this.#world.takenOver(act.generation, act.step);
        // A restarted claimant has to hear it again.
        return FOLLOW_PAUSE_MS;
      case "stand":
        this.#system().member(cluster)?.standNow();
        return false;
      case "change": {
        const { step } = act;
        log.info(`Members of ${cluster} follow the ring`, { ...step });
        if (step.type === "transfer") {
          await perform("ra_kv_transfer_leadership", { cluster, to: step.to });
        } else {
          const { node } = step;
          await perform(
            step.type === "add" ? "ra_kv_add_member" : "ra_kv_remove_member",
            { cluster, node },
          );
        }
        return true;
      }
      case "hand_over":
        await perform("ra_kv_transfer_leadership", { cluster, to: act.to });
        return false;
      case "drop":
        // After a resize that is expected.
        if (act.isOfOtherRing) log.info(`A member of ${cluster} is removed`);
        else log.warn(`A member of a former ${cluster} is removed`);
        await perform("ra_kv_drop_member", { cluster, uid: act.uid });
        return true;
      case "read_log": {
        const member = this.#system().member(cluster);
        if (member?.uid !== act.uid || !isRaKv(member)) return false;
        await this.#served.read(member);
        return true;
      }
      case "ask_stray": {
        const { members, committed } = await perform("ra_kv_members", {
          cluster,
        }) as ClusterMembers;
        if (!committed || members.some(({ uid }) => uid === act.uid)) {
          return false;
        }
        log.info(`What was a member of ${cluster} is removed`);
        await perform("ra_kv_drop_member", { cluster, uid: act.uid });
        return true;
      }
      default:
        return act satisfies never;
    }
  }

  #system(): RaftSystem {
    const system = this.#world.system();
    if (system !== undefined) return system;
    throw new WhorlError("closed", "The node runs no Raft groups now");
  }

  async #make(
    act: Extract<EnsembleAct, { type: "make_member" }>,
  ): Promise<boolean> {
    const { group, groupId, uid, initial } = act;
    this.#made.add(uid);
    try {
      await this.#system().createMember({
        group,
        groupId,
        uid,
        machine: RA_KV_MACHINE,
        initial,
      });
    } catch (error) {
      // Nobody has seen it yet, so nobody can have removed it.
      if (!isWhorlError(error, "already_exists")) this.#made.delete(uid);
      throw error;
    }
    return true;
  }

  async #checkRoot(ring: Ring, { root }: EnsembleView): Promise<boolean> {
    if (root === undefined) return false;
    const wanted = root.members.map(({ node }) => ({
      node,
      groupId: root.groupId,
    }));
    if (!await this.#areMade(ring, wanted)) return false;
    this.#world.rootFormed();
    return true;
  }

  async #checkTable(ring: Ring, generation: number): Promise<boolean> {
    const wanted = (this.#tables.of(generation) ?? [])
      .flatMap(({ groupId, members }) =>
        members.map(({ node }) => ({ node, groupId }))
      );
    if (!await this.#areMade(ring, wanted)) return false;
    await this.#tables.markFormed(generation);
    return true;
  }

  async #writeTable(
    generation: number,
    { present, future }: EnsembleView,
  ): Promise<boolean> {
    const groups = generation === present.generation ? present : future;
    return groups?.generation === generation &&
      await this.#tables.write(generation, groups.owners);
  }

  #tableFormed(generation: number): void {
    this.#world.log.info("All ensembles of consistent buckets are there", {
      generation,
    });
    for (const tell of [...this.#waiters]) tell();
  }

  /**
   * Whether each node has a member of each of its groups; nodes that are no
   * longer members of the cluster need none.
   */
  async #areMade(
    ring: Ring,
    wanted: readonly { readonly node: string; readonly groupId: number }[],
  ): Promise<boolean> {
    const members = currentMembers(ring);
    const nodes = [...new Set(wanted.map(({ node }) => node))]
      .filter((node) => members.includes(node));
    const held = new Map(
      await Promise.all(
        nodes.map(async (node) =>
          [node, new Set((await this.#membersOf(node)).groups)] as const
        ),
      ),
    );
    return wanted.every(({ node, groupId }) =>
      held.get(node)?.has(groupId) ?? true
    );
  }

  async #membersOf(node: string): Promise<MembersHere> {
    const { self, call } = this.#world;
    if (node === self) return this.membersHere();
    const answer = await call(
      node,
      "ensemble_members",
      {},
      MEMBERS_TIMEOUT_MS,
    );
    return {
      groups: numbersIn(answer, "groups"),
      uids: numbersIn(answer, "uids"),
    };
  }

  /** The members of ensembles here. */
  membersHere(): MembersHere {
    const members = this.#system().members()
      .filter(({ group }) => isEnsemble(group));
    return {
      groups: members.map(({ groupId }) => groupId),
      uids: members.map(({ uid }) => uid),
    };
  }
}

/** Acts with the same key run one at a time. */
function keyOf(act: EnsembleAct): string {
  return "generation" in act
    ? `${act.type} ${act.generation}`
    : `${act.type} ${act.group}`;
}

/** What pauses after an act. */
function pauseKeyOf(act: EnsembleAct): string {
  // What may end now need not wait until it would have continued.
  return act.type === "take_over" && !act.mayEnd ||
      act.type === "check_takeover" && act.step === "copied"
    ? `${keyOf(act)} on`
    : keyOf(act);
}
