/**
 * What a member of a Raft group needs from its node.
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

/** A node as seen by its members. */
export interface GroupWorld {
  /** Name of this node. */
  readonly node: string;
  readonly runtime: Runtime;
  /** Shared by the members of a node while they start. */
  readonly turns: StartTurns;
  /** Milliseconds since 1970; may jump. */
  wallClock(): number;
  readonly chance: Chance;
  readonly log: Log;
  /** Entries after which a member takes a snapshot on its own. */
  readonly snapshotEntriesMin: number;
  /** Begins a message to the member of this group on `node`; `undefined` if it cannot be sent now. It may still get lost. */
  beginMessage(
    node: string,
    groupId: number,
    uid: number,
  ): ByteWriter | undefined;
  /** Ends the message that was begun. */
  endMessage(): void;
  /** Whether there is a connection to `node`. */
  isUp(node: string): boolean;
  /**
   * Sends the latest snapshot of a group to the member on `node`; resolves to
   * its index once that member has installed it.
   */
  sendSnapshot(group: string, node: string, term: number): Promise<number>;
  /** A member of this node is offered a snapshot by `from`. */
  expectSnapshot(
    group: string,
    from: string,
    transfer: number,
    snapshot: SnapshotMeta,
  ): void;
  /** The snapshot is not wanted any more. */
  forgetSnapshot(group: string): void;
  /** The log can no longer be written: it must be reopened, and all members with it. */
  diskFailed(error: WhorlError): void;
  /** The member has failed and must be restarted. */
  failed(error: WhorlError): void;
  /** The machine has ended the group: its member must be removed. */
  over(groupId: number, group: string): void;
  /** Part of this member's log is damaged: it continues with the rest until it is renewed. */
  rotten(error: WhorlError): void;
  /** Called on each change of role, term, leader or members. */
  changed(group: string): void;
}
