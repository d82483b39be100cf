import { assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { writeGetBody } from "../kv/kv_command_codec.ts";
import {
  CoverageAction,
  writeCoverageAction,
  writeCoverageOpen,
} from "../vnode/coverage_codec.ts";
import {
  moduleIdOf,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { MarkedBuckets } from "./marked_buckets.ts";

/** A request to a vnode of `kv`, or with `module` of another one. */
function vnodeRequest(
  flags: number,
  body: (into: ByteWriter) => void,
  module = "kv",
): Uint8Array {
  const into = new ByteWriter(64);
  writeVnodeRequestHeader(into, moduleIdOf(module), 3, 0, flags, 1_000);
  body(into);
  return into.copy();
}

function keyIn(bucket: string): (into: ByteWriter) => void {
  return (into) => writeGetBody(bucket, "ann", into);
}

function listing(bucket: string): (into: ByteWriter) => void {
  return (into) => {
    writeCoverageOpen(into, 7, 1_000, [1, 2]);
    into.raw(new TextEncoder().encode(bucket));
  };
}

Deno.test("a request to a vnode is mistaken if it is on a consistent bucket", () => {
  const buckets = new MarkedBuckets();
  buckets.set(["accounts"]);
  const { coverage } = RequestFlag;
  const isMistaken = (bytes: Uint8Array) =>
    buckets.isMistaken(bytes, 0, bytes.length);
  assertEquals([
    isMistaken(vnodeRequest(0, keyIn("accounts"))),
    isMistaken(vnodeRequest(coverage, listing("accounts"))),
  ], [true, true]);
  for (
    const other of [
      vnodeRequest(0, keyIn("account")),
      vnodeRequest(0, keyIn("accounts"), "shop"),
      vnodeRequest(coverage, listing("accounts2")),
      vnodeRequest(
        coverage,
        (into) => writeCoverageAction(into, CoverageAction.more, 7),
      ),
      vnodeRequest(0, (into) => into.u8(0)),
      vnodeRequest(coverage, (into) => into.u8(CoverageAction.open)),
      new Uint8Array(3),
    ]
  ) assertEquals(isMistaken(other), false);
  buckets.set([]);
  assertEquals(isMistaken(vnodeRequest(0, keyIn("accounts"))), false);
});
