import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { silentLog } from "../environment/log.ts";
import type { ByteStream } from "../environment/transport.ts";
import { FrameType } from "../wire/frame_type.ts";
import { openRecords, recordsOf } from "../wire/testing/records.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { writeFrame } from "../wire/frame.ts";
import { Link } from "./link.ts";
import type { LinkPeer } from "./link_peer.ts";
import { LinkWatch } from "./link_watch.ts";
import { MemoryNetwork } from "./memory_transport.ts";

/** A stream that notes the types of the frames written to it, a record a write. */
class NotingStream implements ByteStream {
  readonly frames: number[] = [];

  constructor(readonly inner: ByteStream) {}

  get remoteAddress(): string {
    return this.inner.remoteAddress;
  }

  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return this.inner.read(into);
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { frames } = openRecords(bytes);
    const view = new DataView(frames.buffer);
    for (let at = 0; at < frames.length; at += 4 + view.getUint32(at)) {
      this.frames.push(frames[at + 4] as number);
    }
    return this.inner.write(bytes);
  }

  close(): void {
    this.inner.close();
  }

  get pings(): number {
    return this.frames.filter((type) => type === FrameType.ping).length;
  }
}

/** A link at one end of `stream`, watched as that to a peer. */
function watchedEnd(
  runtime: ManualRuntime,
  stream: ByteStream,
  openedBy: LinkPeer["openedBy"],
): { stream: NotingStream; link: Link; watch: LinkWatch } {
  const noting = new NotingStream(stream);
  const watch = new LinkWatch({ runtime });
  const link = new Link(
    noting,
    {
      name: "peer",
      nodeId: "id",
      incarnation: 1,
      cluster: "test",
      kind: "peer",
      address: "far:1",
      openedBy,
      protocolVersion: 2,
      linkId: "0".repeat(32),
    },
    { runtime, log: silentLog },
    {
      onFrame() {},
      onHeard: (link) => watch.answered(link),
      onClosed: (link) => void watch.remove(link),
    },
  );
  watch.add(link, { silenceMsMax: 5_000, pingEveryTicks: 1 });
  link.start();
  return { stream: noting, link, watch };
}

async function streams(
  network: MemoryNetwork,
): Promise<[ByteStream, ByteStream]> {
  const accepted = Promise.withResolvers<ByteStream>();
  await network.transport("b").listen("b:1", accepted.resolve);
  const near = await network.transport("a").connect("b:1");
  return [near, await accepted.promise];
}

Deno.test("LinkWatch pings from the end that opened the link, and neither suspects the other", async () => {
  const runtime = new ManualRuntime();
  const [near, far] = await streams(new MemoryNetwork(runtime));
  const a = watchedEnd(runtime, near, "this_node");
  const b = watchedEnd(runtime, far, "other_node");
  for (let round = 0; round < 40; round++) await runtime.advance(250);
  assertEquals([a.stream.pings, b.stream.pings], [40, 0]);
  assertEquals([a.watch.isSuspect(a.link), b.watch.isSuspect(b.link)], [
    false,
    false,
  ]);
  a.link.close();
  await runtime.advance(1_000);
  await Promise.all([a.link.finished, b.link.finished]);
});

Deno.test("LinkWatch pings from both ends until the end that opened the link reports an answer", async () => {
  const runtime = new ManualRuntime();
  const [near, far] = await streams(new MemoryNetwork(runtime));
  const b = watchedEnd(runtime, far, "other_node");
  const ping = new ByteWriter();
  writeFrame(ping, FrameType.ping, 1, new Uint8Array(0));
  // As a node that does not know the flag; it reads nothing, so no pong comes.
  for (let round = 0; round < 12; round++) {
    await near.write(recordsOf(ping.copy()));
    await runtime.advance(250);
  }
  assert(b.watch.isSuspect(b.link), "what it sends by itself is no answer");
  assertEquals(b.stream.pings, 10, "it pings once two are missing");
  near.close();
  await runtime.advance(1_000);
  await b.link.finished;
});
