import { assertEquals } from "@std/assert";
import { ByteWriter } from "../../base/byte_writer.ts";
import { writeFrame } from "../../wire/frame.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { recordsOf } from "../../wire/testing/records.ts";
import type { RaftMessage } from "../../raft/raft_message.ts";
import { writeRaftMessage } from "../../raft/raft_message_codec.ts";
import { FrameSummary } from "./frame_summary.ts";

function frames(...types: number[]): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(64);
  for (const type of types) writeFrame(into, type, 7, new Uint8Array(6));
  return into.copy();
}

Deno.test("FrameSummary.describe() names the frames and counts them", () => {
  const summary = new FrameSummary();
  const { vnodeRequest, ping } = FrameType;
  assertEquals(
    summary.describe(frames(vnodeRequest, ping, vnodeRequest)),
    "2 vnodeRequest, ping, 60 bytes",
  );
  assertEquals(
    summary.describe(frames(201)),
    "frame of type 201, 20 bytes",
  );
});

Deno.test("FrameSummary.describe() follows a frame over several chunks", () => {
  const summary = new FrameSummary();
  const bytes = frames(FrameType.ring, FrameType.pong);
  assertEquals(
    [[0, 3], [3, 7], [7, 12], [12, 22], [22, 40]].map(([from, to]) =>
      summary.describe(bytes.subarray(from, to))
    ),
    [
      "3 bytes",
      "ring, 4 bytes",
      "more of ring, 5 bytes",
      "rest of ring, 10 bytes",
      "pong, 18 bytes",
    ],
  );
});

Deno.test("FrameSummary.describe() counts only bytes once something cannot be a frame", () => {
  const summary = new FrameSummary();
  assertEquals(summary.describe(frames(FrameType.ping)), "ping, 20 bytes");
  assertEquals(
    summary.describe(new TextEncoder().encode("GET / HTTP/1.1")),
    "14 bytes",
  );
  assertEquals(summary.describe(frames(FrameType.ping)), "20 bytes");
});

Deno.test("FrameSummary.describe() finds frames in records after a handshake", () => {
  const { hello, proof, challenge, welcome, ring, pong } = FrameType;
  for (const [first, last] of [[hello, proof], [challenge, welcome]] as const) {
    const summary = new FrameSummary();
    summary.describe(frames(first));
    const handshake = frames(last);
    const records = recordsOf(frames(ring, pong, ring));
    const piece = new Uint8Array([...handshake, ...records]);
    assertEquals(
      summary.describe(piece).replace(/proof|welcome/, "last"),
      "last, 2 ring, pong, 88 bytes",
    );
    const small = recordsOf(frames(ring, pong), 15);
    assertEquals(
      [[0, 9], [9, 14], [14, 23], [23, 36], [36, small.length]].map((
        [from, to],
      ) => summary.describe(small.subarray(from, to))),
      [
        "9 bytes",
        "ring, 5 bytes",
        "more of ring, 9 bytes",
        "rest of ring, 13 bytes",
        "pong, 28 bytes",
      ],
    );
  }
});

Deno.test("FrameSummary.describe() counts only bytes once something cannot be a record", () => {
  const summary = new FrameSummary();
  summary.describe(frames(FrameType.proof));
  assertEquals(summary.describe(frames(FrameType.ping)), "20 bytes");
  assertEquals(summary.describe(recordsOf(frames(FrameType.ping))), "28 bytes");
});

function raftFrame(message: RaftMessage): Uint8Array<ArrayBuffer> {
  const body = new ByteWriter(256);
  body.u48(77);
  body.u48(3);
  writeRaftMessage(body, message);
  const into = new ByteWriter(256);
  writeFrame(into, FrameType.raftMessage, 0, body.view());
  return into.copy();
}

Deno.test("FrameSummary.describe() says what a message of a Raft group is about", () => {
  const entries = Array.from({ length: 3 }, (_, at) => ({
    index: 10 + at,
    term: 4,
    body: new Uint8Array(40).fill(2),
  }));
  const append = raftFrame({
    type: "append",
    term: 4,
    prevIndex: 9,
    prevTerm: 3,
    commitIndex: 8,
    entries,
  });
  const vote = raftFrame({ type: "vote_reply", term: 4, granted: true });
  const summary = new FrameSummary();
  assertEquals(
    summary.describe(vote),
    `raft vote reply of term 4: yes, ${vote.length} bytes`,
  );
  assertEquals(
    summary.describe(append),
    `raft append of term 4: entries … behind 9 of 3, committed 8, ${append.length} bytes`,
  );
  // Of a message in several chunks only the first is read.
  assertEquals(
    [[0, 20], [20, vote.length]].map(([from, to]) =>
      summary.describe(vote.subarray(from, to))
    ),
    ["raftMessage, 20 bytes", `rest of raftMessage, ${vote.length - 20} bytes`],
  );
});
