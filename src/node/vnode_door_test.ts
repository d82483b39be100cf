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

/** The answer of a door that has followed `rings` to a request of `from`. */
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

Deno.test("VnodeDoor refuses peers that may not know that the ring they read by is no longer used", () => {
  assertEquals(codeOf([ring], "guest", 0, key), undefined);
  assertEquals(codeOf([ring, reading], "a", 0, key), undefined);
  assertEquals(codeOf([ring, reading], "guest", 0, key), "wrong_owner");
});

Deno.test("VnodeDoor lets no new listing begin, but lets those in progress continue", () => {
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

Deno.test("VnodeDoor refuses peers that take a consistent bucket for another kind, and leaves unreadable requests to others", () => {
  assertEquals(codeOf([ring], "b", 0, key, true), "ring_not_ready");
  assertEquals(codeOf([ring], "b", 0, () => {}, true), undefined);
});

Deno.test("VnodeDoor refuses requests to stand in for other nodes once this node exits", () => {
  const exiting = setStatus(ring, "a", "a", "exiting");
  const { asFallback } = RequestFlag;
  assertEquals(codeOf([ring], "b", asFallback, key), undefined);
  assertEquals(codeOf([ring, exiting], "b", asFallback, key), "closed");
  // The vnode tells where its data is.
  assertEquals(codeOf([ring, exiting], "b", 0, key), undefined);
});
