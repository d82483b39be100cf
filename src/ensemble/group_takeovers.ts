/**
 * The part of a node in the takeover from the groups of the previous ring: it
 * imports into groups that are led here, seals groups that are led here,
 * reports the progress of its members, and, on the claimant, asks all nodes for
 * theirs.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import { fieldOf, numberArgument } from "../ra_kv/method_arguments.ts";
import { isRaKv } from "../ra_kv/ra_kv_member.ts";
import type { ClusterMembers } from "../ra_kv/ra_kv_protocol.ts";
import { isCopied, sourcesLeft } from "../ra_kv/succession.ts";
import { sealCommand } from "../ra_kv/succession_codec.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import { currentMembers, type Ring, ringReady } from "../ring/ring.ts";
import { firstVnode } from "../ring/ring_generations.ts";
import { partitionOfGroup, vnodeGroup } from "./ensemble_names.ts";
import type { EnsembleAct, TakeoverStep } from "./ensemble_plan.ts";
import type { GroupExport } from "./group_export.ts";
import { proposed, takeOver } from "./group_import.ts";
import type { MemberQuestions } from "./member_questions.ts";
import { StuckGroups } from "./stuck_groups.ts";

/**
 * Most groups that take over at once here, which bounds what they read from
 * other nodes.
 */
export const TAKEOVERS_MAX = 4;
/** Timeout for a leader to seal its group, in milliseconds. */
const SEAL_TIMEOUT_MS = 5_000;
/** Timeout for a node to report its members' progress, in milliseconds. */
const TAKEOVERS_TIMEOUT_MS = 2_000;

/** What operations on groups need from their node. */
export interface GroupsNode {
  /** Name of this node. */
  readonly self: string;
  readonly runtime: Runtime;
  readonly log: Log;
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** The ring this node uses; undefined before there is one. */
  readonly ring: () => Ring | undefined;
  /** Calls about groups, of `RaKvMethods`. */
  readonly perform: (method: string, args: unknown) => Promise<unknown>;
  /**
   * Calls another node.
   *
   * @throws {WhorlError} Its error, `timeout`, or `not_reachable`.
   */
  readonly call: (
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ) => Promise<unknown>;
}

/** What takeovers need from their node. */
export interface GroupTakeoversWorld extends GroupsNode {
  /** Asks members of groups. */
  readonly members: MemberQuestions;
  /** Answers for the members of this node. */
  readonly exports: GroupExport;
}

/** Progress of a node's members in taking over. */
export interface TakeoversHere {
  /** Partitions whose groups have a first copy of all their keys. */
  readonly copied: readonly number[];
  /** Partitions whose groups serve. */
  readonly open: readonly number[];
}

/** A takeover to advance. */
export interface TakeoverOfGroup {
  readonly group: string;
  readonly partition: number;
  /** Whether the groups it takes over from may be sealed. */
  readonly mayEnd: boolean;
}

/** See the module comment. */
export class GroupTakeovers {
  readonly #world: GroupTakeoversWorld;
  readonly #stuck = new StuckGroups();
  #closed = false;

  constructor(world: GroupTakeoversWorld) {
    this.#world = world;
  }

  /** Stops importing. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Advances the takeover of a group that is led here, and warns if that keeps
   * failing.
   */
  async takeOver(step: TakeoverOfGroup): Promise<void> {
    const { members, runtime } = this.#world;
    const term = members.memberHere(step.group)?.term ?? 0;
    const begunMs = runtime.now();
    let behind: readonly number[];
    try {
      behind = await this.#takeOver(step);
    } catch (error) {
      this.#tellFailed(step.group, term, begunMs, reasonOf(error));
      throw error;
    }
    if (behind.length === 0) return this.#tellSucceeded(step.group);
    const groups = behind.map((source) => this.#sourceGroup(source)).join(", ");
    this.#tellFailed(
      step.group,
      term,
      begunMs,
      `more is written to ${groups} than they remember, so that all keys are gone through again and again`,
    );
  }

  #tellFailed(
    group: string,
    term: number,
    begunMs: number,
    reason: string,
  ): void {
    const { log, members, runtime } = this.#world;
    this.#stuck.keep((name) => members.memberHere(name) !== undefined);
    const member = members.memberHere(group);
    const endedMs = runtime.now();
    if (
      member?.role === "leader" && !this.#closed &&
      this.#stuck.failed({ group, term, begunMs, endedMs })
    ) {
      log.warn(`${group} does not get on in taking over from other groups`, {
        sources: sourcesLeft(member.state.succession)
          .map((source) => this.#sourceGroup(source)),
        reason,
      });
    }
  }

  #tellSucceeded(group: string): void {
    if (this.#stuck.succeeded(group)) {
      this.#world.log.info(`${group} gets on again`);
    }
  }

  /** Name of the group of a partition of the current ring. */
  #sourceGroup(partition: number): string {
    const ring = this.#world.ring();
    return ring === undefined
      ? `partition ${partition}`
      : vnodeGroup(firstVnode(ring) + partition);
  }

  async #takeOver(
    { group, partition, mayEnd }: TakeoverOfGroup,
  ): Promise<readonly number[]> {
    const { members, exports, runtime } = this.#world;
    const member = members.memberHere(group);
    const ring = this.#world.ring();
    const resize = ring?.ownership.generations.resize;
    if (member === undefined || ring === undefined || !resize) return [];
    const { generation, owners: { length: size } } = resize;
    return await takeOver(
      {
        runtime,
        members,
        exports,
        seal: (vnode) => this.#seal({ vnode, generation, size }),
        closed: () => this.#closed,
      },
      member,
      {
        partition,
        size,
        from: {
          firstVnode: firstVnode(ring),
          owners: () => ring.ownership.owners,
          size: ring.size,
        },
        mayEnd,
      },
    );
  }

  /** Makes the leader of a group seal it. */
  async #seal(args: {
    readonly vnode: number;
    readonly generation: number;
    readonly size: number;
  }): Promise<void> {
    const { self, call, perform } = this.#world;
    const cluster = vnodeGroup(args.vnode);
    const { leader } = await perform("ra_kv_members", {
      cluster,
    }) as ClusterMembers;
    if (leader === self) await this.sealHere(args);
    else await call(leader, "ensemble_seal", args, SEAL_TIMEOUT_MS);
  }

  /**
   * Seals a group that is led here, in favour of a ring that all members know
   * to be read: there is no way back, whoever is the claimant.
   *
   * @throws {WhorlError} `ring_not_ready` if this node does not know of that
   * yet, `not_leader`, and failures of proposals.
   */
  async sealHere(args: unknown): Promise<void> {
    const vnode = numberArgument(args, "vnode");
    const generation = numberArgument(args, "generation", 1);
    const size = numberArgument(args, "size", 1);
    const { self, members } = this.#world;
    const group = vnodeGroup(vnode);
    const member = members.memberHere(group);
    if (member?.role !== "leader") {
      throw new WhorlError("not_leader", `${self} does not lead ${group}`);
    }
    if (!this.#isReadFor(generation)) {
      throw new WhorlError(
        "ring_not_ready",
        `Cannot seal ${group} as not all members are known on ${self} to read by generation ${generation} of the ring`,
      );
    }
    if (member.state.succession.seal !== undefined) return;
    await proposed(member, sealCommand({ generation, size }));
  }

  #isReadFor(generation: number): boolean {
    const ring = this.#world.ring();
    if (ring === undefined) return false;
    const { current, resize } = ring.ownership.generations;
    return current === generation ||
      resize?.generation === generation && resize.phase === "reading" &&
        ringReady(ring);
  }

  /**
   * Whether all groups of the future ring have got to `step`, according to all
   * reachable nodes.
   */
  async haveCome(
    { generation, step }: Extract<EnsembleAct, { type: "check_takeover" }>,
  ): Promise<boolean> {
    const ring = this.#world.ring();
    const resize = ring?.ownership.generations.resize;
    if (ring === undefined || resize?.generation !== generation) return false;
    const there = new Set<number>();
    await Promise.all(
      currentMembers(ring).map(async (node) => {
        try {
          const partitions = await this.#partitionsOf(node, generation, step);
          for (const partition of partitions) there.add(partition);
        } catch (error) {
          // Other members of the groups report the same.
          if (!isWhorlError(error)) throw error;
        }
      }),
    );
    return there.size === resize.owners.length;
  }

  async #partitionsOf(
    node: string,
    generation: number,
    step: TakeoverStep,
  ): Promise<readonly number[]> {
    const { self, call } = this.#world;
    const args = { generation };
    if (node === self) return this.here(args)[step];
    const answer = await call(
      node,
      "ensemble_takeovers",
      args,
      TAKEOVERS_TIMEOUT_MS,
    );
    const partitions = fieldOf(answer, step);
    if (Array.isArray(partitions)) return partitions;
    throw new WhorlError(
      "protocol_error",
      `Cannot read how far the groups of ${node} are in taking over`,
    );
  }

  /**
   * Progress of the members here in taking over for the ring of a generation.
   */
  here(args: unknown): TakeoversHere {
    const generation = numberArgument(args, "generation", 1);
    const copied: number[] = [];
    const open: number[] = [];
    for (const member of this.#world.system()?.members() ?? []) {
      const partition = partitionOfGroup(generation, member.group);
      if (partition === undefined || !isRaKv(member)) continue;
      const { succession } = member.state;
      if (succession.sources.size === 0) continue;
      if (isCopied(succession)) copied.push(partition);
      if (succession.isComplete) open.push(partition);
    }
    return { copied, open };
  }
}
