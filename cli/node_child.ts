/**
 * A node as a child process: what `whorl start` and `whorl dev` supervise. The
 * child runs `whorl run-node` with the flags of the node.
 *
 * They speak through the child's streams. On its standard output the child says
 * one line, that it is up and where. Its standard input says nothing; when it
 * ends, the parent is gone, however it went, and the child stops. What it logs
 * goes to standard error.
 *
 * The child has a session of its own, so that Ctrl-C in a terminal reaches only
 * the parent, which then stops its children in order.
 *
 * @module
 */
import { ChildBase } from "../supervisors/child.ts";
import { crash, type ExitReason } from "../supervisors/exit_reason.ts";
import type { TreeNode } from "../supervisors/tree_view.ts";
import { WhorlError } from "../src/base/errors.ts";
import { eachLine } from "./lines.ts";

/** How long a node may take until it is up: a large ring with much data takes a while. */
export const START_TIMEOUT_MS = 120_000;

/** How long a node's last words may take after its end. */
const LAST_WORDS_MS = 500;
/** Other lines on standard output come from applications' modules and are logged. */
const UP_LINE_BEGINS = '{"up":';

/** What a child says when it is up. */
export interface UpLine {
  /** Its name. */
  readonly up: string;
  /** Where it listens. */
  readonly address: string;
}

/** The line that says it. */
export function upLine(line: UpLine): string {
  return JSON.stringify({ up: line.up, address: line.address }) + "\n";
}

/** How to start the process of a node. */
export interface NodeChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Variables added to the environment; where a cookie is safe from `ps`. */
  readonly env: Readonly<Record<string, string>>;
  /** Takes what the node logs, a line at a time. */
  readonly onLog: (line: string) => void;
  /** Stops the start. */
  readonly signal: AbortSignal;
  /** @default {120000} */
  readonly startTimeoutMs?: number;
}

/** The process of a node. */
export class NodeChild extends ChildBase {
  readonly kind = "subprocess";
  readonly pid: number;
  /** Resolves when the process is gone and everything it said has been heard. */
  readonly gone: Promise<void>;
  readonly #process: Deno.ChildProcess;
  /** Settles when the node is up, or has ended without being up. */
  readonly #up = Promise.withResolvers<UpLine>();
  #stopping = false;
  #killed = false;
  #isUp = false;
  /** What the child said last before it was up, for the message if it does not start. */
  #lastLog = "";

  /** Prefer {@linkcode startNodeChild}, which waits until the node is up. */
  constructor(options: NodeChildOptions) {
    super();
    this.#process = new Deno.Command(options.program, {
      args: [...options.args],
      env: { ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.pid = this.#process.pid;
    // Whoever does not wait learns of a failed start by the exit.
    this.#up.promise.catch(() => undefined);
    this.gone = this.#watch(options.onLog);
  }

  /** Resolves to where the node is once it is up. @throws {WhorlError} `internal` if it ended before. */
  get up(): Promise<UpLine> {
    return this.#up.promise;
  }

  /** Asks the node to stop. */
  stop(_reason: ExitReason): void {
    this.#stopping = true;
    this.#signal("SIGTERM");
  }

  /** Ends the node by force. */
  kill(): void {
    this.#killed = true;
    this.#signal("SIGKILL");
  }

  /** Its process id, for trees. */
  describe(): Partial<TreeNode> {
    return { pid: this.pid };
  }

  async #watch(onLog: (line: string) => void): Promise<void> {
    const log = (line: string) => {
      // What comes later has been told, and is seldom about the end.
      if (!this.#isUp) this.#lastLog = line;
      onLog(line);
    };
    const letGo = new AbortController();
    const heard = Promise.all([
      eachLine(
        this.#process.stdout,
        (line) => this.#said(line) || log(line),
        letGo.signal,
      ),
      eachLine(this.#process.stderr, log, letGo.signal),
    ]);
    const status = await this.#process.status;
    // What it said last is still on its way, but processes of its own may keep
    // the streams open longer than anybody cares.
    const timer = setTimeout(() => letGo.abort(), LAST_WORDS_MS);
    await heard;
    clearTimeout(timer);
    await this.#process.stdin.close();
    const how = status.signal ?? `exit code ${status.code}`;
    const error = new WhorlError(
      "internal",
      `Cannot go on as the node's process has ended (${how})` +
        (this.#isUp || this.#lastLog === "" ? "" : `: ${this.#lastLog}`),
      { details: { how } },
    );
    this.#up.reject(error);
    if (this.#killed) this.end("killed");
    else if (this.#stopping) this.end("shutdown");
    else this.end(status.success ? "normal" : crash(error));
  }

  /** Whether `line` was the one that says that the node is up. */
  #said(line: string): boolean {
    if (!line.startsWith(UP_LINE_BEGINS)) return false;
    const said: UpLine = JSON.parse(line);
    this.#isUp = true;
    this.#up.resolve(said);
    return true;
  }

  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      this.#process.kill(signal);
    } catch (error) {
      // It has ended already, which `#watch` is about to tell.
      if (!(error instanceof TypeError)) throw error;
    }
  }
}

/**
 * Starts the process of a node and resolves when the node is up.
 *
 * @throws {WhorlError} `internal` if it ended before, with the last line of its
 * log; `timeout` if it took too long; `cancelled` if `signal` fired. The process
 * is gone then.
 */
export async function startNodeChild(
  options: NodeChildOptions,
): Promise<NodeChild> {
  const child = new NodeChild(options);
  const timeoutMs = options.startTimeoutMs ?? START_TIMEOUT_MS;
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() =>
    reject(
      new WhorlError(
        "timeout",
        `Cannot start the node within ${timeoutMs} ms`,
      ),
    ), timeoutMs);
  const cancel = () =>
    reject(new WhorlError("cancelled", "Cannot start a node while stopping"));
  options.signal.addEventListener("abort", cancel, { once: true });
  if (options.signal.aborted) cancel();
  try {
    await Promise.race([child.up, givenUp]);
    return child;
  } catch (error) {
    await stopWithin(child, 5_000);
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", cancel);
  }
}

/** Stops `child` in order, or by force if it takes longer than `ms`. */
async function stopWithin(child: NodeChild, ms: number): Promise<void> {
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  child.onExit(() => resolve());
  const timer = setTimeout(() => child.kill(), ms);
  child.stop("shutdown");
  await gone;
  clearTimeout(timer);
}
