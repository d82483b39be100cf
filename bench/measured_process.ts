/**
 * A node process that is measured: started, told what to do by lines of JSON on
 * its standard input, and answering each with one on its standard output.
 *
 * @module
 */
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";
import type { NodeOptions } from "../mod.ts";

/** How long a node may take to end in order, in milliseconds. */
const STOP_MS_MAX = 10_000;

/** See the module comment. Disposing ends it. */
export class MeasuredProcess implements AsyncDisposable {
  readonly pid: number;
  address = "";
  startMs = 0;
  #process: Deno.ChildProcess;
  #lines: ReadableStreamDefaultReader<string>;
  #input: WritableStreamDefaultWriter<Uint8Array>;

  /**
   * @param script What runs: it gets `options` as JSON, and says where it listens once it is up.
   * @param flags Flags of Deno, besides permissions.
   */
  constructor(
    script: URL,
    options: Omit<NodeOptions, "environment" | "modules"> & {
      readonly modules?: readonly { readonly url: string }[];
    },
    flags: readonly string[] = [],
  ) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--unstable-kv",
        "--allow-net=127.0.0.1",
        "--allow-read",
        "--allow-write",
        "--allow-env",
        "--allow-sys",
        "--allow-run",
        ...flags,
        script.pathname,
        JSON.stringify(options),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.pid = this.#process.pid;
    this.#input = this.#process.stdin.getWriter();
    this.#lines = this.#process.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(
        new TextLineStream() as unknown as TransformStream<string, string>,
      ).getReader();
  }

  /** The next line it says. */
  async answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.read();
    if (done) throw new Error("A node process ended");
    return JSON.parse(value);
  }

  /** Waits until it is up. */
  async up(): Promise<void> {
    const { address, startMs } = await this.answer<
      { address: string; startMs: number }
    >();
    this.address = address;
    this.startMs = startMs;
  }

  /** Tells it to do something and waits for the answer. */
  async order<T>(order: unknown): Promise<T> {
    await this.#input.write(
      new TextEncoder().encode(JSON.stringify(order) + "\n"),
    );
    return await this.answer<T>();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    const timer = setTimeout(
      () => this.#process.kill("SIGKILL"),
      STOP_MS_MAX,
    );
    await this.#process.status;
    clearTimeout(timer);
    await this.#lines.cancel().catch(() => {});
  }
}
