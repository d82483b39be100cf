/**
 * A process in this thread, as in Erlang: it takes messages from a mailbox one
 * at a time, links make it crash with others, monitors tell it of their end,
 * and it ends with a reason.
 *
 * It is light: a few fields until it is first sent to, linked or monitored.
 * Signals (exits over links, down notices) arrive asynchronously, as in Erlang;
 * a process never runs inside another's turn.
 *
 * @module
 */
import { type Child, ChildBase, type ExitListener } from "./child.ts";
import { crash, type ExitReason } from "./exit_reason.ts";
import { Mailbox, MAILBOX_MAX_DEFAULT } from "./mailbox.ts";
import { type Runtime, systemRuntime } from "./runtime.ts";

/** A linked process ended; sent to processes that trap exits. */
export class ExitNotice {
  /** Who ended, and why. */
  constructor(readonly from: Child, readonly reason: ExitReason) {}
}

/** A monitored process ended. */
export class DownNotice {
  /** Which monitor, who ended, and why (`noproc` if it had ended before). */
  constructor(
    readonly monitor: number,
    readonly child: Child,
    readonly reason: ExitReason,
  ) {}
}

/** A message in the mailbox of a process. */
export type Incoming<Message> = Message | ExitNotice | DownNotice;

/** Options of a {@linkcode Process}. */
export interface ProcessOptions {
  /** Shown in trees. @default {"process"} */
  readonly name?: string;
  /** Bound of its mailbox, in messages; {@linkcode Process.send} refuses more. @default {100000} */
  readonly mailboxMax?: number;
  /** Receive {@linkcode ExitNotice}s instead of crashing with linked processes. @default {false} */
  readonly trapExits?: boolean;
  /** Time, timers and chance. @default {systemRuntime} */
  readonly runtime?: Runtime;
}

/** Base of processes in this thread. Override {@linkcode Process.receive}. */
export abstract class Process<Message = unknown> extends ChildBase {
  /** It runs in this thread. */
  readonly kind = "task";
  /** Shown in trees. */
  readonly name: string;
  /** Whether exits of linked processes arrive as notices. */
  trapExits: boolean;
  /** Time, timers and chance. */
  protected readonly runtime: Runtime;
  readonly #mailboxMax: number;
  #mailbox: Mailbox<Incoming<Message>> | undefined = undefined;
  #links: Set<Child> | undefined = undefined;
  /** What undoes each monitor. */
  #monitors: Map<number, () => void> | undefined = undefined;
  #monitorCount = 0;
  #linkedExit: ExitListener | undefined = undefined;
  #asked: ExitReason | undefined = undefined;
  /** A turn is deferred or under way. */
  #busy = false;

  /** Creates a process, which runs at once. */
  constructor(options: ProcessOptions = {}) {
    super();
    this.name = options.name ?? "process";
    this.trapExits = options.trapExits ?? false;
    this.runtime = options.runtime ?? systemRuntime;
    this.#mailboxMax = options.mailboxMax ?? MAILBOX_MAX_DEFAULT;
  }

  /**
   * Handles one message. The next one waits until this returns or resolves; if
   * it throws, the process ends.
   */
  protected abstract receive(
    message: Incoming<Message>,
  ): void | Promise<void>;

  /** Cleans up after a request to stop, before it exits with `reason`. */
  protected terminate(_reason: ExitReason): void | Promise<void> {}

  /** Messages that wait. */
  get mailboxLength(): number {
    return this.#mailbox?.length ?? 0;
  }

  /**
   * Puts `message` into the mailbox. False if the mailbox is full. Dropped if
   * the process has ended, as in Erlang.
   */
  send(message: Message): boolean {
    if (!this.alive) return true;
    this.#mailbox ??= new Mailbox(this.#mailboxMax);
    if (!this.#mailbox.push(message)) return false;
    this.#wake();
    return true;
  }

  /** Asks it to stop: it finishes the current message, then {@linkcode Process.terminate} runs, then it exits. */
  stop(reason: ExitReason): void {
    if (!this.alive || this.#asked !== undefined) return;
    this.#asked = reason;
    this.#wake();
  }

  /** Ends it now; the outcome of a message still being handled is ignored. */
  kill(): void {
    this.exit("killed");
  }

  /** Ends it with `reason`, without {@linkcode Process.terminate}. */
  exit(reason: ExitReason): void {
    if (!this.alive) return;
    this.#mailbox?.clear();
    for (const undo of this.#monitors?.values() ?? []) undo();
    this.end(reason);
    for (const other of this.#links ?? []) {
      if (other instanceof Process) {
        other.#signal(this, reason);
      } else {
        other.offExit(this.#onLinkedExit);
        if (reason !== "normal") other.stop(reason);
      }
    }
    this.#links?.clear();
  }

  /**
   * Links two processes: when one ends, the other ends with the same reason,
   * unless it traps exits or the reason is `normal`.
   */
  link(other: Child): void {
    if (!this.alive || other === this || this.#links?.has(other)) return;
    this.#addLink(other);
    if (other instanceof Process) {
      if (other.alive) other.#addLink(this);
      else this.#signal(other, "noproc");
      return;
    }
    // The other kinds have no links; their end is watched from here.
    if (other.exitReason !== undefined) this.#signal(other, "noproc");
    else other.onExit(this.#onLinkedExit);
  }

  /** Unties them. */
  unlink(other: Child): void {
    this.#links?.delete(other);
    if (other instanceof Process) other.#links?.delete(this);
    else other.offExit(this.#onLinkedExit);
  }

  /**
   * Asks for a {@linkcode DownNotice} when `child` ends, at once if it has.
   *
   * @returns The monitor, for {@linkcode Process.demonitor}.
   */
  monitor(child: Child): number {
    const monitor = ++this.#monitorCount;
    if (!this.alive) return monitor;
    if (child.exitReason !== undefined) {
      this.deliver(new DownNotice(monitor, child, "noproc"));
      return monitor;
    }
    const listener: ExitListener = (reason) => {
      if (!this.#monitors!.delete(monitor)) return;
      this.deliver(new DownNotice(monitor, child, reason));
    };
    this.#monitors ??= new Map();
    this.#monitors.set(monitor, () => child.offExit(listener));
    child.onExit(listener);
    return monitor;
  }

  /** Removes a monitor. A notice that is already in the mailbox stays there. */
  demonitor(monitor: number): void {
    this.#monitors?.get(monitor)?.();
    this.#monitors?.delete(monitor);
  }

  /** What it says of itself. */
  describe(): { id: string } {
    return { id: this.name };
  }

  #addLink(other: Child): void {
    this.#links ??= new Set();
    this.#links.add(other);
  }

  /** One listener for all linked children of other kinds. Made when first needed. */
  get #onLinkedExit(): ExitListener {
    const signal: ExitListener = (reason, from) => this.#signal(from, reason);
    return this.#linkedExit ??= signal;
  }

  /** Handles the exit of `from`, if it is still linked. */
  #signal(from: Child, reason: ExitReason): void {
    this.runtime.defer(() => {
      if (!this.alive || !this.#links?.delete(from)) return;
      if (this.trapExits) this.deliver(new ExitNotice(from, reason));
      else if (reason !== "normal") this.exit(reason);
    });
  }

  /** Puts a notice that must not be lost into the mailbox, even if it is full. */
  protected deliver(message: Incoming<Message>): void {
    if (!this.alive) return;
    this.#mailbox ??= new Mailbox(this.#mailboxMax);
    this.#mailbox.add(message);
    this.#wake();
  }

  #wake(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.runtime.defer(() => this.#run());
  }

  /** Handles messages until none is left or one has to be awaited. */
  #run(): void {
    try {
      while (this.alive) {
        if (this.#asked !== undefined) return this.#finish(this.#asked);
        if (this.mailboxLength === 0) break;
        const pending = this.receive(
          this.#mailbox!.shift() as Incoming<Message>,
        );
        if (pending instanceof Promise) {
          pending.then(() => this.#run(), (error) => this.exit(crash(error)));
          return;
        }
      }
      this.#busy = false;
    } catch (error) {
      this.exit(crash(error));
    }
  }

  #finish(reason: ExitReason): void {
    const pending = this.terminate(reason);
    if (pending instanceof Promise) {
      pending.then(
        () => this.exit(reason),
        (error) => this.exit(crash(error)),
      );
    } else {
      this.exit(reason);
    }
  }
}

/** A process with a function as its `receive`. */
class FunctionProcess<Message> extends Process<Message> {
  readonly #receive: (
    message: Incoming<Message>,
    self: Process<Message>,
  ) => void | Promise<void>;

  constructor(
    receive: (
      message: Incoming<Message>,
      self: Process<Message>,
    ) => void | Promise<void>,
    options: ProcessOptions,
  ) {
    super(options);
    this.#receive = receive;
  }

  protected override receive(
    message: Incoming<Message>,
  ): void | Promise<void> {
    return this.#receive(message, this);
  }
}

/** Starts a process that handles each message with `receive`. */
export function spawn<Message = unknown>(
  receive: (
    message: Incoming<Message>,
    self: Process<Message>,
  ) => void | Promise<void>,
  options: ProcessOptions = {},
): Process<Message> {
  return new FunctionProcess(receive, options);
}
