import { assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import type { Ring } from "../ring/ring.ts";
import {
  beginResize,
  enterResizePhase,
  freshRing,
  setStatus,
} from "../ring/ring_change.ts";
import {
  CoverageAction,
  writeCoverageAction,
} from "../vnode/coverage_codec.ts";
import {
  moduleIdOf,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { VnodeDoor } from "./vnode_door.ts";

const ring = freshRing({
  clusterName: "default",
  size: 8,
  seed: "0000000000000001",
  node: { name: "a", address: "a:1", nodeId: "id-a" },
  wallMs: 0,
});
const reading = enterResizePhase(
  beginResize(ring, "a", Array<string>(16).fill("a")),
  "a",
  "reading",
);

/** What a door that has followed `rings` says to a request of `from`. */
function codeOf(
  rings: readonly Ring[],
  from: string,
  flags: number,
  body: (into: ByteWriter) => void,
  isMistaken = false,
): string | undefined {
  const door = new VnodeDoor({ isMistaken: () => isMistaken }, "a");
  for (const each of rings) door.follow(each);
  const into = new ByteWriter(64);
  into.u8(0);
  writeVnodeRequestHeader(into, moduleIdOf("kv"), 5, 0, flags, 1_000);
  body(into);
  const bytes = into.copy();
  return door.refuse(from, bytes, 1, bytes.length, rings.at(-1))?.code;
}

const key = (into: ByteWriter): void => into.raw(new Uint8Array(8));

Deno.test("VnodeDoor refuses who reads by a ring that others read no more, and may not know it", () => {
  assertEquals(codeOf([ring], "guest", 0, key), undefined);
  assertEquals(codeOf([ring, reading], "a", 0, key), undefined);
  assertEquals(codeOf([ring, reading], "guest", 0, key), "wrong_owner");
});

Deno.test("VnodeDoor lets a listing begin no more, and go on", () => {
  const action = (kind: 1 | 2 | 3) => (into: ByteWriter): void => {
    if (kind === CoverageAction.open) into.u8(kind);
    else writeCoverageAction(into, kind, 7);
  };
  for (const kind of [CoverageAction.more, CoverageAction.cancel]) {
    assertEquals(
      codeOf([ring, reading], "guest", RequestFlag.coverage, action(kind)),
      undefined,
    );
  }
  assertEquals(
    codeOf(
      [ring, reading],
      "guest",
      RequestFlag.coverage,
      action(CoverageAction.open),
    ),
    "wrong_owner",
  );
});

Deno.test("VnodeDoor refuses who takes a consistent bucket for another one, and leaves to others what cannot be read", () => {
  assertEquals(codeOf([ring], "b", 0, key, true), "ring_not_ready");
  assertEquals(codeOf([ring], "b", 0, () => {}, true), undefined);
});

Deno.test("VnodeDoor lets nobody have this node stand in for another one once it exits", () => {
  const exiting = setStatus(ring, "a", "a", "exiting");
  const { asFallback } = RequestFlag;
  assertEquals(codeOf([ring], "b", asFallback, key), undefined);
  assertEquals(codeOf([ring, exiting], "b", asFallback, key), "closed");
  // The vnode says where its data is.
  assertEquals(codeOf([ring, exiting], "b", 0, key), undefined);
});
