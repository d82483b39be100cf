/**
 * A node in a process of its own, over TCP: the parent's side of
 * `node_process.ts`.
 *
 * @module
 */
import type { Address } from "../../src/environment/transport.ts";
import type { KvClient } from "../../src/kv/kv_client.ts";
import { connect, type WhorlClient } from "../../src/node/connect.ts";
import { coverageLater } from "../../src/request/coverage_client.ts";
import { EventLog } from "./event_log.ts";
import { LineTail } from "./line_log.ts";
import {
  failureOf,
  type FromNodeProcess,
  type ToNodeProcess,
} from "./process_wire.ts";
import {
  type NodeControl,
  nodeControl,
  type PlainNodeOptions,
  type TestNode,
} from "./test_node.ts";
import { textLines } from "./text_lines.ts";

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** How the process of a node is run, where a test has something to add. */
export interface ProcessLaunch {
  /** Words before the program, such as a command that runs it elsewhere. @default {none} */
  readonly prefix?: readonly string[];
  /** Variables besides the test's own. @default {none} */
  readonly env?: Readonly<Record<string, string>>;
  /** The program, of this tree or of another one. @default {`node_process.ts` beside this file} */
  readonly script?: string;
  /** Told the id of each process that is started. */
  readonly onStart?: (pid: number) => void;
  /** Takes each line it logs, besides the tail that `log` returns. */
  readonly onLine?: (line: string) => void;
}

const encoder = new TextEncoder();
const SCRIPT = new URL("node_process.ts", import.meta.url).pathname;

/** One life of the process. */
class Life {
  readonly up = Promise.withResolvers<Address>();
  /** Resolves when the process has ended and everything it wrote has been read. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly child: Deno.ChildProcess;
  #pending = new Map<number, Pending>();
  #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #next = 1;
  #events: EventLog;
  #name: string;

  constructor(
    options: PlainNodeOptions,
    events: EventLog,
    lines: LineTail,
    launch: ProcessLaunch,
  ) {
    this.#events = events;
    this.#name = options.name;
    const words = [...launch.prefix ?? [], Deno.execPath()];
    this.child = new Deno.Command(words[0] as string, {
      args: [
        ...words.slice(1),
        "run",
        "-A",
        "--unstable-kv",
        "--no-lock",
        "--quiet",
        launch.script ?? SCRIPT,
        JSON.stringify(options),
      ],
      ...(launch.env === undefined ? {} : { env: { ...launch.env } }),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    launch.onStart?.(this.child.pid);
    this.#writer = this.child.stdin.getWriter();
    // A process that was never up leaves nobody waiting for it.
    this.up.promise.catch(() => {});
    this.ended = this.#watch((line) => {
      lines.add(line);
      launch.onLine?.(line);
    });
  }

  async #watch(onLine: (line: string) => void): Promise<Deno.CommandStatus> {
    const [status] = await Promise.all([
      this.child.status,
      this.#read(),
      (async () => {
        for await (const line of textLines(this.child.stderr)) onLine(line);
      })(),
    ]);
    // Nobody reads at the other end; there is nothing to lose.
    await this.#writer.abort().catch(() => {});
    const end = `${this.#name} has ended: ${status.signal ?? status.code}`;
    onLine(end);
    const error = new Error(end);
    this.up.reject(error);
    for (const { reject } of this.#pending.values()) reject(error);
    return status;
  }

  async #read(): Promise<void> {
    for await (const line of textLines(this.child.stdout)) {
      const message = JSON.parse(line) as FromNodeProcess;
      switch (message.type) {
        case "up":
          this.up.resolve(message.address);
          break;
        case "not_started":
          this.up.reject(failureOf(message.failure));
          break;
        case "answer":
          this.#take(message.id)?.resolve(message.value);
          break;
        case "failure":
          this.#take(message.id)?.reject(failureOf(message.failure));
          break;
        case "event":
          this.#events.record(message.event);
          break;
      }
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  tell(message: ToNodeProcess): Promise<void> {
    return this.#writer.write(encoder.encode(`${JSON.stringify(message)}\n`));
  }

  call(method: keyof NodeControl, args: readonly unknown[]): Promise<unknown> {
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    this.tell({ type: "call", id, method, args }).catch(reject);
    return promise;
  }
}

/** A node in a process of its own. */
export class ProcessNode implements TestNode {
  readonly name: string;
  readonly control: NodeControl;
  readonly kv: KvClient;
  readonly events: EventLog;
  readonly inside = undefined;
  #options: PlainNodeOptions;
  #launch: ProcessLaunch;
  #life: Life | undefined;
  #address: Address | undefined;
  #client: Promise<WhorlClient> | undefined;
  #lines = new LineTail();

  constructor(options: PlainNodeOptions, launch: ProcessLaunch = {}) {
    this.#options = options;
    this.#launch = launch;
    this.name = options.name;
    this.events = new EventLog(options.name);
    this.control = nodeControl((method, args) =>
      this.#running.call(method, args)
    );
    this.kv = {
      get: async (...args) => (await this.client()).kv.get(...args),
      put: async (...args) => (await this.client()).kv.put(...args),
      delete: async (...args) => (await this.client()).kv.delete(...args),
      keys: (...args) =>
        coverageLater(async () => (await this.client()).kv.keys(...args)),
    };
  }

  get #running(): Life {
    if (this.#life === undefined) throw new Error(`${this.name} does not run`);
    return this.#life;
  }

  /** A client of it alone, over TCP; of no use any more once it has ended. @throws {Error} If it does not run. */
  client(): Promise<WhorlClient> {
    if (!this.running) throw new Error(`${this.name} does not run`);
    if (this.#client === undefined) {
      const client = connect({
        nodes: [this.address],
        cookie: this.#options.cookie,
      });
      this.#client = client;
      client.catch(() => {
        // The next one who asks tries anew.
        if (this.#client === client) this.#client = undefined;
      });
    }
    return this.#client;
  }

  get running(): boolean {
    return this.#life !== undefined;
  }

  /** The operating system's id. */
  get pid(): number {
    return this.#running.child.pid;
  }

  get address(): Address {
    return this.#address ?? this.#options.listen ?? "127.0.0.1:0";
  }

  async start(changes: Partial<PlainNodeOptions> = {}): Promise<void> {
    const life = new Life(
      { ...this.#options, listen: this.address, ...changes },
      this.events,
      this.#lines,
      this.#launch,
    );
    this.#life = life;
    try {
      this.#address = await life.up.promise;
    } catch (error) {
      this.#life = undefined;
      await life.ended;
      throw error;
    }
  }

  /** Resolves when the process has ended by itself. */
  async ended(): Promise<Deno.CommandStatus> {
    const life = this.#running;
    const status = await life.ended;
    // It may have been started again since.
    if (this.#life === life) {
      this.#life = undefined;
      await this.#disconnect();
    }
    return status;
  }

  async stop(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    await this.#disconnect();
    if (life === undefined) return;
    await life.tell({ type: "stop" });
    const { code, signal } = await life.ended;
    if (code !== 0) {
      throw new Error(`${this.name} ended with ${signal ?? code}`);
    }
  }

  async kill(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    if (life === undefined) return;
    try {
      life.child.kill("SIGKILL");
    } catch (error) {
      const { code, signal } = await life.ended;
      throw new Error(
        `${this.name} had ended by itself: ${signal ?? code}\n${this.log()}`,
        { cause: error },
      );
    }
    await life.ended;
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await (await client?.catch(() => undefined))?.close();
  }

  pause(): void {
    this.#running.child.kill("SIGSTOP");
  }

  resume(): void {
    this.#running.child.kill("SIGCONT");
  }

  log(): string {
    return `${this.#lines}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
