/**
 * What the Raft groups of a node stand on.
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

/** A connection that snapshots travel on. */
export interface SnapshotConnection {
  /** Asks the other end for something. @throws {WhorlError} What it answers, or `connection_closed`. */
  call(method: string, args: unknown): Promise<unknown>;
  close(): void;
}

/** A node, as all its groups see it. */
export interface RaftWorld {
  /** Name of this node. */
  readonly node: string;
  readonly runtime: Runtime;
  /** Milliseconds since 1970; may jump. */
  wallClock(): number;
  readonly chance: Chance;
  readonly log: Log;
  readonly logs: RaftLogs;
  /** A member stores its state by itself after so many entries. */
  readonly snapshotEntriesMin: number;
  /** The kinds of machine that groups may have, by name. */
  readonly machines: ReadonlyMap<string, RaftMachine>;
  /** Begins a frame to `node`; `undefined` if it cannot leave now. */
  begin(node: string, frameType: number): ByteWriter | undefined;
  /** Ends it. */
  end(): void;
  /** Whether there is a connection to `node`. */
  isUp(node: string): boolean;
  /** A number that nobody can guess, from 1 to 2^48 - 1. */
  secretNumber(): number;
  /** Asks the node `to` something. @throws {WhorlError} What it answers, or why it does not. */
  call(to: string, method: string, args: unknown): Promise<unknown>;
  /** Opens a connection for a snapshot. @throws {WhorlError} `not_reachable`. */
  connect(node: string): Promise<SnapshotConnection>;
  /** Told of starts and ends of members. */
  onReport(report: SupervisorReport): void;
  /** The disk refuses to take the logs: all of them are to be opened anew. */
  failed(error: WhorlError): void;
}
