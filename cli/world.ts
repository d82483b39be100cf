/**
 * Everything the command line takes from outside: streams, environment,
 * signals, and the two doors into Whorl (a session to a running node, and
 * starting one). `whorl.ts` passes the real ones, tests pass their own.
 *
 * @module
 */
import type { OpenSession } from "../src/node/admin_protocol.ts";
import type { NodeOptions } from "../src/node/node_options.ts";
import type { Output } from "./output.ts";

/** Standard input. */
export interface Input {
  /** Whether a person types. */
  readonly isTerminal: boolean;
  /** The bytes, once. */
  bytes(): ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Signals a person or a service manager ends a command with. */
export type StopSignal = "SIGINT" | "SIGTERM";

/** A node that was started in this process. */
export interface RunningNode extends AsyncDisposable {
  readonly name: string;
  /** Where it listens, with the real port. */
  readonly address: string;
  /** Resolves when it has stopped, for whatever reason; rejects if it broke down. */
  readonly stopped: Promise<void>;
  /** Stops it in order. */
  stop(): Promise<void>;
}

/**
 * Starts a node in this process.
 *
 * @throws {WhorlError} If it cannot: `invalid_config`, `invalid_name`,
 * `address_in_use`, one of `store_…`, `name_taken`.
 */
export type StartNode = (options: NodeOptions) => Promise<RunningNode>;

/** How to run this program again, as another process. */
export interface Self {
  /** The program to start, as a rule Deno. */
  readonly program: string;
  /** Its arguments up to the command name, for what the command needs. */
  args(needs: ProcessNeeds): readonly string[];
}

/** What a process started by another one needs from the system. */
export interface ProcessNeeds {
  /** Whether it starts processes of its own. */
  readonly run: boolean;
  /** Absolute paths it writes to. */
  readonly writes: readonly string[];
  /** Further flags of `deno run`. @default {none} */
  readonly flags?: readonly string[];
}

/** What a command has to do with. */
export interface World {
  readonly output: Output;
  readonly input: Input;
  /** A variable of the environment. */
  env(name: string): string | undefined;
  /** Calls `handler` on Ctrl-C and SIGTERM instead of ending; disposing ends that. */
  onStopSignal(handler: (signal: StopSignal) => void): Disposable;
  openSession: OpenSession;
  startNode: StartNode;
  readonly self: Self;
  /** Version of Whorl. */
  readonly version: string;
}
