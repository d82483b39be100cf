/**
 * Child programs: a module that runs unchanged as a task in this thread, as a
 * worker, or as a subprocess. It is started with plain data and exchanges bytes
 * with its parent.
 *
 * ```ts ignore
 * import type { Program } from "@whorl/whorl/supervisors";
 *
 * const echo: Program = (context) => {
 *   context.onMessage((message) => context.send(message));
 *   return {};
 * };
 * export default echo;
 * ```
 *
 * @module
 */
import type { Child, ChildKind } from "./child.ts";
import type { ExitReason } from "./exit_reason.ts";
import type { Runtime } from "./runtime.ts";
import type { TreeNode } from "./tree_view.ts";

/** Bytes between a program and its parent. Sending them transfers the whole buffer. */
export type Message = Uint8Array<ArrayBuffer>;

/** The context of a running program. */
export interface ProgramContext {
  /** The arguments from the parent: a copy, plain data. */
  readonly args: unknown;
  /** Name of this child, for logs. */
  readonly name: string;
  /** Where it runs. */
  readonly placement: ChildKind;
  /** Fires when the program has to stop, before {@linkcode RunningProgram.stop} is called. */
  readonly signal: AbortSignal;
  /** Time, timers and chance. */
  readonly runtime: Runtime;
  /** Sends `message` to the parent, transferring its buffer: do not use it afterwards. */
  send(message: Message): void;
  /**
   * Passes each message of the parent to `handler`, which owns it. If the
   * handler throws or rejects, the program ends.
   */
  onMessage(handler: (message: Message) => void | Promise<void>): void;
  /** Ends the program with `reason`; {@linkcode RunningProgram.stop} is not called. */
  exit(reason: ExitReason): void;
}

/** The result of a program that has started. */
export interface RunningProgram {
  /** Finishes the work under way. Once it returns or resolves, the program has ended. */
  stop?(reason: ExitReason): void | Promise<void>;
}

/** The default export of a program module. When it returns or resolves, the child has started. */
export type Program = (
  context: ProgramContext,
) => RunningProgram | Promise<RunningProgram>;

/** How a hung worker or subprocess is found. */
export interface HeartbeatOptions {
  /** Interval of heartbeats, in milliseconds. @default {500} */
  readonly intervalMs?: number;
  /**
   * Silence after which a child counts as hung, in milliseconds. Below a
   * second, a garbage collection can look like a hang. @default {10000 for a
   * worker, which cannot be terminated, 3000 for a subprocess}
   */
  readonly timeoutMs?: number;
}

/** How to start a program. */
export interface StartProgramOptions {
  /** Where it runs. */
  readonly placement: ChildKind;
  /** The module, whose default export is a {@linkcode Program}. */
  readonly module: URL;
  /** Runs this function instead of loading `module`; for tasks only. */
  readonly program?: Program;
  /** Plain data (what `structuredClone` takes) for the program. @default {undefined} */
  readonly args?: unknown;
  /** Shown in trees, logs and messages. @default {the last part of `module`} */
  readonly name?: string;
  /** For workers and subprocesses; a task shares its parent's thread. */
  readonly heartbeat?: HeartbeatOptions;
  /** Time the program gets to load and start, in milliseconds. @default {60000} */
  readonly startTimeoutMs?: number;
  /** Receives messages from the first one on; as {@linkcode ProgramChild.onMessage}. */
  readonly onMessage?: (message: Message) => void;
  /** Aborts the start when it fires. */
  readonly signal?: AbortSignal;
  /**
   * For subprocesses: flags of `deno run`, such as `--allow-net` or
   * `--unstable-kv`. They must let the module be loaded (`--allow-read` or
   * `--allow-import`). @default {["--allow-all"]}
   */
  readonly permissions?: readonly string[];
  /**
   * For subprocesses: gets each line they print. @default {lines go to this
   * process's stderr}
   */
  readonly onLog?: (line: string) => void;
  /**
   * For subprocesses: bytes that may wait for the child to read them. A child
   * that lets more pile up counts as hung, and is killed. @default {134217728}
   */
  readonly unreadBytesMax?: number;
  /**
   * Called when a worker hangs, or is killed after 200 milliseconds of silence:
   * its thread cannot be terminated and may spin until this OS process ends.
   */
  readonly onZombie?: (child: ProgramChild) => void;
  /** More to show of it in trees, such as what runs inside. @default {nothing} */
  readonly describe?: () => Partial<TreeNode>;
  /** Time, timers and chance. @default {systemRuntime} */
  readonly runtime?: Runtime;
}

/** A running program as its parent sees it. */
export interface ProgramChild extends Child {
  /** Where it runs. */
  readonly placement: ChildKind;
  /** Shown in trees, logs and messages. */
  readonly name: string;
  /** The operating system's id, of subprocesses. */
  readonly pid: number | undefined;
  /** True if its thread may keep spinning after its end. */
  readonly zombie: boolean;
  /** Messages that were sent to it after its end, or that no handler took from it. */
  readonly droppedMessages: number;
  /** Sends `message`, transferring its buffer. Dropped if the child has ended. */
  send(message: Message): void;
  /** Passes each message of the child to `handler`, beginning with those that wait. */
  onMessage(handler: (message: Message) => void): void;
}
