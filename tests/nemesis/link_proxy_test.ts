/**
 * A proxy over real sockets: an echo behind it, and a client before it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import { formatAddress, parseAddress } from "../../src/transport/address.ts";
import { Lane } from "./lane.ts";
import { LinkProxy } from "./link_proxy.ts";

/** A server that keeps what it hears and says it again. */
class Echo implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #done: Promise<void>;
  accepted = 0;
  hungUp = 0;
  heard = "";

  constructor() {
    this.#done = this.#serve();
  }

  get address(): string {
    return formatAddress("127.0.0.1", this.#listener.addr.port);
  }

  async #serve(): Promise<void> {
    const served: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      this.accepted++;
      this.#open.add(connection);
      served.push(this.#echo(connection));
    }
    await Promise.all(served);
  }

  async #echo(connection: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const count = await connection.read(buffer).catch(() => null);
      if (count === null) break;
      this.heard += new TextDecoder().decode(buffer.subarray(0, count));
      await connection.write(buffer.subarray(0, count)).catch(() => 0);
    }
    this.hungUp++;
    if (this.#open.delete(connection)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) {
      this.#open.delete(connection);
      connection.close();
    }
    await this.#done;
  }
}

interface Scene {
  readonly proxy: LinkProxy;
  readonly echo: Echo;
  readonly forward: Lane;
  readonly backward: Lane;
  dial(): Promise<Deno.Conn>;
}

async function withProxy(play: (scene: Scene) => Promise<void>): Promise<void> {
  await using echo = new Echo();
  const forward = new Lane(seededChance("forward"));
  const backward = new Lane(seededChance("backward"));
  await using proxy = new LinkProxy({
    listen: "127.0.0.1:0",
    target: () => echo.address,
    forward,
    backward,
  });
  const dialled: Deno.Conn[] = [];
  const { host, port } = parseAddress(proxy.address);
  const dial = async (): Promise<Deno.Conn> => {
    const connection = await Deno.connect({ hostname: host, port });
    dialled.push(connection);
    return connection;
  };
  try {
    await play({ proxy, echo, forward, backward, dial });
  } finally {
    for (const connection of dialled) connection.close();
  }
}

const encoder = new TextEncoder();

async function say(connection: Deno.Conn, text: string): Promise<void> {
  await connection.write(encoder.encode(text));
}

/** The next `length` bytes as text, or what there was before the end. */
async function hear(connection: Deno.Conn, length: number): Promise<string> {
  const buffer = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const count = await connection.read(buffer.subarray(at)).catch(() => null);
    if (count === null) break;
    at += count;
  }
  return new TextDecoder().decode(buffer.subarray(0, at));
}

/** Resolves once `holds`, which something in flight will bring about. */
async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!holds()) {
    assert(performance.now() < deadline, `still not: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Long enough for bytes that are not held back to be there. */
function aWhile(ms = 150): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("LinkProxy hands bytes on both ways and an end as an end", () =>
  withProxy(async ({ proxy, echo, dial }) => {
    const connection = await dial();
    const text = "0123456789".repeat(30_000);
    const answer = hear(connection, text.length);
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) {
      at += await connection.write(bytes.subarray(at));
    }
    assertEquals(await answer, text);
    await connection.closeWrite();
    await until(() => echo.hungUp === 1 && proxy.connections === 0);
  }));

Deno.test("LinkProxy delays each direction by itself and keeps the order", () =>
  withProxy(async ({ forward, backward, dial }) => {
    const connection = await dial();
    await say(connection, "a");
    assertEquals(await hear(connection, 1), "a");
    forward.impose(forward, { delayMs: 60 });
    backward.impose(backward, { delayMs: 80, jitterMs: 40 });
    const startedAt = performance.now();
    for (const letter of "bcdefg") await say(connection, letter);
    assertEquals(await hear(connection, 6), "bcdefg");
    const tookMs = performance.now() - startedAt;
    assert(tookMs >= 139, `${tookMs} ms`);
    forward.lift(forward);
    backward.lift(backward);
    // As long as it is delayed no answer can come sooner.
    let againMs = Infinity;
    for (let tries = 0; againMs >= 139; tries++) {
      assert(tries < 100, "it is delayed on");
      const again = performance.now();
      await say(connection, "h");
      assertEquals(await hear(connection, 1), "h");
      againMs = performance.now() - again;
    }
  }));

Deno.test("LinkProxy holds one direction back while the other goes on", () =>
  withProxy(async ({ echo, forward, backward, dial }) => {
    const connection = await dial();
    await say(connection, "a");
    assertEquals(await hear(connection, 1), "a");
    backward.impose(backward, { blocked: true });
    await say(connection, "b");
    await until(() => echo.heard === "ab");
    const answer = hear(connection, 1);
    let heard = false;
    void answer.then(() => heard = true);
    await aWhile();
    assert(!heard, "the blocked direction let something through");
    backward.lift(backward);
    assertEquals(await answer, "b");

    forward.impose(forward, { blocked: true });
    await say(connection, "c");
    await aWhile();
    assertEquals(echo.heard, "ab");
    forward.lift(forward);
    assertEquals(await hear(connection, 1), "c");
  }));

Deno.test("LinkProxy hides an end, and a dial that was given up, behind a block", () =>
  withProxy(async ({ proxy, echo, forward, dial }) => {
    const first = await dial();
    await say(first, "a");
    assertEquals(await hear(first, 1), "a");
    forward.impose(forward, { blocked: true });
    await first.closeWrite();
    const second = await dial();
    await second.closeWrite();
    await until(() => proxy.connections === 2);
    await aWhile();
    assertEquals([echo.hungUp, echo.accepted], [0, 1]);
    forward.lift(forward);
    await until(() => echo.hungUp === 1 && proxy.connections === 0);
    assertEquals(echo.accepted, 1);
  }));

Deno.test("LinkProxy stalls and flows by turns", () =>
  withProxy(async ({ forward, dial }) => {
    const connection = await dial();
    await say(connection, "a");
    assertEquals(await hear(connection, 1), "a");
    const startedAt = performance.now();
    forward.impose(forward, { stallMs: 120, flowMs: 80 });
    await say(connection, "b");
    assertEquals(await hear(connection, 1), "b");
    const firstMs = performance.now() - startedAt;
    assert(firstMs >= 119, `${firstMs} ms`);
    forward.lift(forward);
  }));

Deno.test("LinkProxy lets so many bytes a second pass, and all the rest once it is lifted", () =>
  withProxy(async ({ echo, forward, dial }) => {
    const connection = await dial();
    forward.impose(forward, { bytesPerSecond: 10_000 });
    const startedAt = performance.now();
    await say(connection, "a".repeat(1_500));
    assertEquals((await hear(connection, 1_500)).length, 1_500);
    const firstMs = performance.now() - startedAt;
    assert(firstMs >= 149, `${firstMs} ms`);
    forward.impose(forward, { bytesPerSecond: 1 });
    await say(connection, "b".repeat(1_500));
    await aWhile();
    assertEquals(echo.heard.length, 1_500);
    forward.lift(forward);
    assertEquals((await hear(connection, 1_500)).length, 1_500);
  }));

Deno.test("LinkProxy holds back behind a block what was on its slow way before", () =>
  withProxy(async ({ echo, forward, dial }) => {
    const connection = await dial();
    forward.impose(forward, { bytesPerSecond: 5_000 });
    await say(connection, "a".repeat(1_500));
    await aWhile(100);
    const block = {};
    forward.impose(block, { blocked: true });
    await aWhile(400);
    assertEquals(echo.heard, "");
    forward.lift(block);
    assertEquals((await hear(connection, 1_500)).length, 1_500);
  }));

Deno.test("LinkProxy cuts both ends at once and takes new connections", () =>
  withProxy(async ({ proxy, echo, dial }) => {
    const connection = await dial();
    await say(connection, "a");
    assertEquals(await hear(connection, 1), "a");
    assertEquals(proxy.cut(), 1);
    assertEquals(await hear(connection, 1), "");
    await until(() => echo.hungUp === 1);
    const next = await dial();
    await say(next, "b");
    assertEquals(await hear(next, 1), "b");
  }));

Deno.test("LinkProxy flips single bits of what passes", () =>
  withProxy(async ({ echo, forward, dial }) => {
    const connection = await dial();
    forward.impose(forward, { corruptEveryBytes: 1 });
    const sent = "\0".repeat(1_000);
    await say(connection, sent);
    const heard = await hear(connection, sent.length);
    assertEquals(heard.length, sent.length);
    assertEquals(heard, echo.heard);
    const wrong = [...heard].filter((letter) => letter !== "\0");
    assertEquals(wrong.length, forward.bitsFlipped);
    assert(wrong.length > 0);
    forward.lift(forward);
    await say(connection, "fine");
    assertEquals(await hear(connection, 4), "fine");
  }));

Deno.test("LinkProxy ends what it holds when it is disposed of", async () => {
  await withProxy(async ({ forward, dial }) => {
    const connection = await dial();
    await say(connection, "a");
    assertEquals(await hear(connection, 1), "a");
    forward.impose(forward, { blocked: true, delayMs: 60_000 });
    await say(connection, "never");
    await dial();
  });
});

Deno.test("LinkProxy hangs up on who dials a node that does not run", async () => {
  const lane = (): Lane => new Lane(seededChance(1));
  await using proxy = new LinkProxy({
    listen: "127.0.0.1:0",
    target: () => undefined,
    forward: lane(),
    backward: lane(),
  });
  const { host, port } = parseAddress(proxy.address);
  using connection = await Deno.connect({ hostname: host, port });
  assertEquals(await hear(connection, 1), "");
});
