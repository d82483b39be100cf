/**
 * The child's side of a program: loads it, starts it, passes it messages, stops
 * it, and reports how it ended. The same in a task, a worker and a subprocess;
 * only the port to the parent differs.
 *
 * @module
 */
import type { ChildKind } from "./child.ts";
import { crash, type ExitReason, serializeError } from "./exit_reason.ts";
import type {
  Message,
  Program,
  ProgramContext,
  RunningProgram,
} from "./program.ts";
import type { FromProgram, ToProgram } from "./program_protocol.ts";
import type { Runtime } from "./runtime.ts";

/** The way to the parent. */
export interface HostPort {
  post(message: FromProgram): void;
  send(message: Message): void;
  /** The program has ended and has said so: ends the thread or process it ran in. */
  ended(reason: ExitReason): void;
}

/** Options of a {@linkcode ProgramHost}. */
export interface HostOptions {
  readonly port: HostPort;
  readonly placement: ChildKind;
  readonly runtime: Runtime;
  /** Gets the program of a module. */
  readonly load: (module: string) => Program | Promise<Program>;
}

/** Imports `module` and returns its program. */
export async function importProgram(module: string): Promise<Program> {
  const { default: program } = await import(module);
  if (typeof program !== "function") {
    throw new TypeError(
      `Cannot start program as ${module} must export a function by default: it exports ${typeof program}`,
    );
  }
  return program;
}

/** Runs one program. */
export class ProgramHost {
  readonly #options: HostOptions;
  /** Created when the program asks for its signal, as few do. */
  #controller: AbortController | undefined;
  #phase: "idle" | "starting" | "running" | "stopping" | "ended" = "idle";
  #running: RunningProgram = {};
  /** Asked to stop before it had started. */
  #stopAsked: ExitReason | undefined = undefined;
  #handler: ((message: Message) => void | Promise<void>) | undefined;

  /** @param options Where it runs and how it reaches its parent. */
  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** Takes what the parent says. */
  control(message: ToProgram): void {
    switch (message.type) {
      case "start":
        if (this.#phase === "idle") this.#start(message);
        return;
      case "ping":
        return this.#post({ type: "pong", beat: message.beat });
      case "stop":
        this.#post({ type: "pong", beat: message.beat });
        return this.stop(message.reason);
      default:
        message satisfies never;
    }
  }

  /** Takes a message of the application. */
  message(message: Message): void {
    if (this.#phase === "ended") return;
    try {
      const pending = this.#handler?.(message);
      if (pending instanceof Promise) {
        pending.catch((error) => this.fail(error));
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /** Stops the program; once it has finished its work it exits with `reason`. */
  stop(reason: ExitReason): void {
    if (this.#phase === "starting") this.#stopAsked ??= reason;
    if (this.#phase === "idle") this.exit(reason);
    if (this.#phase !== "running") return;
    this.#phase = "stopping";
    try {
      this.#controller?.abort();
      const pending = this.#running.stop?.(reason);
      if (pending instanceof Promise) {
        pending.then(() => this.exit(reason), (error) => this.fail(error));
      } else {
        this.exit(reason);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /** An uncaught error: the program has crashed. */
  fail(error: unknown): void {
    if (this.#phase === "starting" || this.#phase === "idle") {
      this.#post({ type: "start_failed", error: serializeError(error) });
      this.#end(crash(error));
    } else {
      this.exit(crash(error));
    }
  }

  /** Reports that the program ends with `reason`, and ends. */
  exit(reason: ExitReason): void {
    if (this.#phase === "ended") return;
    this.#post({ type: "exit", reason });
    this.#end(reason);
  }

  /** The program is no longer awaited; its output is dropped. */
  abandon(): void {
    this.#phase = "ended";
    this.#controller?.abort();
  }

  #start(message: ToProgram & { readonly type: "start" }): void {
    this.#phase = "starting";
    const { placement, runtime, port } = this.#options;
    const context = new HostedContext({
      args: message.args,
      name: message.name,
      placement,
      runtime,
      send: (bytes) => {
        if (this.#phase !== "ended") port.send(bytes);
      },
      onMessage: (handler) => {
        this.#handler = handler;
      },
      exit: (reason) => this.exit(reason),
    }, () => this.#signal());
    const fail = (error: unknown): void => this.fail(error);
    const started = (running: RunningProgram): void => this.#started(running);
    try {
      // No promise in between if neither step needs one, so that a task that
      // starts synchronously has started when this returns.
      const program = this.#options.load(message.module);
      const running = program instanceof Promise
        ? program.then((program) => program(context))
        : program(context);
      if (running instanceof Promise) running.then(started).catch(fail);
      else started(running);
    } catch (error) {
      fail(error);
    }
  }

  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#phase === "stopping" || this.#phase === "ended") {
        this.#controller.abort();
      }
    }
    return this.#controller.signal;
  }

  #started(running: RunningProgram): void {
    if (this.#phase !== "starting") return;
    this.#running = running ?? {};
    this.#phase = "running";
    this.#post({ type: "ready" });
    if (this.#stopAsked !== undefined) this.stop(this.#stopAsked);
  }

  #post(message: FromProgram): void {
    if (this.#phase !== "ended") this.#options.port.post(message);
  }

  #end(reason: ExitReason): void {
    this.#phase = "ended";
    this.#controller?.abort();
    this.#options.port.ended(reason);
  }
}

/**
 * The context of a program. A class because of its getter: V8 would keep the
 * getter of an object literal, and all it refers to, alive until a full garbage
 * collection.
 */
class HostedContext implements ProgramContext {
  readonly args: unknown;
  readonly name: string;
  readonly placement: ChildKind;
  readonly runtime: Runtime;
  readonly send: ProgramContext["send"];
  readonly onMessage: ProgramContext["onMessage"];
  readonly exit: ProgramContext["exit"];
  readonly #signal: () => AbortSignal;

  constructor(
    given: Omit<ProgramContext, "signal">,
    signal: () => AbortSignal,
  ) {
    this.args = given.args;
    this.name = given.name;
    this.placement = given.placement;
    this.runtime = given.runtime;
    this.send = given.send;
    this.onMessage = given.onMessage;
    this.exit = given.exit;
    this.#signal = signal;
  }

  get signal(): AbortSignal {
    return this.#signal();
  }
}
