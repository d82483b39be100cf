/**
 * Keeps the ensembles of a node as they should be: it looks at ring, root and
 * members whenever one of them has changed, and performs what `planEnsembles`
 * says. What fails is tried again after a pause, as long as it is still to be
 * done.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import { fieldOf, numberArgument } from "../ra_kv/method_arguments.ts";
import { isRaKv } from "../ra_kv/ra_kv_member.ts";
import {
  FIRST_SUCCESSION,
  hasTakenOver,
  isCopied,
} from "../ra_kv/succession.ts";
import { sealCommand } from "../ra_kv/succession_codec.ts";
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
import { ageOfVnode, firstVnode } from "../ring/ring_generations.ts";
import {
  isEnsemble,
  partitionOfGroup,
  ROOT_GROUP,
  vnodeGroup,
  vnodeOfGroup,
} from "./ensemble_names.ts";
import {
  type EnsembleAct,
  type EnsembleView,
  type MemberHere,
  planEnsembles,
  type RingGroups,
  type TakeoverStep,
  wantedOf,
} from "./ensemble_plan.ts";
import {
  decodeGroupTable,
  encodeGroupTable,
  FIRST_TABLE,
  type GroupTable,
  makeGroupTable,
  type TableKeys,
  tableKeys,
} from "./group_table.ts";
import type { GroupExport } from "./group_export.ts";
import { proposed, takeOver } from "./group_import.ts";
import type { MemberQuestions } from "./member_questions.ts";

/** Acts at once. */
export const ENSEMBLE_ACTS_MAX = 8;
/** Time between two looks while nothing has been heard of, in milliseconds. */
export const LOOK_INTERVAL_MS = 1_000;
/** Time between something that happened and the look at it, in milliseconds: where much happens, one look does. */
const LOOK_DELAY_MS = 10;
/** Time before an act is done again that has failed, or has found nothing new, in milliseconds. */
const PAUSE_MS = 250;
/** Time before acts are done again that disturb elections under way, or need not be, in milliseconds. */
const LONG_PAUSE_MS = 10_000;
/** Time between two questions to a node whether it has the members that are led here, in milliseconds. */
export const AUDIT_INTERVAL_MS = 5_000;
/** Time a node has to say which members it has, in milliseconds. */
const MEMBERS_TIMEOUT_MS = 2_000;
/** Time reading or writing the table may take, in milliseconds. */
const TABLE_TIMEOUT_MS = 5_000;
/** Groups that take over at once here: what they read at other nodes is bounded so. */
export const TAKEOVERS_MAX = 4;
/** Time before a group looks again what has changed where its keys are, while they may still change, in milliseconds. */
const FOLLOW_PAUSE_MS = 2_000;
/** Time after which nobody asks the groups of a former ring any more once all members go by the ring as it is, in milliseconds: as vnodes do. */
const FORMER_LINGER_MS = 5_000;
/** Time a leader has to seal its group, in milliseconds. */
const SEAL_TIMEOUT_MS = 5_000;

/** What ensembles need from their node. */
export interface EnsembleWorld {
  /** Name of this node. */
  readonly self: string;
  readonly runtime: Runtime;
  readonly log: Log;
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** The ring this node goes by; undefined before there is one. */
  readonly ring: () => Ring | undefined;
  /** Whether a node can be reached. */
  readonly isUp: (node: string) => boolean;
  /** A number from 1 to 2^48 - 1 that nobody has had. */
  readonly newNumber: () => number;
  /** The store in which the root keeps its table. */
  readonly raKv: RaKvClient;
  /** Asks members of groups. */
  readonly members: MemberQuestions;
  /** Answers for the members of this node. */
  readonly exports: GroupExport;
  /** Calls about groups, of `RaKvMethods`. */
  readonly perform: (method: string, args: unknown) => Promise<unknown>;
  /** Has another node answer. @throws {WhorlError} What it fails with, `timeout`, or `not_reachable`. */
  readonly call: (
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ) => Promise<unknown>;
  /** This node is the claimant and has seen all first members of the root. */
  readonly rootFormed: () => void;
  /** This node is the claimant and has seen all groups of the ring of that generation come so far. */
  readonly takenOver: (generation: number, step: TakeoverStep) => void;
  /** This node holds no member of an ensemble any more. */
  readonly emptied: () => void;
  /** An act has broken a promise of ours. */
  readonly failed: (error: unknown) => void;
}

/** The members of ensembles on a node. */
export interface MembersHere {
  /** Numbers of their groups. */
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

/** How far the members of a node are in taking over. */
export interface TakeoversHere {
  /** Partitions whose groups have a first copy of all their keys. */
  readonly copied: readonly number[];
  /** Those whose groups serve. */
  readonly open: readonly number[];
}

/** What is known of the table of a ring. */
interface KnownTable {
  readonly keys: TableKeys;
  /** Before it is known whether it is formed: by that alone a node would make members again that it has lost. */
  readonly read: GroupTable;
  /** The same, once that has been asked. */
  table: GroupTable | undefined;
  formed: boolean;
}

/** The ensembles of a node; see the module's text. */
export class EnsembleProcess {
  readonly #world: EnsembleWorld;
  /** Acts under way, and until when others pause. */
  readonly #acts = new Map<string, "busy" | number>();
  readonly #made = new Set<number>();
  /** Since when nobody wants a member of a group here. */
  readonly #unwanted = new Map<string, number>();
  /** Since when groups are led here. */
  readonly #leading = new Map<string, number>();
  /** Members that their nodes have said not to have. */
  #gone: ReadonlySet<number> = new Set();
  /** Those that the last question missed. */
  #missed: ReadonlySet<number> = new Set();
  #auditAtMs = 0;
  readonly #waiters = new Set<() => void>();
  /** By generation of the ring. */
  readonly #tables = new Map<number, KnownTable>();
  /** The present generation, as it was seen last. */
  #generation = 0;
  /** What this claimant has seen of the groups of a ring to come. */
  #seen:
    | { readonly generation: number; readonly step: TakeoverStep }
    | undefined;
  /** The ring that all members go by, and since when. */
  #settled: { readonly version: number; readonly sinceMs: number } | undefined;
  #held = false;
  #timer: TimerHandle | undefined;
  #timerAt = Infinity;
  #closed = false;

  constructor(world: EnsembleWorld) {
    this.#world = world;
    this.changed();
  }

  /** Whether this node has no member of an ensemble. */
  get holdsNothing(): boolean {
    const system = this.#world.system();
    return system !== undefined &&
      !system.members().some(({ group }) => isEnsemble(group));
  }

  /** Whether the members of all ensembles are known to have been made. */
  get formed(): boolean {
    return this.#tables.get(this.#generation)?.formed === true;
  }

  /** Resolves with `true` once {@linkcode formed}, with `false` after `waitMs`. */
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

  /** Something has changed that this may have to do with. */
  changed(): void {
    if (this.#isConcerned) this.#lookIn(LOOK_DELAY_MS);
  }

  /** Whether there is anything to look at. A cluster without consistent buckets pays nothing for them. */
  get #isConcerned(): boolean {
    const ring = this.#world.ring();
    return ring !== undefined && hasConsistentBuckets(ring) ||
      this.#world.system()?.members().some(({ group }) => isEnsemble(group)) ===
        true;
  }

  /** Nothing more is done; what is under way ends by itself. */
  close(): void {
    this.#closed = true;
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
      // Whoever has a part in it says when that has changed.
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
    for (const act of planEnsembles(view)) {
      const key = keyOf(act);
      if (busy >= ENSEMBLE_ACTS_MAX) return;
      if (this.#acts.has(key) || this.#acts.has(pauseKeyOf(act))) continue;
      if (act.type === "take_over" && ++takeovers > TAKEOVERS_MAX) continue;
      busy++;
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
    const plan = { rootOwners: rootOwners(ring, there), ...this.#rings(ring) };
    if (!ringReady(ring)) this.#settled = undefined;
    else if (this.#settled?.version !== ringVersion(ring)) {
      this.#settled = { version: ringVersion(ring), sinceMs: now };
    }
    for (const { uid } of members) this.#made.add(uid);
    const groups = new Set(members.map(({ group }) => group));
    for (const since of [this.#unwanted, this.#leading]) {
      for (const group of since.keys()) {
        if (!groups.has(group)) since.delete(group);
      }
    }
    return {
      self,
      isClaimant: ring.ownership.claimant === self,
      ringReady: ringReady(ring),
      root: rootEnsemble(ring),
      ...plan,
      isSettled: this.#settled !== undefined &&
        now - this.#settled.sinceMs >= FORMER_LINGER_MS,
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
          isShut: !hasTakenOver(succession) || succession.sources.size === 0,
        };
      }),
      made: this.#made,
      isUp: (node) => node === self || isUp(node),
      gone: this.#gone,
    };
  }

  /** The groups of the ring, and of the one to come. */
  #rings(ring: Ring): Pick<EnsembleView, "present" | "future"> {
    const { owners, generations: { current, resize } } = ring.ownership;
    this.#generation = current;
    for (const generation of this.#tables.keys()) {
      if (generation !== current && generation !== resize?.generation) {
        this.#tables.delete(generation);
      }
    }
    const groups = (
      generation: number,
      owners: readonly string[],
    ): RingGroups => ({
      generation,
      owners,
      table: this.#tables.get(generation)?.table,
      formed: this.#tables.get(generation)?.formed === true,
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
   * Asks the nodes around whether they have the members that this one leads. One
   * may have been lost: where a change was in doubt, a later attempt at it
   * removes what it takes for a remnant of the first. As each life of a member
   * has its own uid, one that is not there never will be.
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
          // It says so another time.
        }
      }),
    );
    // One that has fallen is there again by the next time.
    this.#gone = missed.intersection(this.#missed);
    this.#missed = missed;
    if (this.#gone.size > 0) this.changed();
  }

  /** Performs an act; true if whatever follows may follow at once, else perhaps after how many milliseconds. */
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
        return await this.#readTable(act.generation);
      case "write_table":
        return await this.#writeTable(act.generation, view);
      case "check_table":
        return await this.#checkTable(ring, act.generation);
      case "take_over":
        return await this.#takeOver(cluster, act);
      case "check_takeover":
        return await this.#checkTakeover(ring, act);
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
        log.warn(`A member of a former ${cluster} is removed`);
        await perform("ra_kv_drop_member", { cluster, uid: act.uid });
        return true;
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
    const known = this.#tables.get(generation);
    if (known === undefined) return false;
    const wanted = known.read.flatMap(({ groupId, members }) =>
      members.map(({ node }) => ({ node, groupId }))
    );
    if (!await this.#areMade(ring, wanted)) return false;
    await this.#putOnce(known.keys.formed, true);
    this.#nowFormed(generation);
    return true;
  }

  /** Whether each node has a member of each of its groups; those that are no members of the cluster any more need none. */
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

  async #readTable(generation: number): Promise<boolean> {
    const { raKv } = this.#world;
    const options = { timeoutMs: TABLE_TIMEOUT_MS };
    let known = this.#tables.get(generation);
    if (known === undefined) {
      known = await this.#findTable(generation);
      if (known === undefined) return false;
      this.#tables.set(generation, known);
    }
    const formed = await raKv.get(ROOT_GROUP, known.keys.formed, options);
    const isNews = known.table === undefined;
    known.table ??= known.read;
    if (formed.value === true) this.#nowFormed(generation);
    return isNews;
  }

  /** The table of a ring that came out of a resize; else the first one, which has no generation. */
  async #findTable(generation: number): Promise<KnownTable | undefined> {
    const { raKv } = this.#world;
    for (const keys of this.#tableKeys(generation)) {
      const { value } = await raKv.get(ROOT_GROUP, keys.table, {
        timeoutMs: TABLE_TIMEOUT_MS,
      });
      if (value === undefined) continue;
      const read = decodeGroupTable(value);
      return { keys, read, table: undefined, formed: false };
    }
    return undefined;
  }

  #tableKeys(generation: number): TableKeys[] {
    const own = tableKeys(generation);
    return this.#isPresent(generation) ? [own, FIRST_TABLE] : [own];
  }

  #isPresent(generation: number): boolean {
    return this.#world.ring()?.ownership.generations.current === generation;
  }

  async #writeTable(
    generation: number,
    { present, future }: EnsembleView,
  ): Promise<boolean> {
    const isFirst = generation === present.generation;
    const groups = isFirst ? present : future;
    if (groups?.generation !== generation) return false;
    const table = makeGroupTable(groups.owners, this.#world.newNumber);
    const keys = isFirst ? FIRST_TABLE : tableKeys(generation);
    await this.#putOnce(keys.table, encodeGroupTable(table));
    return await this.#readTable(generation);
  }

  /** Writes a key of the root unless it is there. */
  async #putOnce(
    key: string,
    value: Parameters<RaKvClient["put"]>[2],
  ): Promise<void> {
    try {
      await this.#world.raKv.put(ROOT_GROUP, key, value, {
        ifIndex: 0,
        timeoutMs: TABLE_TIMEOUT_MS,
      });
    } catch (error) {
      if (!isWhorlError(error, "index_mismatch")) throw error;
    }
  }

  #nowFormed(generation: number): void {
    const known = this.#tables.get(generation);
    if (known === undefined || known.formed) return;
    known.formed = true;
    this.#world.log.info("All ensembles of consistent buckets are there", {
      generation,
    });
    for (const tell of [...this.#waiters]) tell();
  }

  async #takeOver(
    group: string,
    { partition, mayEnd }: Extract<EnsembleAct, { type: "take_over" }>,
  ): Promise<number | false> {
    const { members, exports, runtime } = this.#world;
    const member = members.memberHere(group);
    const ring = this.#world.ring();
    const resize = ring?.ownership.generations.resize;
    if (member === undefined || ring === undefined || !resize) return false;
    const seal = (vnode: number) =>
      this.#seal(vnode, resize.generation, resize.owners.length);
    await takeOver(
      { runtime, members, exports, seal, closed: () => this.#closed },
      member,
      {
        partition,
        size: resize.owners.length,
        from: {
          firstVnode: firstVnode(ring),
          owners: () => ring.ownership.owners,
          size: ring.size,
        },
        mayEnd,
      },
    );
    return mayEnd ? false : FOLLOW_PAUSE_MS;
  }

  /** Has the leader of a group seal it. */
  async #seal(vnode: number, generation: number, size: number): Promise<void> {
    const { self, call, perform } = this.#world;
    const cluster = vnodeGroup(vnode);
    const { leader } = await perform("ra_kv_members", {
      cluster,
    }) as ClusterMembers;
    const args = { vnode, generation, size };
    if (leader === self) await this.sealHere(args);
    else await call(leader, "ensemble_seal", args, SEAL_TIMEOUT_MS);
  }

  /**
   * Seals a group that is led here, for those of a ring that all members know to
   * be read: whoever is the claimant, there is no way back.
   *
   * @throws {WhorlError} `ring_not_ready` if this node does not know of that yet, `not_leader`, and what proposals fail with.
   */
  async sealHere(args: unknown): Promise<void> {
    const vnode = numberArgument(args, "vnode");
    const generation = numberArgument(args, "generation", 1);
    const size = numberArgument(args, "size", 1);
    const { self } = this.#world;
    const group = vnodeGroup(vnode);
    const member = this.#world.members.memberHere(group);
    if (member?.role !== "leader") {
      throw new WhorlError("not_leader", `${self} does not lead ${group}`);
    }
    const ring = this.#world.ring();
    const { current = 0, resize = null } = ring?.ownership.generations ?? {};
    const isRead = current === generation ||
      ring !== undefined && ringReady(ring) &&
        resize?.generation === generation && resize.phase === "reading";
    if (!isRead) {
      throw new WhorlError(
        "ring_not_ready",
        `Cannot seal ${group} as not all members are known on ${self} to read by generation ${generation} of the ring`,
      );
    }
    if (member.state.succession.seal !== undefined) return;
    await proposed(member, sealCommand({ generation, size }));
  }

  async #checkTakeover(
    ring: Ring,
    { generation, step }: Extract<EnsembleAct, { type: "check_takeover" }>,
  ): Promise<number | false> {
    const { resize } = ring.ownership.generations;
    if (resize?.generation !== generation) return false;
    const there = new Set<number>();
    await Promise.all(
      currentMembers(ring).map(async (node) => {
        try {
          const partitions = (await this.#takeoversOf(node, generation))[step];
          for (const partition of partitions) there.add(partition);
        } catch (error) {
          // Other members say the same.
          if (!isWhorlError(error)) throw error;
        }
      }),
    );
    if (there.size < resize.owners.length) return false;
    this.#world.takenOver(generation, step);
    // A claimant that is started anew has to hear it again.
    return FOLLOW_PAUSE_MS;
  }

  async #takeoversOf(node: string, generation: number): Promise<TakeoversHere> {
    const { self, call } = this.#world;
    if (node === self) return this.takeoversHere({ generation });
    const answer = await call(
      node,
      "ensemble_takeovers",
      { generation },
      MEMBERS_TIMEOUT_MS,
    );
    return {
      copied: numbersIn(answer, "copied"),
      open: numbersIn(answer, "open"),
    };
  }

  /** How far the members here are in taking over for the ring of a generation. */
  takeoversHere(args: unknown): TakeoversHere {
    const generation = numberArgument(args, "generation", 1);
    const copied: number[] = [];
    const open: number[] = [];
    for (const member of this.#system().members()) {
      const partition = partitionOfGroup(generation, member.group);
      if (partition === undefined || !isRaKv(member)) continue;
      const { succession } = member.state;
      if (succession.sources.size === 0) continue;
      if (isCopied(succession)) copied.push(partition);
      if (hasTakenOver(succession)) open.push(partition);
    }
    return { copied, open };
  }
}

/** What is done once at a time. */
function keyOf(act: EnsembleAct): string {
  return "generation" in act
    ? `${act.type} ${act.generation}`
    : `${act.type} ${act.group}`;
}

/** What pauses once an act is done. */
function pauseKeyOf(act: EnsembleAct): string {
  // What may end now has not to wait until it would have gone on.
  return act.type === "take_over" && !act.mayEnd ||
      act.type === "check_takeover" && act.step === "copied"
    ? `${keyOf(act)} on`
    : keyOf(act);
}
