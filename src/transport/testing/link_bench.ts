/**
 * A link at the bench: at one end of a stream in memory, whose other end is bytes.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { type Log, silentLog } from "../../environment/log.ts";
import type { ByteStream } from "../../environment/transport.ts";
import { writeFrame } from "../../wire/frame.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { openRecords, recordsOf } from "../../wire/testing/records.ts";
import {
  Link,
  type LinkClosed,
  type LinkHandler,
  type LinkLimits,
} from "../link.ts";
import type { LinkPeer } from "../link_peer.ts";
import { MemoryNetwork } from "../memory_transport.ts";

/** The other end. */
const PEER: LinkPeer = {
  name: "peer",
  nodeId: "id",
  incarnation: 1,
  cluster: "test",
  kind: "peer",
  address: "far:1",
  openedBy: "this_node",
  protocolVersion: 2,
  linkId: "0".repeat(32),
};

/** Counts what a link does to its stream, and passes it on. */
export class CountingStream implements ByteStream {
  writes: number[] = [];
  underWay = 0;
  underWayMax = 0;

  constructor(readonly inner: ByteStream) {}

  get remoteAddress(): string {
    return this.inner.remoteAddress;
  }

  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return this.inner.read(into);
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.writes.push(bytes.length);
    this.underWayMax = Math.max(this.underWayMax, ++this.underWay);
    await this.inner.write(bytes);
    this.underWay--;
  }

  close(): void {
    this.inner.close();
  }
}

/** A link at one end of a stream in memory; the other end speaks bytes. */
export class LinkBench implements AsyncDisposable {
  readonly runtime: ManualRuntime = new ManualRuntime();
  readonly network: MemoryNetwork = new MemoryNetwork(this.runtime);
  readonly frames: string[] = [];
  readonly closes: LinkClosed[] = [];
  readonly logged: string[] = [];
  heard = 0;
  onFrame: LinkHandler["onFrame"] = (
    _link,
    type,
    flags,
    correlation,
    bytes,
    start,
    end,
  ) => {
    this.frames.push(
      `${type} ${flags} ${correlation} ${
        new TextDecoder().decode(bytes.subarray(start, end))
      }`,
    );
  };
  stream!: CountingStream;
  link!: Link;
  far!: ByteStream;

  static async create(
    limits: LinkLimits = {},
    leftover: Uint8Array = new Uint8Array(0),
  ): Promise<LinkBench> {
    const bench = new LinkBench();
    const accepted = Promise.withResolvers<ByteStream>();
    await bench.network.transport("far").listen("far:1", accepted.resolve);
    bench.stream = new CountingStream(
      await bench.network.transport("near").connect("far:1"),
    );
    bench.far = await accepted.promise;
    const log: Log = {
      ...silentLog,
      warn: (message) => bench.logged.push(`warn ${message}`),
      error: (message) => bench.logged.push(`error ${message}`),
    };
    bench.link = new Link(
      bench.stream,
      PEER,
      { runtime: bench.runtime, log, limits },
      {
        onFrame: (...frame) => bench.onFrame(...frame),
        onHeard: () => bench.heard++,
        onClosed: (_link, closed) => bench.closes.push(closed),
      },
      leftover,
    );
    bench.link.start();
    return bench;
  }

  send(text: string, correlation = 1): void {
    this.link.begin(FrameType.operation, correlation).rawText(text);
    this.link.end();
  }

  /** Everything that has come out of the link, frame by frame. */
  async received(): Promise<string[]> {
    await this.runtime.settle();
    const into = new Uint8Array(1024 * 1024);
    const count = await this.far.read(into);
    if (count === null) return ["end"];
    const { frames, taken } = openRecords(into.subarray(0, count));
    assertEquals(taken, count);
    const texts: string[] = [];
    const view = new DataView(frames.buffer);
    for (let at = 0; at < frames.length;) {
      const length = view.getUint32(at);
      texts.push(
        `${frames[at + 4]} ${view.getUint32(at + 10)} ${
          new TextDecoder().decode(frames.subarray(at + 14, at + 4 + length))
        }`,
      );
      at += 4 + length;
    }
    return texts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.far.close();
    this.link.close();
    await this.link.finished;
    assertEquals(this.runtime.pendingTimers, 0, "a closed link has no timer");
    assertEquals(this.network.openStreams, 0);
  }
}

/** A frame of a test. */
export type FrameText = {
  type: number;
  correlation?: number;
  payload?: string;
};

/** Whole frames in one record. */
export function recordWith(...frames: FrameText[]): Uint8Array<ArrayBuffer> {
  return recordsOf(framesOf(...frames));
}

/** Whole frames as bytes. */
export function framesOf(
  ...frames: FrameText[]
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  for (const { type, correlation = 1, payload = "" } of frames) {
    writeFrame(into, type, correlation, new TextEncoder().encode(payload));
  }
  return into.copy();
}
