/**
 * What the Raft groups of a node need from it.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { Chance } from "../base/chance.ts";
import type { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { RaftLogs } from "./log/raft_log.ts";
import type { RaftMachine } from "./machine.ts";

/** A connection for sending snapshots. */
export interface SnapshotConnection {
  /** Calls a method of the other end. @throws {WhorlError} The failure it answers, or `connection_closed`. */
  call(method: string, args: unknown): Promise<unknown>;
  close(): void;
}

/** A node as seen by its groups. */
export interface RaftWorld {
  /** Name of this node. */
  readonly node: string;
  readonly runtime: Runtime;
  /** Milliseconds since 1970; may jump. */
  wallClock(): number;
  readonly chance: Chance;
  readonly log: Log;
  readonly logs: RaftLogs;
  /** Entries after which a member takes a snapshot on its own. */
  readonly snapshotEntriesMin: number;
  /** The machines that groups may use, by name. */
  readonly machines: ReadonlyMap<string, RaftMachine>;
  /** Begins a frame to `node`; `undefined` if it cannot be sent now. */
  begin(node: string, frameType: number): ByteWriter | undefined;
  /** Ends the frame. */
  end(): void;
  /** Whether there is a connection to `node`. */
  isUp(node: string): boolean;
  /** A cryptographically secure random number from 1 to 2^48 - 1. */
  secretNumber(): number;
  /** Calls a method of the node `to`. @throws {WhorlError} The failure it answers, or why there is no answer. */
  call(to: string, method: string, args: unknown): Promise<unknown>;
  /** Opens a connection for a snapshot. @throws {WhorlError} `not_reachable`. */
  connect(node: string): Promise<SnapshotConnection>;
  /** Receives reports on starts and ends of members. */
  onReport(report: SupervisorReport): void;
  /** The logs cannot be written: all of them must be reopened. */
  failed(error: WhorlError): void;
}
