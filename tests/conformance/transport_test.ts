/**
 * What every transport promises: the same cases run over TCP and over memory.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import type { ByteStream, Transport } from "../../src/environment/transport.ts";
import { parseAddress } from "../../src/transport/address.ts";
import { MemoryNetwork } from "../../src/transport/memory_transport.ts";
import { tcpTransport } from "../../src/transport/tcp_transport.ts";
import { systemRuntime as runtime } from "../../supervisors/runtime.ts";

const KINDS: {
  name: string;
  here: string;
  nobody: string;
  create: () => Transport;
}[] = [
  {
    name: "TCP",
    here: "127.0.0.1:0",
    nobody: "127.0.0.1:1",
    create: () => tcpTransport({ runtime, log: silentLog }),
  },
  {
    name: "TCP over IPv6",
    here: "[::1]:0",
    nobody: "[::1]:1",
    create: () => tcpTransport({ runtime, log: silentLog }),
  },
  {
    name: "memory",
    here: "here:0",
    nobody: "here:1",
    create: () => new MemoryNetwork(runtime).transport("here"),
  },
];

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
  kind: (typeof KINDS)[number],
  use: (near: ByteStream, far: ByteStream) => Promise<void>,
): Promise<void> {
  const transport = kind.create();
  const accepted = Promise.withResolvers<ByteStream>();
  await using listener = await transport.listen(kind.here, accepted.resolve);
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
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test({
      name: `transport over ${kind.name} ${name}`,
      ignore: kind.here.startsWith("[") && !hasIpv6(),
      fn: body,
    });

  test("carries bytes in order, both ways at once", () =>
    withPair(kind, async (near, far) => {
      const [there, back] = await Promise.all([
        readBytes(far, 10),
        readBytes(near, 5),
        near.write(bytesOf("01234")).then(() => near.write(bytesOf("56789"))),
        far.write(bytesOf("abcde")),
      ]);
      assertEquals([text(there), text(back)], ["0123456789", "abcde"]);
    }));

  test("tells each end an address", () =>
    withPair(kind, (near, far) => {
      assert(parseAddress(near.remoteAddress).port > 0);
      assert(parseAddress(far.remoteAddress).port > 0);
      return Promise.resolve();
    }));

  test("makes a writer wait for a reader who does not read, and loses nothing", () =>
    withPair(kind, async (near, far) => {
      const piece = new Uint8Array(1024 * 1024);
      for (let i = 0; i < piece.length; i++) piece[i] = i % 251;
      const pieces = 16;
      let taken = 0;
      const writing = (async () => {
        for (; taken < pieces; taken++) await near.write(piece);
      })();
      // As many turns as it would take if nothing held it back.
      for (let turn = 0; turn < 10 * pieces; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      assert(taken < pieces, `${taken} MiB were taken with nobody reading`);
      for (let i = 0; i < pieces; i++) {
        assertEquals(await readBytes(far, piece.length), piece);
      }
      await writing;
    }));

  test("delivers what was written before a close, then the end", () =>
    withPair(kind, async (near, far) => {
      await near.write(bytesOf("last words"));
      near.close();
      assertEquals(text(await readBytes(far, 10)), "last words");
      assertEquals(await far.read(new Uint8Array(1)), null);
      assertEquals(await far.read(new Uint8Array(1)), null);
    }));

  test("fails a read that waits when its own end closes", () =>
    withPair(kind, async (near) => {
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

  test("fails a write that waits when its own end closes", () =>
    withPair(kind, async (near) => {
      const writing = assertRejects(async () => {
        for (;;) await near.write(new Uint8Array(4 * 1024 * 1024));
      }, WhorlError);
      await new Promise((resolve) => setTimeout(resolve, 0));
      near.close();
      assertEquals((await writing).code, "connection_closed");
    }));

  test("fails writes after the other end has closed", () =>
    withPair(kind, async (near, far) => {
      far.close();
      const error = await assertRejects(async () => {
        for (;;) await near.write(new Uint8Array(64 * 1024));
      }, WhorlError);
      assertEquals(error.code, "connection_closed");
    }));

  test("fails to connect where nobody listens, naming the address", async () => {
    const error = await assertRejects(
      () => kind.create().connect(kind.nobody),
      WhorlError,
      kind.nobody,
    );
    assertEquals(error.code, "not_reachable");
  });

  test("fails to connect when the signal has fired", async () => {
    const transport = kind.create();
    await using listener = await transport.listen(
      kind.here,
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

  test("refuses an address that is listened on, naming it", async () => {
    const transport = kind.create();
    await using listener = await transport.listen(kind.here, () => {});
    const error = await assertRejects(
      () => transport.listen(listener.address, () => {}),
      WhorlError,
      listener.address,
    );
    assertEquals(error.code, "address_in_use");
  });

  test("can listen again on an address that was closed", async () => {
    const transport = kind.create();
    const first = await transport.listen(kind.here, () => {});
    await first[Symbol.asyncDispose]();
    await using again = await transport.listen(first.address, () => {});
    assertEquals(again.address, first.address);
  });

  test("keeps accepted streams when the listener closes", async () => {
    const transport = kind.create();
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await transport.listen(kind.here, accepted.resolve);
    const near = await transport.connect(listener.address);
    const far = await accepted.promise;
    await listener[Symbol.asyncDispose]();
    await near.write(bytesOf("still"));
    assertEquals(text(await readBytes(far, 5)), "still");
    near.close();
    far.close();
    await assertRejects(() => transport.connect(listener.address), WhorlError);
  });

  test("refuses an address that is none", async () => {
    for (const address of ["", "host", "host:", ":1", "a:b", "a:65536"]) {
      const listening = await assertRejects(
        () => kind.create().listen(address, () => {}),
        WhorlError,
      );
      const connecting = await assertRejects(
        () => kind.create().connect(address),
        WhorlError,
      );
      assertEquals(
        [listening.code, connecting.code],
        ["invalid_argument", "invalid_argument"],
      );
    }
  });
}
