/**
 * What the handoffs of a node need from it.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { Ring } from "../ring/ring.ts";
import type { HeldPartition } from "./transfer.ts";

/** A connection to a node that carries handoffs and nothing else. */
export interface BulkConnection {
  /** The node at the other end. */
  readonly node: string;
  /**
   * Asks a vnode there; see `handoff_codec.ts`.
   *
   * @throws {WhorlError} What it answers, `connection_closed`, or `timeout`.
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
  /** Nobody uses it any more. */
  close(): void;
}

/** What the handoffs of a node need from it; see the module's text. */
export interface HandoffWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Name of the node. */
  readonly self: string;
  /** Its vnode modules. */
  readonly modules: readonly string[];
  /** Wall clock in milliseconds since 1970. */
  wallClock(): number;
  /** A number from 1 to 2^53 - 1 that cannot be guessed. */
  secretNumber(): number;
  /** The ring it goes by, or `undefined` while there is none. */
  ring(): Ring | undefined;
  /** Nodes that serve a module now, this one included. */
  upNodes(module: string): readonly string[];
  /** Whether the version that `node` runs takes transfers, and can be asked for its share of a repair. @default {always} */
  canHandOff?(node: string): boolean;
  /** What its vnodes and stores hold. Masters that do not run are left out. */
  held(): Promise<readonly HeldPartition[]>;
  /** Asks one of its own vnodes; see `handoff_codec.ts`. @throws {WhorlError} What it answers, or `timeout`. */
  askVnode(
    module: string,
    partition: number,
    write: (into: ByteWriter) => void,
    timeoutMs: number,
  ): Promise<Uint8Array>;
  /** Opens a connection to `node`. @throws {WhorlError} `not_reachable` and what the handshake refuses with. */
  connect(node: string): Promise<BulkConnection>;
  /** The data of `module` in these partitions is with their next owners. */
  transferComplete(partitions: readonly number[], module: string): void;
  /**
   * Removes what is left of a partition that another node owns now; false if it
   * must be handed off after all.
   *
   * @param atOnce Whether it waits neither for other removals nor for a quiet moment. @default {false}
   */
  drop(module: string, partition: number, atOnce?: boolean): Promise<boolean>;
  /** Removes what has come to a vnode for a resize that was given up. */
  discard?(module: string, vnode: number): Promise<void>;
  /** Nothing is left here of the ring that this node comes from, as far as masters run. */
  originHandedOn?(): void;
  /** A partition that was given up is this node's after all. */
  takeBack(module: string, partition: number): Promise<void>;
  /** Calls a method of another node. @throws {WhorlError} What it answers. */
  call(node: string, method: string, args: unknown): Promise<unknown>;
}
