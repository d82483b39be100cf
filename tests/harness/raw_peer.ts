/**
 * A stranger at the door of a node: it knows the cookie, and then sends what it
 * likes.
 *
 * @module
 */
import { ByteWriter } from "../../src/base/byte_writer.ts";
import type { WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import type { Address, ByteStream } from "../../src/environment/transport.ts";
import { systemEnvironment } from "../../src/node/system_environment.ts";
import { Cookie } from "../../src/transport/cookie.ts";
import { dial } from "../../src/transport/dial.ts";
import { readFailure } from "../../src/wire/failure.ts";
import {
  FRAME_BYTES_MAX,
  readFrames,
  writeFrame,
} from "../../src/wire/frame.ts";
import { FrameType } from "../../src/wire/frame_type.ts";
import { openRecords, recordsOf } from "../../src/wire/testing/records.ts";
import { TEST_COOKIE } from "./test_cluster.ts";

const environment = systemEnvironment(silentLog);

/** A frame that came back. */
export interface RawFrame {
  readonly type: number;
  readonly correlation: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** An authenticated connection whose every byte the test decides. */
export class RawPeer implements AsyncDisposable {
  readonly #stream: ByteStream;
  #bytes = new Uint8Array(0);
  #frameBytes = new Uint8Array(0);
  readonly #frames: RawFrame[] = [];

  constructor(stream: ByteStream, leftover: Uint8Array) {
    this.#stream = stream;
    this.#bytes = leftover.slice();
  }

  /** Shakes hands with the node at `address`, as a client or as a peer of an unknown name. */
  static async connect(
    address: Address,
    kind: "client" | "peer" = "client",
  ): Promise<RawPeer> {
    const id = environment.secretBytes(16).toHex();
    const { stream, established } = await dial({
      transport: environment.transport,
      address,
      kind,
      identity: {
        name: kind === "client" ? `client-${id.slice(0, 12)}` : "raw@127.0.0.1",
        nodeId: id,
        incarnation: 1,
        cluster: "default",
      },
      cookie: new Cookie(TEST_COOKIE),
      runtime: environment,
      secretBytes: (count) => environment.secretBytes(count),
      consider: () => ({ admit: true }),
      deadlineMs: 5_000,
    });
    return new RawPeer(stream, established.leftover);
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#stream.write(bytes);
  }

  /** Sends bytes in good records, whatever they are. */
  writeRecord(frames: Uint8Array): Promise<void> {
    return this.write(recordsOf(frames));
  }

  /** Sends a frame. */
  send(type: number, correlation: number, payload: Uint8Array): Promise<void> {
    const into = new ByteWriter(payload.length + 64);
    writeFrame(into, type, correlation, payload);
    return this.writeRecord(into.view());
  }

  /** The next frame that is no ping, or `null` once the node has hung up. */
  async next(): Promise<RawFrame | null> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        if (frame.type !== FrameType.ping) return frame;
        continue;
      }
      const piece = new Uint8Array(64 * 1024);
      let count: number | null;
      try {
        count = await this.#stream.read(piece);
      } catch (error) {
        // A node that hangs up on garbage may do so before it has read it all.
        if ((error as WhorlError).code === "connection_closed") return null;
        throw error;
      }
      if (count === null) return null;
      const { frames, taken } = openRecords(
        this.#bytes = joined(this.#bytes, piece.subarray(0, count)),
      );
      this.#bytes = this.#bytes.slice(taken);
      this.#frameBytes = joined(this.#frameBytes, frames);
      const from = readFrames(
        this.#frameBytes,
        0,
        this.#frameBytes.length,
        FRAME_BYTES_MAX,
        (type, _flags, correlation, bytes, start, end) =>
          this.#frames.push({
            type,
            correlation,
            payload: bytes.slice(start, end),
          }),
      );
      this.#frameBytes = this.#frameBytes.slice(from);
    }
  }

  /** The failure in the next frame, or the reason in a goodbye. */
  async refusal(): Promise<{ code: string; message: string }> {
    const frame = await this.next();
    switch (frame?.type) {
      case FrameType.operationError:
      case FrameType.callError:
      case FrameType.vnodeError: {
        const { code, message } = readFailure(frame.payload);
        return { code, message };
      }
      case FrameType.unknownType:
        return { code: "unknown_type", message: `${frame.payload[0]}` };
      case FrameType.goodbye:
        return {
          code: "goodbye",
          message: new TextDecoder().decode(frame.payload),
        };
      case undefined:
        return { code: "hung_up", message: "" };
      default:
        return { code: `frame ${frame?.type}`, message: "" };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stream.close();
    return Promise.resolve();
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
