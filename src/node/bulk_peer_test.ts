import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { Link } from "../transport/link.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { BulkPeer } from "./bulk_peer.ts";

class Bench {
  readonly runtime = new ManualRuntime();
  readonly sent: number[] = [];
  bufferedBytes = 0;
  tooLarge = false;
  readonly waiting: (() => void)[] = [];
  readonly peer: BulkPeer;

  constructor() {
    const writer = new ByteWriter();
    const bytes = (): number => this.bufferedBytes;
    const link = {
      peer: { name: "b@host", kind: "bulk" },
      closed: undefined,
      get bufferedBytes() {
        return bytes();
      },
      begin: (_type: number, correlation: number) => {
        writer.clear();
        this.sent.push(correlation);
        return writer;
      },
      end: () => {
        if (!this.tooLarge) return;
        this.sent.pop();
        throw new WhorlError("frame_too_large", "it does not fit");
      },
      whenBelow: (_bytes: number, callback: () => void) =>
        void this.waiting.push(callback),
    };
    this.peer = new BulkPeer(
      link as unknown as Link,
      {} as never,
      this.runtime,
    );
  }

  ask(): Promise<Uint8Array> {
    return this.peer.ask("kv", 3, () => {}, 1_000);
  }
}

async function assertCode(asked: Promise<unknown>, code: string) {
  const error = await assertRejects(() => asked, WhorlError);
  assertEquals(error.code, code);
}

Deno.test("BulkPeer pairs answers with requests, and gives up after a time", async () => {
  const bench = new Bench();
  const asked = [bench.ask(), bench.ask(), bench.ask()];
  await bench.runtime.settle();
  const failure = new ByteWriter();
  writeFailure(failure, new WhorlError("handoff_mismatch", "no"));
  bench.peer.answered(FrameType.vnodeError, 2, failure.copy());
  bench.peer.answered(FrameType.vnodeReply, 1, Uint8Array.of(7));
  assertEquals(await asked[0], Uint8Array.of(7));
  await assertCode(asked[1]!, "handoff_mismatch");
  const late = assertCode(asked[2]!, "timeout");
  await bench.runtime.advance(1_000);
  await late;
  // Nobody waits for these.
  bench.peer.answered(FrameType.vnodeReply, 3, Uint8Array.of(7));
  bench.peer.answered(FrameType.vnodeReply, 99, Uint8Array.of(7));
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("BulkPeer fails a request that fits in no frame, once, and leaves nothing behind", async () => {
  const bench = new Bench();
  bench.tooLarge = true;
  await assertCode(bench.ask(), "frame_too_large");
  // A failure that nobody waits for would end the process.
  await bench.runtime.advance(2_000);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("BulkPeer sends in the order of the calls when the link is full", async () => {
  const bench = new Bench();
  bench.bufferedBytes = 100 * 1024 * 1024;
  const asked = [bench.ask(), bench.ask()];
  await bench.runtime.settle();
  assertEquals(bench.sent, []);
  bench.bufferedBytes = 0;
  asked.push(bench.ask());
  for (let i = 0; i < 3; i++) {
    bench.waiting.shift()?.();
    await bench.runtime.settle();
  }
  assertEquals(bench.sent, [1, 2, 3]);
  bench.peer.ended("it broke");
  for (const each of asked) await assertCode(each, "connection_closed");
  await assertCode(bench.ask(), "connection_closed");
  assertEquals(bench.runtime.pendingTimers, 0);
});
