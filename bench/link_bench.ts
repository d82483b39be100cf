/**
 * How fast one link carries small questions and answers: two processes on
 * loopback, 100-byte payloads, a fixed number of questions under way. Each
 * iteration is one question and its answer.
 *
 *     deno bench -A bench/link_bench.ts
 *     deno run -A bench/link_bench.ts rates     frames per second, by window
 *
 * The child process is this same file, run with `echo`.
 *
 * @module
 */
import { systemRuntime } from "../supervisors/runtime.ts";
import { silentLog } from "../src/environment/log.ts";
import { openClientLink } from "../src/transport/client_link.ts";
import { Cookie } from "../src/transport/cookie.ts";
import type { Link } from "../src/transport/link.ts";
import { PeerLinks } from "../src/transport/peer_links.ts";
import { tcpTransport } from "../src/transport/tcp_transport.ts";
import { FrameType } from "../src/wire/frame_type.ts";

const runtime = systemRuntime;
const transport = tcpTransport({ runtime, log: silentLog });
const cookie = new Cookie("bench");
const secretBytes = (count: number): Uint8Array =>
  crypto.getRandomValues(new Uint8Array(count));
const payload = new Uint8Array(100).fill(7);

/** Answers every question with its own payload, until its input ends. */
async function echo(): Promise<void> {
  await using links = new PeerLinks({
    runtime,
    log: silentLog,
    transport,
    secretBytes,
    cookie,
    identity: { name: "echo", nodeId: "echo", incarnation: 1, cluster: "" },
    knownIdentity: () => undefined,
    events: {
      onUp() {},
      onDown() {},
      onSuspect() {},
      onAlive() {},
      onClientUp() {},
      onClientDown() {},
      onBulkUp() {},
      onBulkDown() {},
      onFrame(link, _type, _flags, correlation, bytes, start, end) {
        link.begin(FrameType.operationReply, correlation)
          .raw(bytes.subarray(start, end));
        link.end();
      },
    },
  });
  const address = await links.listen("127.0.0.1:0");
  await Deno.stdout.write(new TextEncoder().encode(`${address}\n`));
  // The parent's death closes this too.
  await Deno.stdin.read(new Uint8Array(1));
}

/** A link to a fresh echo process; closing it ends the process. */
class Asker implements AsyncDisposable {
  #left = 0;
  #underWay = 0;
  #window = 1;
  #done: () => void = () => {};
  #link!: Link;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<Asker> {
    const asker = new Asker(
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", new URL(import.meta.url).pathname, "echo"],
        stdin: "piped",
        stdout: "piped",
      }).spawn(),
    );
    const reader = asker.#child.stdout.getReader();
    const address = new TextDecoder().decode((await reader.read()).value)
      .trim();
    await reader.cancel();
    asker.#link = await openClientLink({
      runtime,
      log: silentLog,
      transport,
      secretBytes,
      address,
      cookie,
      handler: {
        onFrame: () => {
          asker.#underWay--;
          if (--asker.#left === 0) asker.#done();
          else asker.#fill();
        },
        onClosed() {},
      },
    });
    return asker;
  }

  /** Asks `count` questions, `window` at a time. */
  ask(count: number, window: number): Promise<void> {
    this.#left = count;
    this.#window = window;
    return new Promise((resolve) => {
      this.#done = resolve;
      this.#fill();
    });
  }

  #fill(): void {
    while (this.#underWay < this.#window && this.#underWay < this.#left) {
      this.#link.begin(FrameType.operation, this.#left).raw(payload);
      this.#link.end();
      this.#underWay++;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#link.close();
    await this.#link.finished;
    await this.#child.stdin.close();
    await this.#child.status;
  }
}

async function rates(): Promise<void> {
  await using asker = await Asker.start();
  for (const window of [1, 16, 64, 256]) {
    const count = window === 1 ? 20_000 : 400_000;
    await asker.ask(count, window);
    const startedMs = performance.now();
    await asker.ask(count, window);
    const seconds = (performance.now() - startedMs) / 1000;
    const line = `window ${window}: ${
      Math.round(count / seconds)
    } questions/s, ${Math.round(2 * count / seconds)} frames/s\n`;
    await Deno.stdout.write(new TextEncoder().encode(line));
  }
}

if (Deno.args[0] === "echo") await echo();
else if (Deno.args[0] === "rates") await rates();
else {
  let asker: Asker | undefined;
  for (const window of [1, 64, 256]) {
    Deno.bench({
      name: `100 questions over one link, window ${window}`,
      group: "link",
      baseline: window === 1,
      async fn(bench) {
        asker ??= await Asker.start();
        bench.start();
        await asker.ask(100, window);
        bench.end();
      },
    });
  }
  // The event loop ends when nothing is left to run; the child ends with its input.
  globalThis.addEventListener(
    "unload",
    () => void asker?.[Symbol.asyncDispose](),
  );
}
