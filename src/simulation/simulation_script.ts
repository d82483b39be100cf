/**
 * A story that is played on a simulated cluster while clients work on it:
 * first this, then that, where a schedule says at what time. What happens
 * between its steps is drawn as ever, so a story is played with many seeds.
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

/** Something planned, without its time: it is done when the story comes to it. */
export type Untimed<Planned> = Planned extends unknown ? Omit<Planned, "atMs">
  : never;

/** A machine as a story sees it. */
export interface ScriptMachine {
  /** Whether its node runs. */
  readonly running: boolean;
  /** The node, while it runs. */
  readonly node: WhorlNode | undefined;
  /** Its process, or `undefined` while there is none. */
  readonly process: unknown;
  /** Why its node did not start, each time it did not. */
  readonly startFailures: readonly string[];
  /** Gives its node these options besides those it has, from its next start on: another version of an application, say. */
  configure(options: Partial<NodeOptions>): void;
  /** Ends its process, or takes its power away. */
  kill(how: "process" | "power"): void;
  /** Starts its node, and from then on again whenever that gives up. */
  start(): void;
  /** Has a machine that waits outside of the cluster run its node. */
  putIntoService(): void;
}

/** What a story can do. Nodes are numbered as in schedules, from 0. */
export interface ScriptContext {
  /** Chance of this story. */
  readonly chance: Chance;
  /** Virtual milliseconds. */
  now(): number;
  /** Waits so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /** Waits until `holds`. @throws {Error} If it does not within `limitMs` virtual milliseconds. */
  until(
    what: string | (() => string),
    holds: () => boolean | Promise<boolean>,
    limitMs?: number,
  ): Promise<void>;
  /** Waits until the members of the cluster agree, and all data lies with its owners. */
  settled(): Promise<void>;
  /** Has the operator make a change, as one of a schedule; resolves when it is done. A leave may be under way still. */
  carryOut(change: Untimed<PlannedChange>): Promise<void>;
  /** Resolves when every node that leaves has gone. */
  departed(): Promise<void>;
  /** Begins a fault, which ends by itself. */
  strike(fault: Untimed<PlannedFault>): void;
  /** The machine of a node. */
  machine(index: number): ScriptMachine;
  /** Has others reach a node at another address than where it listens, and there alone; answers which. */
  hide(index: number): string;
  /** What `act` gives on a node. @throws What it refuses with, or that the node died over it. */
  ask<T>(index: number, act: (node: WhorlNode) => Promise<T>): Promise<T>;
  /** Takes a partition of a node's disk away, behind its back. */
  wipe(index: number, partition: number): Promise<void>;
  /** Damages a bit of what a node keeps of its Raft groups, and answers of which file; `undefined` if there is none. */
  rot(index: number, part: LogPart): string | undefined;
  /** Takes every file of a node's disk away for good whose path `isLost` names, and answers how many. */
  lose(index: number, isLost: (path: string) => boolean): number;
  /** What a node stores of a partition of `kv`: objects by their keys in hex. */
  stored(
    index: number,
    partition: number,
  ): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Whether `holds`, or the story has failed. */
  expect(holds: boolean, message: string): void;
}

/** Plays a story. What it throws is a violation. */
export type SimulationScript = (context: ScriptContext) => Promise<void>;

/** Virtual time a story may take, in milliseconds. */
export const SCRIPT_MS_MAX = 600_000;
