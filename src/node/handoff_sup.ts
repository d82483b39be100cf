/**
 * `handoff_sup`: the manager of the transfers between this node and others, and
 * a sender for each outgoing transfer.
 *
 *     handoff_sup (one_for_all: senders report to the handoff that began them)
 *     ├─ senders        (simple_one_for_one, temporary) one for each transfer from here
 *     └─ handoff        sees what has to move
 *
 * @module
 */
import type { Child } from "../../supervisors/child.ts";
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import { briefCopyOf } from "../base/byte_slab.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import {
  type HandoffEvents,
  HandoffProcess,
} from "../handoff/handoff_process.ts";
import type { BulkConnection, HandoffWorld } from "../handoff/handoff_world.ts";
import type { HeldPartition } from "../handoff/transfer.ts";
import { hasHandedOnOrigin } from "../handoff/transfer_plan.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import {
  moduleIdOf,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { BulkPeer, relayHandoff } from "./bulk_peer.ts";
import { notReachable } from "./node_routes.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { ResourceChild } from "./resource_child.ts";

/** The supervisor of the handoffs. */
export function handoffSup(parts: NodeParts, events: HandoffEvents): ChildSpec {
  return {
    id: "handoff_sup",
    type: "supervisor",
    start: (signal) => {
      // Made with its senders, which start first.
      let handoff: HandoffProcess;
      return startSupervisor({
        name: "handoff_sup",
        strategy: "one_for_all",
        runtime: parts.environment,
        signal,
        onReport: (report) => parts.onReport(report),
        // Senders end after the manager that started them.
        children: [{
          id: "senders",
          type: "supervisor",
          start: (): Child => {
            handoff = makeHandoff(parts, events);
            return handoff.outbound.senders;
          },
        }, {
          id: "handoff",
          start: (): Child => {
            const started = handoff;
            parts.handoff = started;
            parts.transfers = started;
            started.masterStarted();
            return new ResourceChild("handoff", () => {
              if (parts.transfers === started) {
                parts.handoff = undefined;
                parts.transfers = undefined;
              }
              started.close();
            });
          },
        }],
      });
    },
  };
}

function makeHandoff(
  parts: NodeParts,
  events: HandoffEvents,
): HandoffProcess {
  return new HandoffProcess(
    worldOf(parts),
    events,
    (report) => parts.onReport(report),
    parts.config.handoffConcurrency,
  );
}

function worldOf(parts: NodeParts): HandoffWorld {
  const { config, environment, modules } = parts;
  const askVnode: HandoffWorld["askVnode"] = (
    module,
    partition,
    write,
    timeoutMs,
  ) => askOwnVnode(parts, module, partition, write, timeoutMs);
  return {
    runtime: environment,
    log: environment.log.child("handoff"),
    self: config.name,
    modules: modules.map(({ name }) => name),
    wallClock: () => environment.wallClock(),
    secretNumber: () => secretNumber(environment.secretBytes(7)),
    ring: () => parts.ring,
    upNodes: (module) => parts.cluster?.upNodes(module) ?? [],
    canHandOff: (node) => parts.cluster?.canHandOff(node) ?? false,
    held: (): Promise<readonly HeldPartition[]> =>
      present(parts.vnodes, "vnodes").held(),
    handedOver: () => present(parts.vnodes, "vnodes").handedOver(),
    askVnode,
    connect: (node) => connect(parts, node, askVnode),
    transferComplete: (partitions, module, by) =>
      parts.cluster?.transferComplete(
        partitions,
        module,
        modules.map(({ name }) => name),
        by,
      ),
    drop: (module, partition, atOnce) =>
      present(parts.vnodes, "vnodes").drop(module, partition, atOnce),
    keep: (module, partition) =>
      present(parts.vnodes, "vnodes").keep(module, partition),
    discard: (module, vnode) =>
      present(parts.vnodes, "vnodes").discard(module, vnode),
    originHandedOn: () => void noteOriginHandedOn(parts),
    takeBack: (module, partition) =>
      present(parts.vnodes, "vnodes").takeBack(module, partition),
    call: async (node, method, args) => {
      const link = parts.links?.link(node);
      if (link === undefined) throw notReachable(node);
      return await present(parts.calls, "links").call(link, method, args);
    },
  };
}

/**
 * Tells the cluster that this node holds no data of the ring it came from, if
 * all masters confirm that.
 */
async function noteOriginHandedOn(
  { cluster, vnodes, config, environment }: NodeParts,
): Promise<void> {
  try {
    const held = await vnodes?.heldByAll();
    if (cluster === undefined || held === undefined) return;
    if (hasHandedOnOrigin(cluster.ring, config.name, held)) {
      cluster.originHandedOn();
    }
  } catch (error) {
    if (!isWhorlError(error)) throw error;
    // A master has ended. All are asked again when it is back.
    environment.log.debug("It cannot be told what this node still holds", {
      reason: reasonOf(error),
    });
  }
}

/** Seven random bytes as a number from 1 to 2^53 - 1. */
function secretNumber(bytes: Uint8Array): number {
  let number = (bytes[0] as number) & 0x1f;
  for (let i = 1; i < 7; i++) number = number * 256 + (bytes[i] as number);
  return Math.max(1, number);
}

async function askOwnVnode(
  parts: NodeParts,
  module: string,
  partition: number,
  write: (into: ByteWriter) => void,
  timeoutMs: number,
): Promise<Uint8Array> {
  const vnodes = present(parts.vnodes, "vnodes");
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const into = vnodes.beginRequest(
    moduleIdOf(module),
    partition,
    {
      vnodeAnswer(type, _correlation, bytes, start, end) {
        const body = briefCopyOf(bytes, start, end);
        if (type === FrameType.vnodeError) reject(readFailure(body));
        else resolve(body);
      },
    },
    0,
    timeoutMs,
  );
  if (into instanceof WhorlError) throw into;
  writeVnodeRequestHeader(
    into,
    moduleIdOf(module),
    partition,
    0,
    RequestFlag.handoff,
    timeoutMs,
  );
  write(into);
  vnodes.endRequest();
  return await promise;
}

async function connect(
  parts: NodeParts,
  node: string,
  askVnode: HandoffWorld["askVnode"],
): Promise<BulkConnection> {
  if (node === parts.config.name) return new OwnConnection(parts, askVnode);
  const link = await present(parts.links, "links").openBulk(node);
  const peer = new BulkPeer(
    link,
    present(parts.calls, "links"),
    parts.environment,
  );
  parts.bulkPeers.set(link, peer);
  return peer;
}

/** A transfer from one of this node's partitions to another of its own. */
class OwnConnection implements BulkConnection {
  readonly node: string;
  readonly closed = undefined;
  readonly #parts: NodeParts;
  readonly #askVnode: HandoffWorld["askVnode"];

  constructor(parts: NodeParts, askVnode: HandoffWorld["askVnode"]) {
    this.node = parts.config.name;
    this.#parts = parts;
    this.#askVnode = askVnode;
  }

  async ask(
    ...[module, partition, write, timeoutMs]: Parameters<BulkConnection["ask"]>
  ): Promise<Uint8Array> {
    // Passed on as if it had come over a link, so that it is counted and
    // refused in the same way.
    const request = new ByteWriter(1024);
    writeVnodeRequestHeader(
      request,
      moduleIdOf(module),
      partition,
      0,
      RequestFlag.handoff,
      timeoutMs,
    );
    const bodyAt = request.length;
    write(request);
    const { length } = request;
    let target: AnswerTarget | undefined;
    relayHandoff(
      present(this.#parts.transfers, "handoff"),
      this,
      this.node,
      { vnodeAnswer: () => {} },
      0,
      request.bytes,
      0,
      length,
      (watching) => void (target = watching),
    );
    const answer = await this.#askVnode(
      module,
      partition,
      (into) => into.rawRange(request.bytes, bodyAt, length),
      timeoutMs,
    );
    target?.vnodeAnswer(FrameType.vnodeReply, 0, request.bytes, 0, 0);
    return answer;
  }

  call(method: string, args: unknown): Promise<unknown> {
    return Promise.try(() =>
      handoffCall(this.#parts, this, this.node, method, args)
    );
  }

  close(): void {
    this.#parts.transfers?.inbound.connectionEnded(this);
  }
}

/**
 * Performs a call that came over a bulk connection from `source`.
 *
 * @throws {WhorlError} `handoff_refused`, `protocol_error`, `unknown_command`.
 */
export function handoffCall(
  parts: NodeParts,
  connection: { readonly closed?: unknown },
  source: string,
  method: string,
  args: unknown,
): null | Promise<null> {
  const handoff = present(parts.transfers, "handoff");
  switch (method) {
    case "handoff_begin":
      return handoff.inbound.begins(connection, source, args).then(() => null);
    case "handoff_end":
      handoff.inbound.ended(connection, Number(args));
      return null;
    default:
      throw new WhorlError(
        "unknown_command",
        `Cannot call '${method.slice(0, 100)}' over a bulk connection`,
      );
  }
}
