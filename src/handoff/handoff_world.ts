/**
 * What the handoffs of a node need from the node.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { Ring } from "../ring/ring.ts";
import type { HeldPartition } from "./transfer.ts";
import type { HandedOverPartition } from "./transfer_plan.ts";

/** A connection to a node, for handoffs only. */
export interface BulkConnection {
  /** The node at the other end. */
  readonly node: string;
  /**
   * Sends a request to a vnode there; see `handoff_codec.ts`.
   *
   * @throws {WhorlError} Its error, `connection_closed`, or `timeout`.
   */
  ask(
    module: string,
    partition: number,
    write: (into: ByteWriter) => void,
    timeoutMs: number,
  ): Promise<Uint8Array>;
  /** Calls a method of the node there. @throws {WhorlError} As {@linkcode BulkConnection.ask}. */
  call(method: string, args: unknown): Promise<unknown>;
  /** Why it has ended; undefined while it is up. */
  readonly closed: WhorlError | undefined;
  /** Releases the connection. */
  close(): void;
}

/** What the handoffs of a node need from the node; see the module comment. */
export interface HandoffWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Name of the node. */
  readonly self: string;
  /** Its vnode modules. */
  readonly modules: readonly string[];
  /** Wall clock in milliseconds since 1970. */
  wallClock(): number;
  /** An unguessable number from 1 to 2^53 - 1. */
  secretNumber(): number;
  /** The ring it uses, or `undefined` while there is none. */
  ring(): Ring | undefined;
  /** Nodes that currently serve a module, including this one. */
  upNodes(module: string): readonly string[];
  /**
   * Whether the version of `node` supports transfers and shares of repairs.
   * @default {always}
   */
  canHandOff?(node: string): boolean;
  /**
   * What its vnodes and stores hold. Masters that are not running are left out.
   */
  held(): Promise<readonly HeldPartition[]>;
  /**
   * What its vnodes know to have handed over and still hold. Masters that are
   * not running are left out.
   */
  handedOver(): Promise<readonly HandedOverPartition[]>;
  /**
   * Sends a request to one of its own vnodes; see `handoff_codec.ts`.
   *
   * @throws {WhorlError} Its error, or `timeout`.
   */
  askVnode(
    module: string,
    partition: number,
    write: (into: ByteWriter) => void,
    timeoutMs: number,
  ): Promise<Uint8Array>;
  /**
   * Opens a connection to `node`.
   *
   * @throws {WhorlError} `not_reachable`, and errors of the handshake.
   */
  connect(node: string): Promise<BulkConnection>;
  /** The data of `module` in these partitions is with the next owners that `by` names. */
  transferComplete(
    partitions: readonly number[],
    module: string,
    by: Ring,
  ): void;
  /**
   * Removes what is left of a partition that another node owns now; false if it
   * must be handed off after all.
   *
   * @param atOnce Whether it skips the queue of other removals and the pacing.
   * @default {false}
   */
  drop(module: string, partition: number, atOnce?: boolean): Promise<boolean>;
  /**
   * What is left of a partition must stay after all: a removal whose turn has
   * not come yet removes nothing, and resolves to false.
   */
  keep(module: string, partition: number): Promise<void>;
  /** Removes what a vnode has received for a resize that was abandoned. */
  discard?(module: string, vnode: number): Promise<void>;
  /**
   * Nothing is left here of the ring that this node comes from, as far as
   * masters are running.
   */
  originHandedOn?(): void;
  /** A partition that was handed over belongs to this node after all. */
  takeBack(module: string, partition: number): Promise<void>;
  /** Calls a method of another node. @throws {WhorlError} Its error. */
  call(node: string, method: string, args: unknown): Promise<unknown>;
}
