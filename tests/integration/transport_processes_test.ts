/**
 * What only real processes and a real kernel show: running out of file
 * descriptors, being stopped, being killed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import { openClientLink } from "../../src/transport/client_link.ts";
import { Cookie } from "../../src/transport/cookie.ts";
import { parseAddress } from "../../src/transport/address.ts";
import type { Link } from "../../src/transport/link.ts";
import { PeerLinks } from "../../src/transport/peer_links.ts";
import { tcpTransport } from "../../src/transport/tcp_transport.ts";
import { FrameType } from "../../src/wire/frame_type.ts";
import { systemRuntime as runtime } from "../../supervisors/runtime.ts";

const transport = tcpTransport({ runtime, log: silentLog });
const secretBytes = (count: number): Uint8Array =>
  crypto.getRandomValues(new Uint8Array(count));

/** A running `echo_node.ts`, killed at the end whatever happens. */
class EchoNode implements AsyncDisposable {
  ended = false;

  private constructor(
    readonly child: Deno.ChildProcess,
    readonly address: string,
    readonly status: Promise<Deno.CommandStatus>,
  ) {
    status.then(() => this.ended = true);
  }

  static async start(name: string, shell = ""): Promise<EchoNode> {
    const script = new URL("echo_node.ts", import.meta.url).pathname;
    const child = new Deno.Command("sh", {
      args: [
        "-c",
        `${shell} exec "$0" run -A --no-lock "$1" "$2"`,
        Deno.execPath(),
        script,
        name,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    const address = new TextDecoder().decode(value).trim();
    return new EchoNode(child, address, child.status);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended) this.child.kill("SIGKILL");
    await this.child.stdin.abort();
    await this.status;
  }
}

/** Asks `node` once and returns the answer. */
async function askOnce(
  node: { readonly address: string },
  question: string,
  cookie = "secret",
): Promise<string> {
  const answer = Promise.withResolvers<string>();
  const link: Link = await openClientLink({
    runtime,
    log: silentLog,
    transport,
    secretBytes,
    address: node.address,
    cookie: new Cookie(cookie),
    handler: {
      onFrame: (_link, _type, _flags, _correlation, bytes, start, end) =>
        answer.resolve(new TextDecoder().decode(bytes.slice(start, end))),
      onClosed: (_link, { code, message }) =>
        answer.reject(new Error(`${code}: ${message}`)),
    },
  });
  try {
    link.begin(FrameType.operation, 1).rawText(question);
    link.end();
    return await answer.promise;
  } finally {
    link.close();
    await link.finished;
  }
}

Deno.test("a node without file descriptors survives and serves afterwards", async () => {
  await using node = await EchoNode.start("few", "ulimit -n 64;");
  assertEquals(await askOnce(node, "before"), "before");
  const { host, port } = parseAddress(node.address);
  const flood: Deno.TcpConn[] = [];
  try {
    // The kernel takes them all; the node can accept no more than its limit.
    for (let i = 0; i < 200; i++) {
      flood.push(await Deno.connect({ hostname: host, port }));
    }
    const error = await assertRejects(() => askOnce(node, "now"), WhorlError);
    assert(
      ["handshake_failed", "not_reachable"].includes(error.code),
      error.message,
    );
    assert(!node.ended, "the flood has killed the node");
  } finally {
    for (const connection of flood) connection.close();
  }
  assertEquals(await askOnce(node, "after"), "after");
});

Deno.test("a stopped peer is suspected in under 3 s, a killed one noticed in under 1 s", async () => {
  await using node = await EchoNode.start("b");
  let waiting: { event: string; resolve: () => void } | undefined;
  const tell = (event: string) => {
    if (waiting?.event === event) waiting.resolve();
  };
  /** Milliseconds until `event` comes. */
  const until = async (event: string): Promise<number> => {
    const since = performance.now();
    await new Promise<void>((resolve) => waiting = { event, resolve });
    return performance.now() - since;
  };
  await using links = new PeerLinks({
    runtime,
    log: silentLog,
    transport,
    secretBytes,
    cookie: new Cookie("secret"),
    identity: { name: "a", nodeId: "id-a", incarnation: 1, cluster: "test" },
    knownIdentity: () => undefined,
    events: {
      onUp: () => tell("up"),
      onDown: () => tell("down"),
      onSuspect: () => tell("suspect"),
      onAlive: () => tell("alive"),
      onFrame() {},
      onClientUp() {},
      onClientDown() {},
      onBulkUp() {},
      onBulkDown() {},
    },
  });
  const up = until("up");
  links.setPeers(new Map([["b", node.address]]));
  await up;
  node.child.kill("SIGSTOP");
  const suspectedMs = await until("suspect");
  assert(
    suspectedMs > 1_000 && suspectedMs < 3_000,
    `suspected after ${suspectedMs} ms`,
  );
  const alive = until("alive");
  node.child.kill("SIGCONT");
  await alive;
  const down = until("down");
  node.child.kill("SIGKILL");
  const downMs = await down;
  assert(downMs < 1_000, `noticed after ${downMs} ms`);
});

Deno.test("a refusal over TCP reaches the refused peer, every time", async () => {
  await using node = await EchoNode.start("strict");
  for (let i = 0; i < 50; i++) {
    const error = await assertRejects(
      () => askOnce(node, "let me in", `guess ${i}`),
      WhorlError,
    );
    assertEquals(error.code, "wrong_cookie", error.message);
  }
  // One more than may wait at the door from one host: it is turned away while
  // its hello may still be under way, which resets the connection.
  const { host, port } = parseAddress(node.address);
  const silent: Deno.TcpConn[] = [];
  try {
    for (let i = 0; i < 128; i++) {
      silent.push(await Deno.connect({ hostname: host, port }));
    }
    for (let i = 0; i < 20; i++) {
      const error = await assertRejects(
        () => askOnce(node, "me too"),
        WhorlError,
      );
      assertEquals(error.code, "too_many_connections", error.message);
    }
  } finally {
    for (const connection of silent) connection.close();
  }
});
