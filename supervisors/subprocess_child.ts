/**
 * A program in a process of its own: the only placement that isolates memory
 * and can always be killed. Messages travel over its stdin and stdout, batched
 * per turn; what it prints goes to stderr.
 *
 * @module
 */
import { deserialize, serialize } from "node:v8";
import type { ExitReason } from "./exit_reason.ts";
import { HostedChild } from "./hosted_child.ts";
import {
  BrokenStreamError,
  KIND_CONTROL,
  KIND_MESSAGE,
  MessageBatch,
  MessageReader,
} from "./message_stream.ts";
import type { Message, StartProgramOptions } from "./program.ts";
import type { FromProgram, ToProgram } from "./program_protocol.ts";
import { type Runtime, systemRuntime } from "./runtime.ts";

/** Default of the bytes that may wait for a child to read them: 128 MiB. */
export const UNREAD_BYTES_MAX_DEFAULT = 128 * 1024 * 1024;

/** Time between a child's last message, or its end, and the release of all that belongs to it, in milliseconds. */
const RELEASE_MS = 1_000;

/** Longest line of a child's output passed to `onLog`, in bytes; longer ones are split. */
const LOG_LINE_BYTES_MAX = 64 * 1024;

/** Starts a program in a subprocess; see {@linkcode HostedChild.started}. */
export function startSubprocess(options: StartProgramOptions): HostedChild {
  return new HostedChild(
    options,
    (child) => new SubprocessLink(child, options),
  );
}

class SubprocessLink {
  readonly pid: number;
  readonly #child: HostedChild;
  readonly #runtime: Runtime;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #batch = new MessageBatch();
  readonly #unreadBytesMax: number;
  #writing = false;
  #broken = false;

  constructor(child: HostedChild, options: StartProgramOptions) {
    this.#child = child;
    this.#runtime = options.runtime ?? systemRuntime;
    this.#unreadBytesMax = options.unreadBytesMax ?? UNREAD_BYTES_MAX_DEFAULT;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...(options.permissions ?? ["--allow-all"]),
        new URL("./subprocess_main.ts", import.meta.url).href,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: options.onLog === undefined ? "inherit" : "piped",
    }).spawn();
    this.pid = this.#process.pid;
    this.#writer = this.#process.stdin.getWriter();
    this.#watch(options.onLog);
  }

  post(message: ToProgram): void {
    this.#add(KIND_CONTROL, serialize(message));
  }

  send(message: Uint8Array): void {
    this.#add(KIND_MESSAGE, message);
  }

  /** Also tells a child that does not get to reading. */
  interrupt(): void {
    this.#signal("SIGTERM");
  }

  /** It has sent its last message and should exit by itself. */
  release(): void {
    const timer = this.#runtime.setTimer(
      RELEASE_MS,
      () => this.#signal("SIGKILL"),
    );
    this.#child.onExit(() => this.#runtime.clearTimer(timer));
  }

  end(): void {
    this.#signal("SIGKILL");
  }

  #add(kind: number, payload: Uint8Array): void {
    if (this.#broken) return;
    this.#batch.add(kind, payload);
    if (this.#batch.length > this.#unreadBytesMax) return this.#child.kill();
    if (this.#writing) return;
    this.#writing = true;
    this.#runtime.defer(() => this.#flush());
  }

  /** Writes until nothing is left; messages added meanwhile go into the next write. */
  async #flush(): Promise<void> {
    try {
      while (this.#batch.length > 0) {
        await this.#writer.write(this.#batch.take());
      }
      this.#writing = false;
    } catch {
      // The child is gone. Its exit status tells how it ended, not the pipe.
      this.#broken = true;
    }
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch (error) {
      // It has ended already, so the signal is not needed.
      if (
        !(error instanceof TypeError || error instanceof Deno.errors.NotFound)
      ) throw error;
    }
  }

  /** Reads its messages until it has ended and all have been read. */
  async #watch(onLog: ((line: string) => void) | undefined): Promise<void> {
    const outputs = [this.#process.stdout.getReader()];
    const reading = [this.#readMessages(outputs[0]!)];
    if (onLog !== undefined) {
      const stderr = this.#process.stderr.getReader();
      outputs.push(stderr);
      reading.push(readLines(stderr, onLog));
    }
    const status = await this.#process.status;
    // A grandchild may hold the pipes open; it is not awaited.
    const timer = this.#runtime.setTimer(RELEASE_MS, () => {
      for (const output of outputs) output.cancel();
    });
    await Promise.all(reading);
    this.#runtime.clearTimer(timer);
    this.#broken = true;
    // Rejects when the pipe is broken, which closes it as well.
    await this.#writer.abort().catch(() => undefined);
    this.#child.closed(this.#observed(status));
  }

  async #readMessages(
    output: ReadableStreamDefaultReader<Uint8Array>,
  ): Promise<void> {
    const reader = new MessageReader((kind, payload) => {
      if (kind === KIND_MESSAGE) this.#child.message(payload);
      else this.#child.control(readControl(payload));
    });
    for (;;) {
      const { value, done } = await output.read();
      if (done) return;
      try {
        reader.push(value);
      } catch (error) {
        // An error of a message handler must not be swallowed.
        if (!(error instanceof BrokenStreamError)) throw error;
        // Something in the child wrote to the pipe behind our back.
        this.#child.kill();
        await output.cancel();
        return;
      }
    }
  }

  #observed(status: Deno.CommandStatus): ExitReason {
    const { code, signal } = status;
    if (signal === "SIGKILL") return "killed";
    if (signal === "SIGTERM" && this.#child.asked !== undefined) {
      return this.#child.asked;
    }
    if (signal === null && code === 0) return "normal";
    const message = signal === null
      ? `Subprocess exited with code ${code}`
      : `Subprocess was ended by ${signal}`;
    const details = signal === null ? { code } : { signal };
    return {
      type: "crash",
      error: { name: "SubprocessExit", message, details },
    };
  }
}

function readControl(payload: Message): FromProgram {
  try {
    return deserialize(payload);
  } catch (cause) {
    throw new BrokenStreamError("Cannot read order", { cause });
  }
}

async function readLines(
  output: ReadableStreamDefaultReader<Uint8Array>,
  onLog: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await output.read();
    if (done) break;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLog(line);
    if (rest.length > LOG_LINE_BYTES_MAX) {
      onLog(rest);
      rest = "";
    }
  }
  if (rest !== "") onLog(rest);
}
