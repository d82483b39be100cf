/**
 * A ring view as it travels from a node to the hosts of its coordinators:
 * MessagePack `[module number, version, nodes, owners, up, self, first vnode]`, with owners
 * as two bytes a partition, big-endian, and up as one byte a node.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { decodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import type { RingView } from "./ring_view.ts";

/** Appends the view that requests to the module of number `moduleId` take. */
export function writeRingView(
  into: ByteWriter,
  moduleId: number,
  view: RingView,
): void {
  const owners = new Uint8Array(view.ringSize * 2);
  view.owners.forEach((owner, partition) => {
    owners[partition * 2] = owner >>> 8;
    owners[partition * 2 + 1] = owner;
  });
  writeMsgpack(
    [
      moduleId,
      view.version,
      view.nodes,
      owners,
      view.up,
      view.self,
      view.firstVnode,
    ],
    into,
  );
}

/**
 * Reads a view; it keeps no part of `bytes`.
 *
 * @throws {WhorlError} `protocol_error` if it is none.
 */
export function readRingView(
  bytes: Uint8Array,
): { readonly moduleId: number; readonly view: RingView } {
  const message = decodeMsgpack(bytes);
  if (!Array.isArray(message) || message.length !== 7) throw notAView();
  const [moduleId, version, nodes, owners, up, self, firstVnode] =
    message as unknown[];
  if (
    !Number.isInteger(moduleId) || !Number.isInteger(version) ||
    !Number.isInteger(self) || !Number.isInteger(firstVnode) ||
    !Array.isArray(nodes) ||
    !nodes.every((name) => typeof name === "string") ||
    !(owners instanceof Uint8Array) || owners.length % 2 !== 0 ||
    !(up instanceof Uint8Array) || up.length !== nodes.length
  ) throw notAView();
  const ringSize = owners.length / 2;
  const view: RingView = {
    version: version as number,
    ringSize,
    firstVnode: firstVnode as number,
    nodes: nodes as string[],
    owners: Uint16Array.from(
      { length: ringSize },
      (_, partition) =>
        (owners[partition * 2] as number) << 8 |
        (owners[partition * 2 + 1] as number),
    ),
    up: up.slice(),
    self: self as number,
  };
  if (
    view.self < -1 || view.self >= nodes.length ||
    view.owners.some((owner) => owner >= nodes.length)
  ) throw notAView();
  return { moduleId: moduleId as number, view };
}

function notAView(): WhorlError {
  return new WhorlError("protocol_error", "Cannot read bytes as a ring view");
}
