import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { silentLog } from "../environment/log.ts";
import type { ByteStream, Transport } from "../environment/transport.ts";
import { FrameType } from "../wire/frame_type.ts";
import { failsWith, PeerWorld, pump } from "./testing/peer_world.ts";

Deno.test("PeerLinks connects two nodes that dial each other by one link", async () => {
  await using world = new PeerWorld();
  const [a, b, c] = await world.cluster("a", "b", "c");
  assertEquals(a!.news().sort(), ["up b 1", "up c 1"]);
  assertEquals(b!.news().sort(), ["up a 1", "up c 1"]);
  assertEquals(c!.news().sort(), ["up a 1", "up b 1"]);
  assertEquals(world.network.openStreams, 6, "three links, two ends each");
  assertEquals(
    a!.links.link("b")!.peer.linkId,
    b!.links.link("a")!.peer.linkId,
  );
});

Deno.test("PeerLinks carries frames of peers both ways", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  for (const [from, to] of [[a!, "b"], [b!, "a"]] as const) {
    const link = from.links.link(to)!;
    link.begin(FrameType.vnodeRequest, 9, 3).rawText(`to ${to}`);
    link.end();
  }
  await world.runtime.settle();
  assertEquals(a!.frames, ["peer b 50 3 9 to a"]);
  assertEquals(b!.frames, ["peer a 50 3 9 to b"]);
});

Deno.test("PeerLinks ends and counts a link that changes bytes, delivers none of them, and reconnects", async () => {
  for (const [at, mask] of [[2, 4], [5, 1], [20, 32]] as const) {
    await using world = new PeerWorld();
    let spoils = false;
    const spoiling: Transport = {
      listen: (address, accept) =>
        world.network.transport("a").listen(address, accept),
      connect: async (address, options) => {
        const stream = await world.network.transport("a")
          .connect(address, options);
        return {
          remoteAddress: stream.remoteAddress,
          read: (into) => stream.read(into),
          write: (bytes) => {
            const sent = bytes.slice();
            if (spoils) sent[at]! ^= mask;
            spoils = false;
            return stream.write(sent);
          },
          close: () => stream.close(),
        };
      },
    };
    const a = world.node("a", { transport: spoiling });
    const b = world.node("b");
    await b.listen();
    a.links.setPeers(new Map([["b", "b:1"]]));
    await world.runtime.settle();
    assertEquals(a.news(), ["up b 1"]);
    const link = a.links.link("b")!;
    spoils = true;
    for (const text of ["one", "two"]) {
      link.begin(FrameType.vnodeRequest, 1).rawText(text);
      link.end();
    }
    await world.runtime.settle();
    assertEquals(a.news(), ["down b goodbye"]);
    assertEquals(b.news(), ["up a 1", "down a protocol_error"]);
    assertEquals(b.frames, []);
    assertEquals(a.links.counts().badRecords, 0);
    assertEquals(b.links.counts().badRecords, 1);

    await world.runtime.advance(2_000);
    assertEquals(a.news(), ["up b 1"]);
    a.links.link("b")!.begin(FrameType.vnodeRequest, 2).rawText("again");
    a.links.link("b")!.end();
    await world.runtime.settle();
    assertEquals(b.frames, ["peer a 50 0 2 again"]);
  }
});

Deno.test("PeerLinks keeps one link however two connects cross", async () => {
  // Every order of steps that a seed brings, by delaying the two nodes' work.
  for (let seed = 0; seed < 40; seed++) {
    const chance = seededChance(seed);
    await using world = new PeerWorld();
    const delayed = (host: string): Transport => {
      const inner = world.network.transport(host);
      const slow = (stream: ByteStream): ByteStream => ({
        remoteAddress: stream.remoteAddress,
        read: async (into) => {
          const count = await stream.read(into);
          for (let i = chance.below(30); i > 0; i--) await Promise.resolve();
          return count;
        },
        write: async (bytes) => {
          for (let i = chance.below(30); i > 0; i--) await Promise.resolve();
          await stream.write(bytes);
        },
        close: () => stream.close(),
      });
      return {
        listen: (address, accept) =>
          inner.listen(address, (stream) => accept(slow(stream))),
        connect: async (address, options) =>
          slow(await inner.connect(address, options)),
      };
    };
    const [one, other] = chance.shuffle(["a", "b"]);
    const nodes = [one!, other!].map((name) =>
      world.node(name, { transport: delayed(name) })
    );
    for (const node of nodes) await node.listen();
    nodes[0]!.links.setPeers(new Map([[other!, `${other}:1`]]));
    for (let i = chance.below(120); i > 0; i--) await Promise.resolve();
    nodes[1]!.links.setPeers(new Map([[one!, `${one}:1`]]));
    await world.runtime.advance(1_500);
    const [first, second] = nodes;
    const link = first!.links.link(other!);
    if (link === undefined) throw new Error(`seed ${seed}: no link`);
    assertEquals(
      second!.links.link(one!)?.peer.linkId,
      link.peer.linkId,
      `seed ${seed}: the ends disagree`,
    );
    assertEquals(world.network.openStreams, 2, `seed ${seed}`);
    // It never came up twice, except where a race had to be settled after the fact.
    assert(first!.history.length <= 3, `seed ${seed}: ${first!.history}`);
  }
});

Deno.test("PeerLinks reports a lost connection at once, and reconnects", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  a!.news();
  b!.news();
  world.network.cut("a", "b");
  await world.runtime.settle();
  assertEquals(a!.news(), ["down b lost"]);
  assertEquals(b!.news(), ["down a lost"]);
  await world.runtime.advance(10_000);
  assertEquals(a!.news(), []);
  world.network.heal("a", "b");
  await world.runtime.advance(2_000);
  assertEquals(a!.news(), ["up b 1"]);
  assertEquals(b!.news(), ["up a 1"]);
});

Deno.test("PeerLinks waits longer after each failure, up to its bound", async () => {
  await using world = new PeerWorld();
  const attempts: number[] = [];
  const inner = world.network.transport("a");
  const a = world.node("a", {
    transport: {
      ...inner,
      connect: (address, options) => {
        attempts.push(world.runtime.now());
        return inner.connect(address, options);
      },
    },
  });
  a.links.setPeers(new Map([["b", "b:1"]]));
  await world.runtime.advance(12_000);
  const waits = attempts.slice(1).map((at, i) => at - attempts[i]!);
  // Chance, which may shorten them, is 0 here.
  assertEquals(waits, [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000]);
});

Deno.test("PeerLinks suspects a silent peer in under 3 s, closes at 5 s, and comes back", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  await world.runtime.advance(5_000);
  assertEquals([a!.news(), b!.news()], [["up b 1"], ["up a 1"]]);
  world.network.stall("b", "a");
  await world.runtime.advance(1_250);
  assertEquals(a!.news(), [], "a second's pause is no failure");
  await world.runtime.advance(1_500);
  assertEquals(a!.news(), ["suspect b"]);
  assert(a!.links.isSuspect("b"));
  assert(a!.links.phi("b")! > 8);
  await world.runtime.advance(3_000);
  assertEquals(a!.news(), ["down b silent"]);
  world.network.heal("a", "b");
  await world.runtime.advance(4_000);
  assertEquals(a!.news(), ["up b 1"]);
});

Deno.test("PeerLinks suspects a peer that does not answer, even if it sends other frames", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  // a's bytes no longer reach b, while b's pings still reach a.
  world.network.stall("a", "b");
  await world.runtime.advance(2_750);
  assertEquals(a!.news(), ["up b 1", "suspect b"]);
  assertEquals(b!.news(), ["up a 1", "suspect a"]);
});

Deno.test("PeerLinks withdraws a suspicion when the peer answers", async () => {
  await using world = new PeerWorld();
  const [a] = await world.cluster("a", "b");
  world.network.stall("b", "a");
  await world.runtime.advance(3_000);
  world.network.heal("a", "b");
  await world.runtime.settle();
  assertEquals(a!.news(), ["up b 1", "suspect b", "alive b"]);
  assert(!a!.links.isSuspect("b"));
});

Deno.test("PeerLinks refuses a name that is connected with another identity", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  const thief = world.node("b", { host: "elsewhere", nodeId: "thief" });
  const error = await failsWith(
    "name_taken",
    () => thief.links.connectTo("a:1"),
  );
  assert(error.message.includes("another node has this name"));
  assertEquals([a!.news(), b!.news()], [["up b 1"], ["up a 1"]]);
});

Deno.test("PeerLinks refuses a name recorded for another node, at whichever end the record is", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  const b = world.node("b");
  await a.listen();
  await b.listen();
  a.known.set("b", { nodeId: "the first b" });
  await failsWith("name_taken", () => b.links.connectTo("a:1"));
  await failsWith("name_taken", () => a.links.connectTo("b:1"));
  assertEquals([a.history, b.history], [[], []]);
});

Deno.test("PeerLinks replaces a link when a newer incarnation connects, and refuses an older one", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  a!.news();
  const restarted = world.node("b", { host: "b2", incarnation: 2 });
  await restarted.links.connectTo("a:1");
  await world.runtime.settle();
  assertEquals(a!.news(), ["down b closed", "up b 2"]);
  assertEquals(b!.news(), ["up a 1", "down a goodbye"]);
  const error = await failsWith("name_taken", () => b!.links.connectTo("a:1"));
  assert(error.message.includes("a newer process"));
  await world.runtime.advance(5_000);
  assertEquals(a!.links.link("b")!.peer.incarnation, 2);
  assertEquals(a!.news(), []);
});

Deno.test("PeerLinks accepts a peer whose end of the link broke, without waiting until the old link is silent", async () => {
  await using world = new PeerWorld();
  // a's connection to b runs through a proxy that loses b's half of it.
  const halves: ByteStream[] = [];
  const pumps: Promise<void>[] = [];
  const proxy = world.network.transport("proxy");
  await proxy.listen("proxy:1", async (near) => {
    const far = await proxy.connect("b:1");
    halves.push(near, far);
    pumps.push(pump(near, far, false), pump(far, near, false));
  });
  const a = world.node("a", {
    addressOverrides: new Map([["b", "proxy:1"]]),
  });
  const b = world.node("b");
  await a.listen();
  await b.listen();
  a.links.setPeers(new Map([["b", "b:1"]]));
  await world.runtime.settle();
  const before = a.links.link("b")!.peer.linkId;
  halves[1]!.close();
  await world.runtime.settle();
  b.links.setPeers(new Map([["a", "a:1"]]));
  await world.runtime.settle();
  assertEquals(a.news(), ["up b 1", "down b closed", "up b 1"]);
  const link = a.links.link("b")!;
  assert(link.peer.linkId !== before);
  assertEquals(link.peer.linkId, b.links.link("a")!.peer.linkId);
  halves[0]!.close();
  await Promise.all(pumps);
});

Deno.test("PeerLinks does not suspect its peers after a pause of its own process", async () => {
  await using world = new PeerWorld();
  let standstillMs = 0;
  const a = world.node("a", {
    runtime: {
      now: () => world.runtime.now() + standstillMs,
      setTimer: (afterMs, callback) =>
        world.runtime.setTimer(afterMs, callback),
      clearTimer: (timer) => world.runtime.clearTimer(timer),
      random: () => 0,
      defer: (callback) => world.runtime.defer(callback),
    },
  });
  const b = world.node("b");
  await b.listen();
  a.links.setPeers(new Map([["b", "b:1"]]));
  await world.runtime.advance(1_000);
  for (let i = 0; i < 5; i++) {
    // The process is stopped, its clock is not, and the next timer is late.
    standstillMs += 30_000;
    await world.runtime.advance(1_000);
  }
  assertEquals(a.news(), ["up b 1"]);
});

Deno.test("PeerLinks refuses to connect a node to itself", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  await failsWith("self_connection", () => a.links.connectTo("a:1"));
  a.links.setPeers(new Map([["a", "a:1"]]));
  await world.runtime.advance(1_000);
  assertEquals(a.history, []);
});

Deno.test("PeerLinks refuses a different node at the address of the wanted one", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  const b = world.node("b");
  await b.listen();
  a.links.setPeers(new Map([["c", "b:1"]]));
  await world.runtime.advance(1_000);
  assertEquals([a.history, b.history], [[], []]);
});

Deno.test("PeerLinks.connectTo() returns an existing link", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  assertEquals(await a!.links.connectTo("b:1"), a!.links.link("b"));
  assertEquals(await b!.links.connectTo("a:1"), b!.links.link("a"));
  assertEquals([a!.news(), b!.news()], [["up b 1"], ["up a 1"]]);
});

Deno.test("PeerLinks.connectTo() of both nodes at once gives both the same link", async () => {
  await using world = new PeerWorld();
  const [a, b] = ["a", "b"].map((name) => world.node(name));
  await a!.listen();
  await b!.listen();
  const [there, back, again] = await Promise.all([
    a!.links.connectTo("b:1"),
    b!.links.connectTo("a:1"),
    a!.links.connectTo("b:1"),
  ]);
  assertEquals(there.peer.linkId, back.peer.linkId);
  assertEquals(there, again);
});

Deno.test("PeerLinks.connectTo() fails at an address that never answers, and when its signal aborts", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  world.network.stall("a", "void");
  const late = failsWith("not_reachable", () => a.links.connectTo("void:1"));
  await world.runtime.advance(3_000);
  assert((await late).message.includes("no answer in 3000 ms"));
  const stop = new AbortController();
  const stopped = failsWith(
    "not_reachable",
    () => a.links.connectTo("void:1", { signal: stop.signal }),
  );
  await world.runtime.settle();
  stop.abort(new Error("enough"));
  assert((await stopped).message.includes("enough"));
});

Deno.test("PeerLinks keeps a link that the peer opened, until the peer is removed from the list", async () => {
  await using world = new PeerWorld();
  const [a, b] = ["a", "b"].map((name) => world.node(name));
  await a!.listen();
  await b!.links.connectTo("a:1");
  a!.links.setPeers(new Map());
  await world.runtime.advance(1_000);
  assert(a!.links.link("b") !== undefined, "b is just joining");
  a!.links.setPeers(new Map([["b", "b:1"]]));
  a!.links.setPeers(new Map());
  await world.runtime.settle();
  assertEquals(a!.news(), ["up b 1", "down b closed"]);
  assertEquals(b!.news(), ["up a 1", "down a goodbye"]);
  await world.runtime.advance(10_000);
  assertEquals([a!.news(), b!.news()], [[], []]);
});

Deno.test("PeerLinks connects to an override instead of the peer's own address", async () => {
  await using world = new PeerWorld();
  const b = world.node("b", { host: "proxy" });
  await b.listen();
  const a = world.node("a", {
    addressOverrides: new Map([["b", "proxy:1"]]),
  });
  a.links.setPeers(new Map([["b", "nowhere:1"]]));
  await world.runtime.settle();
  assertEquals(a.news(), ["up b 1"]);
});

Deno.test("PeerLinks follows a peer to its new address", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  const b = world.node("b", { host: "new" });
  await b.listen();
  a.links.setPeers(new Map([["b", "old:1"]]));
  await world.runtime.advance(500);
  a.links.setPeers(new Map([["b", "new:1"]]));
  await world.runtime.settle();
  assertEquals(a.news(), ["up b 1"]);
});

Deno.test("PeerLinks opens bulk links beside the peer link", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  const bulk = await a!.links.openBulk("b");
  bulk.begin(FrameType.vnodeRequest, 1).rawText("handoff");
  bulk.end();
  await world.runtime.settle();
  assertEquals(b!.frames, ["bulk a 50 0 1 handoff"]);
  bulk.close("done");
  await world.runtime.settle();
  assertEquals(a!.news(), ["up b 1", "bulk up b", "bulk down b closed"]);
  assertEquals(b!.news(), ["up a 1", "bulk up a", "bulk down a goodbye"]);
  await failsWith("not_reachable", () => a!.links.openBulk("stranger"));
});

Deno.test("PeerLinks.close() sends a goodbye, and refuses to open links afterwards", async () => {
  await using world = new PeerWorld();
  const [a, b] = await world.cluster("a", "b");
  const closing = a!.links.close();
  await world.runtime.advance(0);
  await closing;
  assertEquals(b!.news(), ["up a 1", "down a goodbye"]);
  assertEquals(a!.news(), ["up b 1", "down b closed"]);
  await failsWith("closed", () => a!.links.connectTo("b:1"));
  await failsWith("closed", () => a!.links.openBulk("b"));
  a!.links.setPeers(new Map([["b", "b:1"]]));
  await a!.links.close();
});

Deno.test("PeerLinks.close() ends dials, handshakes and waits under way", async () => {
  await using world = new PeerWorld();
  const a = world.node("a");
  await a.listen();
  world.network.stall("a", "void");
  const dialing = failsWith("not_reachable", () => a.links.connectTo("void:1"));
  a.links.setPeers(new Map([["c", "c:1"], ["v", "void:2"]]));
  const stranger = await world.network.transport("stranger").connect("a:1");
  await world.runtime.advance(100);
  const closing = a.links.close();
  await world.runtime.settle();
  await closing;
  await dialing;
  assertEquals(await stranger.read(new Uint8Array(1)), null);
  stranger.close();
});

Deno.test("PeerLinks warns that a peer cannot be reached, unless the peer said that it stops", async () => {
  await using world = new PeerWorld();
  const lines: string[] = [];
  const note = (level: string) => (message: string) =>
    void lines.push(`${level}: ${message}`);
  const a = world.node("a", {
    log: { ...silentLog, info: note("info"), warn: note("warn") },
  });
  const [b, c] = [world.node("b"), world.node("c")];
  for (const node of [a, b, c]) await node.listen();
  a.links.setPeers(new Map([["b", "b:1"], ["c", "c:1"]]));
  await world.runtime.settle();
  // No stop of its own: the link breaks, and nobody answers any more.
  world.network.cut("a", "c");
  await world.runtime.advance(1_000);
  assertEquals(lines.splice(0), ["warn: Cannot reach a peer"]);
  const stopped = b.links.close();
  await world.runtime.advance(1_000);
  await stopped;
  assertEquals(lines.splice(0), ["info: Cannot reach a peer"]);
});
