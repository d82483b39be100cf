/**
 * What it costs to write and read what travels, with a floor: copying the same
 * bytes.
 *
 *     deno bench bench/codec_bench.ts
 *
 * @module
 */
import { ByteReader } from "../src/base/byte_reader.ts";
import { ByteWriter } from "../src/base/byte_writer.ts";
import { KvCommand, kvCommands } from "../src/kv/kv_vnode.ts";
import { writePutBody } from "../src/kv/kv_command_codec.ts";
import {
  emptyOperationHeader,
  OperationKind,
  readOperationHeader,
  writeOperationHeader,
} from "../src/request/operation_codec.ts";
import {
  moduleIdOf,
  writeVnodeRequestHeader,
} from "../src/vnode/vnode_wire.ts";
import {
  beginFrame,
  endFrame,
  FRAME_BYTES_MAX,
  readFrames,
} from "../src/wire/frame.ts";
import { FrameType } from "../src/wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../src/wire/msgpack.ts";

const value = new Uint8Array(100).map((_, i) => i);
const writer = new ByteWriter(4096);
const kv = moduleIdOf("kv");
const header = emptyOperationHeader();

function writeOperation(): void {
  writer.clear();
  writeOperationHeader(writer, {
    kind: OperationKind.put,
    flags: 0,
    moduleId: kv,
    command: KvCommand.put,
    n: 3,
    quorum: 2,
    primaries: 0,
    durable: 2,
    nodeConfirms: 0,
    timeLeftMs: 5000,
  });
  writePutBody("users", "customer-000123", 0, undefined, value, writer);
}

writeOperation();
const operation = writer.copy();
const reader = new ByteReader(operation);
const body = operation.subarray(16);
const target = new Uint8Array(4096);

function writeRequests(count: number): void {
  writer.clear();
  for (let i = 0; i < count; i++) {
    const start = beginFrame(writer, FrameType.vnodeRequest, i);
    writeVnodeRequestHeader(writer, kv, 33, KvCommand.put, 1, 5000);
    writer.rawRange(body, 0, body.length);
    endFrame(writer, start);
  }
}

writeRequests(64);
const batch = writer.copy();
const gossip = {
  ring: "default",
  owners: Array.from({ length: 64 }, (_, i) => i % 3),
  members: ["dev1@127.0.0.1", "dev2@127.0.0.1", "dev3@127.0.0.1"],
};
const gossipBytes = encodeMsgpack(gossip);

Deno.bench(
  "floor: copy 143 bytes",
  { group: "operation", baseline: true },
  () => {
    target.set(operation, 0);
  },
);
Deno.bench(
  "write an operation (put, 100 bytes)",
  { group: "operation" },
  () => {
    writeOperation();
  },
);
Deno.bench("read an operation's header", { group: "operation" }, () => {
  reader.reset(operation, 0, operation.length);
  readOperationHeader(reader, header);
});
Deno.bench("decode the body of a put", { group: "operation" }, () => {
  reader.reset(body, 0, body.length);
  kvCommands.put.request.decode(reader);
});

Deno.bench(
  "floor: copy 64 requests",
  { group: "frames", baseline: true },
  () => {
    writer.clear();
    writer.raw(batch);
  },
);
Deno.bench("write 64 requests", { group: "frames" }, () => writeRequests(64));
Deno.bench("read 64 frames", { group: "frames" }, () => {
  readFrames(batch, 0, batch.length, FRAME_BYTES_MAX, () => {});
});

Deno.bench("MessagePack: encode", { group: "msgpack" }, () => {
  encodeMsgpack(gossip);
});
Deno.bench("MessagePack: scan and decode", { group: "msgpack" }, () => {
  decodeMsgpack(gossipBytes);
});
