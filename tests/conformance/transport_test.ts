/**
 * What every transport promises: the same cases run over TCP, over memory, and
 * over the simulated network in good and in bad weather.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { seededChance } from "../../src/base/chance.ts";
import { silentLog } from "../../src/environment/log.ts";
import type { ByteStream, Transport } from "../../src/environment/transport.ts";
import { parseAddress } from "../../src/transport/address.ts";
import { SimulatedNetwork } from "../../src/simulation/network/simulated_network.ts";
import { SimulatedProcess } from "../../src/simulation/simulated_process.ts";
import { Trace } from "../../src/simulation/trace/trace.ts";
import { VirtualTime } from "../../src/simulation/virtual_time.ts";
import { MemoryNetwork } from "../../src/transport/memory_transport.ts";
import { tcpTransport } from "../../src/transport/tcp_transport.ts";
import { systemRuntime as runtime } from "../../supervisors/runtime.ts";

/** A transport and the time it lives in. */
interface World {
  readonly transport: Transport;
  /** Where to listen, on a port that is free. */
  readonly here: string;
  /** Where nobody listens. */
  readonly nobody: string;
  /** Resolves when everything that can happen at once has happened. */
  turn(): Promise<void>;
  /** Lets time pass until `body` is done. */
  run(body: () => Promise<void>): Promise<void>;
}

const KINDS: { name: string; create: () => World; needsIpv6?: true }[] = [
  {
    name: "TCP",
    create: () =>
      realWorld(tcpTransport({ runtime, log: silentLog }), "127.0.0.1"),
  },
  {
    name: "TCP over IPv6",
    create: () => realWorld(tcpTransport({ runtime, log: silentLog }), "[::1]"),
    needsIpv6: true,
  },
  {
    name: "memory",
    create: () =>
      realWorld(new MemoryNetwork(runtime).transport("here"), "here"),
  },
  {
    name: "a simulated host",
    create: () => simulatedWorld("here", "here", 0),
  },
  {
    name: "a simulated network",
    create: () => simulatedWorld("here", "there", 0),
  },
  {
    name: "a simulated network in bad weather",
    create: () => simulatedWorld("here", "there", 0.1),
  },
];

function realWorld(transport: Transport, host: string): World {
  return {
    transport,
    here: `${host}:0`,
    nobody: `${host}:1`,
    turn: () => new Promise((resolve) => setTimeout(resolve, 0)),
    run: (body) => body(),
  };
}

/** Connects from a process on one host to one on the other, or the same; `trouble` befalls that part of the segments. */
function simulatedWorld(from: string, to: string, trouble: number): World {
  const time = new VirtualTime();
  const network = new SimulatedNetwork({
    time,
    chance: seededChance("conformance"),
    trace: new Trace(false, () => time.now()),
    weather: {
      delayMsMin: 0.1,
      delayMsMax: 2,
      lossProbability: trouble,
      repeatProbability: trouble,
      reorderProbability: trouble,
    },
  });
  const dialer = new SimulatedProcess(from, time, seededChance("dialer"));
  const server = new SimulatedProcess(to, time, seededChance("server"));
  const { connect } = network.transport(from, dialer);
  const { listen } = network.transport(to, server);
  return {
    transport: { connect, listen },
    here: `${to}:0`,
    nobody: `${to}:1`,
    turn: () =>
      new Promise((resolve) => void dialer.setTimer(1, () => resolve())),
    async run(body) {
      let over = false;
      const running = body().finally(() => over = true);
      // Awaited below; until then a failure is nobody's unhandled rejection.
      running.catch(() => {});
      assertEquals(await time.run(600_000, () => over), "done");
      await running;
      // Whatever is still on its way.
      assertEquals(await time.run(3_600_000), "nothing_left");
      const { openStreams, connections, listeners } = network.counts();
      assertEquals([openStreams, connections, listeners], [0, 0, 0]);
    },
  };
}

/** Containers often have no IPv6, which is no fault of the transport. */
function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch (error) {
    assert(error instanceof Error);
    return false;
  }
}

/** Two ends of one stream. */
async function withPair(
  world: World,
  use: (near: ByteStream, far: ByteStream) => Promise<void>,
): Promise<void> {
  const { transport, here } = world;
  const accepted = Promise.withResolvers<ByteStream>();
  await using listener = await transport.listen(here, accepted.resolve);
  const near = await transport.connect(listener.address);
  const far = await accepted.promise;
  try {
    await use(near, far);
  } finally {
    near.close();
    far.close();
  }
}

/** Reads until `count` bytes or the end have come. */
async function readBytes(
  stream: ByteStream,
  count: number,
): Promise<Uint8Array> {
  const all = new Uint8Array(count);
  let at = 0;
  while (at < count) {
    const read = await stream.read(all.subarray(at));
    if (read === null) break;
    assert(read > 0, "a read brings at least one byte");
    at += read;
  }
  return all.subarray(0, at);
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (text: string) => new TextEncoder().encode(text);

for (const kind of KINDS) {
  const test = (name: string, body: (world: World) => Promise<void>) =>
    Deno.test({
      name: `transport over ${kind.name} ${name}`,
      ignore: kind.needsIpv6 === true && !hasIpv6(),
      fn: () => {
        const world = kind.create();
        return world.run(() => body(world));
      },
    });

  test("carries bytes in order, both ways at once", (world) =>
    withPair(world, async (near, far) => {
      const [there, back] = await Promise.all([
        readBytes(far, 10),
        readBytes(near, 5),
        near.write(bytesOf("01234")).then(() => near.write(bytesOf("56789"))),
        far.write(bytesOf("abcde")),
      ]);
      assertEquals([text(there), text(back)], ["0123456789", "abcde"]);
    }));

  test("tells each end an address", (world) =>
    withPair(world, (near, far) => {
      assert(parseAddress(near.remoteAddress).port > 0);
      assert(parseAddress(far.remoteAddress).port > 0);
      return Promise.resolve();
    }));

  test("makes a writer wait for a reader who does not read, and loses nothing", (world) =>
    withPair(world, async (near, far) => {
      const piece = new Uint8Array(1024 * 1024);
      for (let i = 0; i < piece.length; i++) piece[i] = i % 251;
      const pieces = 16;
      let taken = 0;
      const writing = (async () => {
        for (; taken < pieces; taken++) await near.write(piece);
      })();
      // As many turns as it would take if nothing held it back.
      for (let turn = 0; turn < 10 * pieces; turn++) {
        await world.turn();
      }
      assert(taken < pieces, `${taken} MiB were taken with nobody reading`);
      for (let i = 0; i < pieces; i++) {
        assertEquals(await readBytes(far, piece.length), piece);
      }
      await writing;
    }));

  test("delivers what was written before a close, then the end", (world) =>
    withPair(world, async (near, far) => {
      await near.write(bytesOf("last words"));
      near.close();
      assertEquals(text(await readBytes(far, 10)), "last words");
      assertEquals(await far.read(new Uint8Array(1)), null);
      assertEquals(await far.read(new Uint8Array(1)), null);
    }));

  test("fails a read that waits when its own end closes", (world) =>
    withPair(world, async (near) => {
      const reading = assertRejects(
        () => near.read(new Uint8Array(1)),
        WhorlError,
        "closed here",
      );
      near.close();
      near.close();
      assertEquals((await reading).code, "connection_closed");
      await assertRejects(() => near.read(new Uint8Array(1)), WhorlError);
      await assertRejects(() => near.write(new Uint8Array(1)), WhorlError);
    }));

  test("fails a write that waits when its own end closes", (world) =>
    withPair(world, async (near) => {
      const writing = assertRejects(async () => {
        for (;;) await near.write(new Uint8Array(4 * 1024 * 1024));
      }, WhorlError);
      await world.turn();
      near.close();
      assertEquals((await writing).code, "connection_closed");
    }));

  test("fails writes after the other end has closed", (world) =>
    withPair(world, async (near, far) => {
      far.close();
      const error = await assertRejects(async () => {
        for (;;) await near.write(new Uint8Array(64 * 1024));
      }, WhorlError);
      assertEquals(error.code, "connection_closed");
    }));

  test("fails to connect where nobody listens, naming the address", async ({ transport, nobody }) => {
    const error = await assertRejects(
      () => transport.connect(nobody),
      WhorlError,
      nobody,
    );
    assertEquals(error.code, "not_reachable");
  });

  test("fails to connect when the signal has fired", async ({ transport, here }) => {
    await using listener = await transport.listen(
      here,
      (stream) => stream.close(),
    );
    const signal = AbortSignal.abort(new Error("changed my mind"));
    const error = await assertRejects(
      () => transport.connect(listener.address, { signal }),
      WhorlError,
      "changed my mind",
    );
    assertEquals(error.code, "not_reachable");
  });

  test("refuses an address that is listened on, naming it", async ({ transport, here }) => {
    await using listener = await transport.listen(here, () => {});
    const error = await assertRejects(
      () => transport.listen(listener.address, () => {}),
      WhorlError,
    );
    assertEquals(error.code, "address_in_use");
    assertEquals(
      error.message,
      `Cannot listen on ${listener.address} as the address is in use`,
    );
  });

  test("can listen again on an address that was closed", async ({ transport, here }) => {
    const first = await transport.listen(here, () => {});
    await first[Symbol.asyncDispose]();
    await using again = await transport.listen(first.address, () => {});
    assertEquals(again.address, first.address);
  });

  test("keeps accepted streams when the listener closes", async ({ transport, here }) => {
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await transport.listen(here, accepted.resolve);
    const near = await transport.connect(listener.address);
    const far = await accepted.promise;
    await listener[Symbol.asyncDispose]();
    await near.write(bytesOf("still"));
    assertEquals(text(await readBytes(far, 5)), "still");
    near.close();
    far.close();
    await assertRejects(() => transport.connect(listener.address), WhorlError);
  });

  test("refuses an address that is none", async ({ transport }) => {
    for (const address of ["", "host", "host:", ":1", "a:b", "a:65536"]) {
      const listening = await assertRejects(
        () => transport.listen(address, () => {}),
        WhorlError,
      );
      const connecting = await assertRejects(
        () => transport.connect(address),
        WhorlError,
      );
      assertEquals(
        [listening.code, connecting.code],
        ["invalid_argument", "invalid_argument"],
      );
    }
  });
}
