/**
 * A ring view as sent from a node to the hosts of its coordinators: MessagePack
 * `[module number, view, future view for reads or nil]`, each view as
 * `[version, nodes, owners, up, self, first vnode]`, with owners as two bytes
 * per partition, big-endian, and up as one byte per node.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { decodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import type { RingView } from "./ring_view.ts";

/** Appends the view for requests to the module with number `moduleId`. */
export function writeRingView(
  into: ByteWriter,
  moduleId: number,
  view: RingView,
): void {
  writeMsgpack(
    [
      moduleId,
      viewToList(view),
      view.reads === undefined ? null : viewToList(view.reads),
    ],
    into,
  );
}

function viewToList(view: RingView): unknown[] {
  const owners = new Uint8Array(view.ringSize * 2);
  view.owners.forEach((owner, partition) => {
    owners[partition * 2] = owner >>> 8;
    owners[partition * 2 + 1] = owner;
  });
  return [
    view.version,
    view.nodes,
    owners,
    view.up,
    view.self,
    view.firstVnode,
  ];
}

/**
 * Reads a view; it keeps no reference to `bytes`.
 *
 * @throws {WhorlError} `protocol_error` if it is not a view.
 */
export function readRingView(
  bytes: Uint8Array,
): { readonly moduleId: number; readonly view: RingView } {
  const message = decodeMsgpack(bytes);
  if (!Array.isArray(message) || message.length !== 3) throw notAView();
  const [moduleId, view, reads] = message as unknown[];
  if (!Number.isInteger(moduleId)) throw notAView();
  return {
    moduleId: moduleId as number,
    view: {
      ...viewFrom(view),
      ...reads === null ? {} : { reads: viewFrom(reads) },
    },
  };
}

function viewFrom(value: unknown): RingView {
  if (!Array.isArray(value) || value.length !== 6) throw notAView();
  const [version, nodes, owners, up, self, firstVnode] = value as unknown[];
  if (
    !Number.isInteger(version) ||
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
  return view;
}

function notAView(): WhorlError {
  return new WhorlError("protocol_error", "Cannot read bytes as a ring view");
}
