import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { silentLog } from "../environment/log.ts";
import type { ByteStream } from "../environment/transport.ts";
import { writeFrame } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { Cookie } from "./cookie.ts";
import { encodeHello, PROTOCOL_VERSIONS } from "./handshake_codec.ts";
import { failsWith, PeerWorld, pump } from "./testing/peer_world.ts";

Deno.test("PeerLinks refuses wrong cookies, clusters and versions, each with its own error code", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  await failsWith(
    "wrong_cookie",
    () =>
      world.node("x", { cookie: new Cookie("guess") }).links.connectTo("a:1"),
  );
  await failsWith("wrong_cluster", () =>
    world.node("y", {
      identity: { name: "y", nodeId: "y", incarnation: 1, cluster: "other" },
    }).links.connectTo("a:1"));
  const error = await failsWith(
    "wrong_version",
    () =>
      world.node("z", { versions: { min: 8, max: 9 } }).links.connectTo("a:1"),
  );
  assert(error.message.includes("8 to 9 here, 2 to 2 there"), error.message);
  await failsWith(
    "wrong_cookie",
    () => world.client("a:1", { cookie: new Cookie("guess") }),
  );
  await failsWith(
    "wrong_cluster",
    () => world.client("a:1", { cluster: "other" }),
  );
  await world.runtime.settle();
  assertEquals(a.history, []);
  assertEquals(a.links.counts().unauthenticated, 0);
});

Deno.test("PeerLinks serves clients, which notice when a node falls silent", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  const closes: string[] = [];
  const frames: string[] = [];
  const client = await world.client("a:1", {
    handler: {
      onFrame: (_link, type) => void frames.push(`${type}`),
      onClosed: (_link, closed) => void closes.push(closed.code),
    },
  });
  client.begin(FrameType.operation, 4).rawText("get");
  client.end();
  await world.runtime.settle();
  assertEquals(a.frames, [`client ${a.clients[0]!.peer.name} 70 0 4 get`]);
  a.clients[0]!.begin(FrameType.operationReply, 4);
  a.clients[0]!.end();
  await world.runtime.advance(60_000);
  assertEquals([frames, closes], [["71"], []]);
  assertEquals(client.peer.name, "a");
  world.network.stall("a", "client");
  await world.runtime.advance(4_000);
  assertEquals(closes, ["silent"]);
  assertEquals(a.news(), ["client up", "client down lost"]);
});

Deno.test("PeerLinks closes clients that no longer answer", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  const client = await world.client("a:1");
  world.network.stall("client", "a");
  client.closeSilent(0);
  await world.runtime.advance(20_000);
  assertEquals(a.news(), ["client up", "client down silent"]);
  assertEquals(a.links.counts().clients, 0);
});

Deno.test("PeerLinks refuses clients beyond its bound, and accepts them once there is room", async () => {
  await using world = new PeerWorld();
  const a = world.node("a", { limits: { clientsMax: 2 } });
  await a.listen();
  const first = await world.client("a:1");
  const second = await world.client("a:1");
  await failsWith("too_many_connections", () => world.client("a:1"));
  first.close();
  await world.runtime.settle();
  (await world.client("a:1")).close();
  second.close();
});

Deno.test("PeerLinks closes connections that send nothing or only a byte at a time", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  const transport = world.network.transport("stranger");
  const silent = await transport.connect("a:1");
  const dripping = await transport.connect("a:1");
  const frame = new ByteWriter();
  writeFrame(
    frame,
    FrameType.hello,
    0,
    encodeHello(
      PROTOCOL_VERSIONS,
      "client",
      { name: "x", nodeId: "x", incarnation: 0, cluster: "" },
      new Uint8Array(32),
    ),
  );
  const hello = frame.view();
  for (let i = 0; i < 14; i++) {
    await dripping.write(hello.slice(i, i + 1));
    await world.runtime.advance(200);
  }
  assertEquals(a.links.counts().unauthenticated, 2);
  await world.runtime.advance(400);
  assertEquals(a.links.counts().unauthenticated, 0);
  for (const stream of [silent, dripping]) {
    assertEquals(await stream.read(new Uint8Array(9)), null);
    stream.close();
  }
});

Deno.test("PeerLinks refuses large and invalid frames before the handshake and answers why", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  const frames = [
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    // One byte more than a stranger may send.
    Uint8Array.of(0, 0, 16, 1, 1),
    // A hello without the magic word.
    Uint8Array.of(0, 0, 0, 14, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
  ];
  for (const frame of frames) {
    const stream = await world.network.transport("stranger").connect("a:1");
    await stream.write(frame);
    const answer = new Uint8Array(64);
    const count = await stream.read(answer);
    assertEquals([count, answer[4], answer[14]], [19, FrameType.refused, 7]);
    stream.close();
    await world.runtime.settle();
  }
  assertEquals(a.links.counts().unauthenticated, 0);
});

Deno.test("PeerLinks bounds what connections before their handshake can write to its log", async () => {
  await using world = new PeerWorld();
  let warnings = 0;
  const a = world.node("a", {
    log: { ...silentLog, warn: () => void warnings++ },
  });
  await a.listen();
  const knock = async (times: number) => {
    for (let i = 0; i < times; i++) {
      await failsWith(
        "wrong_cookie",
        () => world.client("a:1", { cookie: new Cookie("guess") }),
      );
    }
    await world.runtime.settle();
  };
  await knock(50);
  assertEquals(warnings, 20);
  await world.runtime.advance(60_000);
  await knock(1);
  assertEquals(warnings, 21);
});

Deno.test("PeerLinks bounds connections before their handshake, in total and for each host", async () => {
  await using world = new PeerWorld();
  const a = world.node("a", {
    limits: { unauthenticatedMax: 5, unauthenticatedPerHostMax: 3 },
  });
  await a.listen();
  const streams: ByteStream[] = [];
  for (const host of ["x", "x", "x", "x", "y", "y", "z"]) {
    streams.push(await world.network.transport(host).connect("a:1"));
    await world.runtime.settle();
  }
  assertEquals(a.links.counts().unauthenticated, 5);
  // The fourth of x and the one of z are told, the rest wait.
  for (const index of [3, 6]) {
    const answer = new Uint8Array(64);
    assertEquals(await streams[index]!.read(answer), 19);
    assertEquals([answer[4], answer[14]], [FrameType.refused, 6]);
  }
  await failsWith("too_many_connections", () => world.client("a:1"));
  for (const stream of streams) stream.close();
  await world.runtime.settle();
  (await world.client("a:1")).close();
});

Deno.test("PeerLinks refuses a replayed handshake", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  const inner = world.network.transport("client");
  const recorded: Uint8Array<ArrayBuffer>[] = [];
  const client = await world.client("a:1", {
    transport: {
      ...inner,
      connect: async (address, options) => {
        const stream = await inner.connect(address, options);
        return {
          remoteAddress: stream.remoteAddress,
          read: (into) => stream.read(into),
          write: (bytes) => {
            recorded.push(bytes.slice());
            return stream.write(bytes);
          },
          close: () => stream.close(),
        };
      },
    },
  });
  assertEquals(recorded.length, 2, "a hello and a proof");
  const replay = await world.network.transport("thief").connect("a:1");
  const answer = new Uint8Array(1024);
  await replay.write(recorded[0]!);
  await replay.read(answer);
  assertEquals(answer[4], FrameType.challenge);
  await replay.write(recorded[1]!);
  await replay.read(answer);
  assertEquals([answer[4], answer[14]], [FrameType.refused, 3]);
  replay.close();
  client.close();
  await world.runtime.settle();
  assertEquals(a.history, ["client up", "client down goodbye"]);
});

Deno.test("PeerLinks refuses its own bytes reflected to it", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  // A thief in the middle joins a's outgoing connection to a's own door.
  const thief = world.network.transport("thief");
  const pumps: Promise<void>[] = [];
  await thief.listen("thief:1", async (stream) => {
    const door = await thief.connect("a:1");
    pumps.push(pump(stream, door, true), pump(door, stream, true));
  });
  await failsWith("self_connection", () => a.links.connectTo("thief:1"));
  await Promise.all(pumps);
  // And plainly: every byte straight back.
  await thief.listen("thief:2", (stream) => {
    pumps.push(pump(stream, stream, true));
  });
  await failsWith("protocol_error", () => a.links.connectTo("thief:2"));
  await Promise.all(pumps);
  assertEquals(a.history, []);
});
