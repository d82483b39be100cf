/**
 * What a member of a Raft group stands on: the node around it.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { Chance } from "../base/chance.ts";
import type { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { StartTurns } from "./log/start_turns.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** A node, as its members see it. */
export interface GroupWorld {
  /** Name of this node. */
  readonly node: string;
  readonly runtime: Runtime;
  /** What the starts of its members share. */
  readonly turns: StartTurns;
  /** Milliseconds since 1970; may jump. */
  wallClock(): number;
  readonly chance: Chance;
  readonly log: Log;
  /** A member stores its state by itself after so many entries. */
  readonly snapshotEntriesMin: number;
  /** Begins a message to the member of this group at `node`; `undefined` if it cannot leave now, as it might be lost on its way. */
  beginMessage(
    node: string,
    groupId: number,
    uid: number,
  ): ByteWriter | undefined;
  /** Ends what was begun. */
  endMessage(): void;
  /** Whether there is a connection to `node`. */
  isUp(node: string): boolean;
  /** Brings the latest snapshot of a group to the member at `node`; resolves to its index when that member stands on it. */
  sendSnapshot(group: string, node: string, term: number): Promise<number>;
  /** A member of this node is offered a snapshot by `from`. */
  expectSnapshot(
    group: string,
    from: string,
    transfer: number,
    snapshot: SnapshotMeta,
  ): void;
  /** It is not wanted any more. */
  forgetSnapshot(group: string): void;
  /** The log can be written no longer: it is to be opened anew, and all members with it. */
  diskFailed(error: WhorlError): void;
  /** The member cannot go on: it is to be started anew. */
  failed(error: WhorlError): void;
  /** The machine has ended the group: its member is to be removed. */
  over(groupId: number, group: string): void;
  /** Part of this member's log is damaged: it goes on with the rest, until it begins anew. */
  rotten(error: WhorlError): void;
  /** Told of each change of role, term, leader or members. */
  changed(group: string): void;
}
