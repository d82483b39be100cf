/**
 * A script that plays on a simulated cluster while clients work on it. Its
 * steps happen in order, where those of a schedule happen at set times.
 * Everything between them is drawn as usual, so a script can be played with
 * many seeds.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import type { WhorlNode } from "../node/node.ts";
import type { NodeOptions } from "../node/node_options.ts";
import type {
  LogPart,
  PlannedChange,
  PlannedFault,
} from "./schedule/schedule.ts";

/**
 * Something planned, without its time: it happens when the script reaches it.
 */
export type Untimed<Planned> = Planned extends unknown ? Omit<Planned, "atMs">
  : never;

/** A machine, as seen by a script. */
export interface ScriptMachine {
  /** Whether its node is running. */
  readonly running: boolean;
  /** The node, while it is running. */
  readonly node: WhorlNode | undefined;
  /** Its process, or `undefined` while there is none. */
  readonly process: unknown;
  /** The error of each failed start of its node. */
  readonly startFailures: readonly string[];
  /**
   * Adds options of its node, from its next start on: for example, another
   * version of an application.
   */
  configure(options: Partial<NodeOptions>): void;
  /** Kills its process, or cuts its power. */
  kill(how: "process" | "power"): void;
  /** Starts its node, and from then on restarts it whenever it gives up. */
  start(): void;
  /** Makes a spare machine run its node. */
  putIntoService(): void;
}

/** What a script can do. Nodes are numbered from 0, as in schedules. */
export interface ScriptContext {
  /** The random draws of this script. */
  readonly chance: Chance;
  /** Virtual milliseconds. */
  now(): number;
  /** Waits for so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /**
   * Waits until `holds`.
   *
   * @throws {Error} If it does not within `limitMs` virtual milliseconds.
   */
  until(
    what: string | (() => string),
    holds: () => boolean | Promise<boolean>,
    limitMs?: number,
  ): Promise<void>;
  /**
   * Waits until the members of the cluster agree, and all data is with its
   * owners.
   */
  settled(): Promise<void>;
  /**
   * Makes the operator perform a change, as in a schedule; resolves when it is
   * done. A leave may still be in progress.
   */
  carryOut(change: Untimed<PlannedChange>): Promise<void>;
  /** Resolves when every leaving node has gone. */
  departed(): Promise<void>;
  /** Begins a fault, which ends on its own. */
  strike(fault: Untimed<PlannedFault>): void;
  /** The machine of a node. */
  machine(index: number): ScriptMachine;
  /**
   * Makes a node reachable at another address only, different from where it
   * listens; returns that address.
   */
  hide(index: number): string;
  /**
   * The result of `act` on a node.
   *
   * @throws Its error, or that the node died meanwhile.
   */
  ask<T>(index: number, act: (node: WhorlNode) => Promise<T>): Promise<T>;
  /** Deletes a partition from a node's disk, without the node knowing. */
  wipe(index: number, partition: number): Promise<void>;
  /**
   * Flips a bit in a node's Raft files, and returns the path of the file;
   * `undefined` if there is none.
   */
  rot(index: number, part: LogPart): string | undefined;
  /**
   * Permanently deletes every file of a node's disk whose path `isLost`
   * accepts, and returns how many.
   */
  lose(index: number, isLost: (path: string) => boolean): number;
  /**
   * What a node stores of a partition of `kv`: objects by their keys in hex.
   */
  stored(
    index: number,
    partition: number,
  ): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Fails the script with `message` unless `holds`. */
  expect(holds: boolean, message: string): void;
}

/** Plays a script. What it throws is a violation. */
export type SimulationScript = (context: ScriptContext) => Promise<void>;

/** Longest virtual time of a script, in milliseconds. */
export const SCRIPT_MS_MAX = 600_000;
