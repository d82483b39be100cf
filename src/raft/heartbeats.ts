/**
 * Heartbeats for all groups of a node at once: every {@linkcode HEARTBEAT_MS}
 * each node sends each other node a frame that lists the groups it leads there,
 * and a group that is missing from it has lost its leader. The answer lists
 * exceptions only; its arrival tells a leader that the node still follows.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { GroupProcess } from "./group_process.ts";
import {
  type GroupHeartbeat,
  HEARTBEAT_GROUPS_MAX,
  type HeartbeatException,
  readHeartbeats,
  readHeartbeatsReply,
  writeHeartbeats,
  writeHeartbeatsReply,
} from "./heartbeat_codec.ts";
import { ELECTION_TIMEOUT_MS_MIN } from "./raft_fsm.ts";

/**
 * Interval of heartbeat frames to a node, in milliseconds: one may be late or
 * lost before a follower suspects its leader.
 */
export const HEARTBEAT_MS = 400;

/** Frames whose answers are still counted. */
const SEQUENCES_KEPT = 8;

/** What is known about another node with members of our groups. */
interface Neighbour {
  sequence: number;
  /** The members named in the latest frames, by sequence. */
  readonly named: Map<number, readonly GroupProcess[]>;
}

/** What heartbeats need. */
export interface HeartbeatWorld {
  /** Name of this node. */
  readonly node: string;
  readonly runtime: Runtime;
  /** Begins a frame to `node`; `undefined` if it cannot be sent now. */
  begin(node: string, frameType: number): ByteWriter | undefined;
  /** Ends the frame. */
  end(): void;
  /** The members of this node. */
  members(): Iterable<GroupProcess>;
  /** The member of the group `groupId`. */
  memberOf(groupId: number): GroupProcess | undefined;
}

/** The heartbeats of one node; see the module comment. */
export class Heartbeats {
  readonly #world: HeartbeatWorld;
  readonly #neighbours = new Map<string, Neighbour>();
  #timer: TimerHandle | undefined;
  #ticks = 0;
  /** Frames received. */
  #frames = 0;

  constructor(world: HeartbeatWorld) {
    this.#world = world;
  }

  /** Starts sending. */
  start(): void {
    this.#tick();
  }

  /** Stops sending. */
  close(): void {
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** The connection to `node` has ended, so answers to earlier frames will not come. */
  forget(node: string): void {
    this.#neighbours.get(node)?.named.clear();
  }

  /** Handles a frame from `from`, and answers it. */
  received(from: string, reader: ByteReader): void {
    const { sequence, groups } = readHeartbeats(reader);
    const exceptions: HeartbeatException[] = [];
    const frame = ++this.#frames;
    for (const { group, term, commitIndex } of groups) {
      const member = this.#world.memberOf(group);
      if (member === undefined) {
        exceptions.push({ group, uid: 0, term: 0 });
        continue;
      }
      member.namedIn = frame;
      if (member.heardSame(from, term, commitIndex)) continue;
      const { uid } = member.membership.members.find(({ node }) =>
        node === from
      ) ?? { uid: 0 };
      member.message(from, uid, { type: "heartbeat", term, commitIndex });
      if (member.term !== term) {
        exceptions.push({ group, uid: member.uid, term: member.term });
      }
    }
    for (const member of this.#world.members()) {
      if (member.namedIn !== frame && member.leader === from) {
        member.deliver({ type: "leader_silent" });
      }
    }
    const into = this.#world.begin(from, FrameType.raftHeartbeatsReply);
    if (into === undefined) return;
    writeHeartbeatsReply(into, { sequence, exceptions });
    this.#world.end();
  }

  /** Handles an answer from `from`. */
  answered(from: string, reader: ByteReader): void {
    const { sequence, exceptions } = readHeartbeatsReply(reader);
    const neighbour = this.#neighbours.get(from);
    const named = neighbour?.named.get(sequence);
    if (neighbour === undefined || named === undefined) return;
    neighbour.named.delete(sequence);
    const except = new Map(exceptions.map((said) => [said.group, said]));
    for (const member of named) {
      const exception = except.get(member.groupId);
      if (exception === undefined) {
        member.deliver({ type: "heard_from", node: from });
      } else if (exception.uid !== 0) {
        member.message(from, exception.uid, {
          type: "heartbeat_reply",
          term: exception.term,
        });
      }
    }
  }

  readonly #tick = (): void => {
    this.#timer = this.#world.runtime.setTimer(HEARTBEAT_MS, this.#tick);
    this.#ticks++;
    this.#say();
    if (this.#ticks % Math.ceil(ELECTION_TIMEOUT_MS_MIN / HEARTBEAT_MS) === 0) {
      for (const member of this.#world.members()) {
        if (member.leads) member.deliver({ type: "quorum_check" });
      }
    }
  };

  /**
   * Sends a frame to each node that has a member of one of our groups, even an
   * empty one, from which its followers learn that we do not lead.
   */
  #say(): void {
    const frames = new Map<
      string,
      { groups: GroupHeartbeat[]; members: GroupProcess[] }
    >();
    for (const member of this.#world.members()) {
      const { leads, groupId: group, term, commitIndex } = member;
      for (const { node } of member.membership.members) {
        if (node === this.#world.node) continue;
        let frame = frames.get(node);
        if (frame === undefined) {
          frames.set(node, frame = { groups: [], members: [] });
        }
        if (!leads || frame.groups.length === HEARTBEAT_GROUPS_MAX) continue;
        frame.groups.push({ group, term, commitIndex });
        frame.members.push(member);
      }
    }
    for (const [node, { groups, members }] of frames) {
      let neighbour = this.#neighbours.get(node);
      if (neighbour === undefined) {
        this.#neighbours.set(
          node,
          neighbour = { sequence: 0, named: new Map() },
        );
      }
      const into = this.#world.begin(node, FrameType.raftHeartbeats);
      if (into === undefined) continue;
      const sequence = neighbour.sequence = (neighbour.sequence + 1) >>> 0;
      writeHeartbeats(into, { sequence, groups });
      this.#world.end();
      neighbour.named.set(sequence, members);
      neighbour.named.delete(sequence - SEQUENCES_KEPT);
    }
    for (const node of this.#neighbours.keys()) {
      if (!frames.has(node)) this.#neighbours.delete(node);
    }
  }
}
