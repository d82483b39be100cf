/**
 * `transport_sup`: the node's listener and links, and the handling of the
 * frames that arrive on them.
 *
 * Peers may send every type of frame. Clients may only send calls and
 * operations, and bulk links only transfers and snapshots.
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";
import { TurnClock } from "../environment/turn_clock.ts";
import {
  isCoverageKind,
  OPERATION_TIME_LEFT_OFFSET,
  OperationKind,
} from "../request/operation_codec.ts";
import { MemberMeta, memberMeta, memberStatus } from "../ring/ring.ts";
import { Cookie } from "../transport/cookie.ts";
import {
  type Link,
  type LinkHandler,
  sendUnknownType,
} from "../transport/link.ts";
import { answerCall, LinkCalls, readCall } from "../transport/link_calls.ts";
import { PeerLinks } from "../transport/peer_links.ts";
import { FrameType } from "../wire/frame_type.ts";
import { answerFailure } from "../vnode/vnode_master_link.ts";
import {
  RequestFlag,
  VNODE_REQUEST_FLAGS_OFFSET,
  VNODE_REQUEST_TIME_LEFT_OFFSET,
} from "../vnode/vnode_wire.ts";
import { relayHandoff } from "./bulk_peer.ts";
import type { Departure } from "./departure.ts";
import { handoffCall } from "./handoff_sup.ts";
import { HeldByNode, LinkAnswers } from "./link_answers.ts";
import { LinkQueries } from "./link_queries.ts";
import { LinkStreams } from "./link_streams.ts";
import {
  nodeSuspected,
  PeerRequestTarget,
  RemoteOperationTarget,
} from "./node_routes.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { askSupport } from "./peer_support.ts";
import { ResourceChild } from "./resource_child.ts";

/** Answers calls that arrive from peers and clients. */
export type CallHandler = (method: string, args: unknown) => unknown;

/** The supervisor of the node's links. */
export function transportSup(
  parts: NodeParts,
  handleCall: CallHandler,
): ChildSpec {
  return {
    id: "transport_sup",
    type: "supervisor",
    start: (signal) =>
      startSupervisor({
        name: "transport_sup",
        runtime: parts.environment,
        signal,
        onReport: (report) => parts.onReport(report),
        children: [{
          id: "peer_links",
          start: () => startLinks(parts, handleCall),
        }],
      }),
  };
}

async function startLinks(
  parts: NodeParts,
  handleCall: CallHandler,
): Promise<ResourceChild> {
  const { environment, config } = parts;
  const home = present(parts.home, "home");
  const calls = new LinkCalls(environment);
  const answersOf = answersByLink(environment, parts.departure);
  // A listing of a consistent bucket has no coordinator.
  const queriesOf = byLink(() =>
    new LinkQueries(
      () => ({
        submit: (bytes, start, end, target) =>
          parts.carrierOf(bytes, start, end)?.submit(
            bytes,
            start,
            end,
            target,
          ),
      }),
      () => environment.now(),
    )
  );
  const streamsOf = byLink(() =>
    new LinkStreams((...request) => parts.vnodes?.relay(...request))
  );
  const onFrame = frameHandler(
    parts,
    calls,
    answersOf,
    queriesOf,
    streamsOf,
    handleCall,
  );
  /** Cancels queries and streams of a link that has ended. */
  const abandoned = (link: Link): void => {
    queriesOf(link).close();
    streamsOf(link).close();
  };
  const links = new PeerLinks({
    runtime: environment,
    log: environment.log.child("links"),
    transport: environment.transport,
    secretBytes: (count) => environment.secretBytes(count),
    cookie: new Cookie(config.cookie),
    identity: {
      name: config.name,
      nodeId: home.nodeId,
      incarnation: home.incarnation,
      cluster: config.clusterName,
    },
    addressOverrides: config.peers,
    knownIdentity: (name) => {
      const ring = parts.cluster?.ring;
      // The name of a removed member may be used again.
      const nodeId = ring === undefined ||
          memberStatus(ring, name) === "invalid"
        ? undefined
        : memberMeta(ring, name, MemberMeta.nodeId);
      return typeof nodeId === "string" ? { nodeId } : undefined;
    },
    events: {
      onUp: (link) => {
        if (parts.cluster === undefined) return;
        parts.cluster.peerUp(link.peer.name);
        askSupport(parts, link);
        parts.raft?.peerUp(link.peer.name);
      },
      onDown: (name, closed, link) => {
        calls.linkClosed(link, closed.message);
        abandoned(link);
        const lost = () =>
          new WhorlError(
            "connection_closed",
            `The connection to ${name} ended: ${closed.message}`,
            { details: { node: name } },
          );
        for (const sender of parts.senders) sender.nodeLost(name, lost);
        parts.cluster?.peerDown(name, closed.message);
        parts.raft?.peerDown(name);
      },
      onSuspect: (name) => {
        // Requests from now on use a ring without this node.
        parts.cluster?.suspect(name);
        for (const sender of parts.senders) {
          sender.nodeLost(name, () => nodeSuspected(name));
        }
        parts.raft?.peerDown(name);
      },
      onAlive: (name) => {
        parts.cluster?.alive(name);
        parts.raft?.peerUp(name);
      },
      onFrame,
      onClientUp: () => {},
      onClientDown: (link, closed) => {
        calls.linkClosed(link, closed.message);
        abandoned(link);
      },
      onBulkUp: () => {},
      onBulkDown: (link, closed) => {
        calls.linkClosed(link, closed.message);
        parts.bulkPeers.get(link)?.ended(closed.message);
        parts.transfers?.inbound.connectionEnded(link);
        parts.raft?.connectionEnded(link);
      },
    },
  });
  try {
    parts.listening = await links.listen(parts.listening ?? config.listen);
  } catch (error) {
    await links.close();
    throw error;
  }
  parts.links = links;
  // If only the links were restarted, the ring does not change, so nothing else
  // would set the peers.
  links.setPeers(parts.peers);
  parts.calls = calls;
  return new ResourceChild("peer_links", async () => {
    if (parts.links === links) parts.links = undefined;
    calls.close();
    await links.close();
  });
}

/** @internal Handles the frames that arrive. */
export function frameHandler(
  parts: NodeParts,
  calls: LinkCalls,
  answersOf: (link: Link) => LinkAnswers,
  queriesOf: (link: Link) => LinkQueries,
  streamsOf: (link: Link) => LinkStreams,
  handleCall: CallHandler,
): LinkHandler["onFrame"] {
  const bulkFrame = bulkFrameHandler(parts, calls, answersOf);
  return (link, type, _flags, correlation, bytes, start, end) => {
    const isPeer = link.peer.kind === "peer";
    if (link.peer.kind === "bulk") {
      bulkFrame(link, type, correlation, bytes, start, end);
      return;
    }
    switch (type) {
      case FrameType.vnodeRequest: {
        if (!isPeer) break;
        const target = new PeerRequestTarget(
          answersOf(link),
          u32At(bytes, start + VNODE_REQUEST_TIME_LEFT_OFFSET, end),
        );
        const { vnodes } = parts;
        const departed = parts.departure();
        if (vnodes === undefined || departed !== undefined) {
          answerFailure(target, correlation, departed ?? stopping());
          return;
        }
        const flags = bytes[start + VNODE_REQUEST_FLAGS_OFFSET] ?? 0;
        if (flags & RequestFlag.handoff) {
          // A transfer uses the bulk link over which it was accepted.
          answerFailure(target, correlation, notHere());
          return;
        }
        const { door, cluster } = parts;
        const { name } = link.peer;
        const refusal = door.refuse(name, bytes, start, end, cluster?.ring);
        if (refusal !== undefined) {
          answerFailure(target, correlation, refusal);
          return;
        }
        vnodes.relay(
          flags & RequestFlag.coverage
            ? streamsOf(link).watch(bytes, start, end, target)
            : target,
          correlation,
          bytes,
          start,
          end,
        );
        return;
      }
      case FrameType.vnodeReply:
      case FrameType.vnodeAccepted:
      case FrameType.vnodeError:
        if (!isPeer) break;
        parts.askedBy(correlation)
          ?.vnodeAnswer(type, correlation, bytes, start, end);
        return;
      case FrameType.operation: {
        const target = new RemoteOperationTarget(
          answersOf(link),
          correlation,
          u32At(bytes, start + OPERATION_TIME_LEFT_OFFSET, end),
        );
        const carrier = parts.carrierOf(bytes, start, end);
        if (carrier === undefined) {
          target.operationFailed(
            bytes[start] === OperationKind.raft
              ? notServing()
              : parts.departure() ?? stopping(),
          );
          return;
        }
        carrier.submit(
          bytes,
          start,
          end,
          isCoverageKind(bytes[start])
            ? queriesOf(link).watch(bytes, start, end, target)
            : target,
        );
        return;
      }
      case FrameType.operationReply:
      case FrameType.operationError:
        if (!isPeer) break;
        parts.sentOnBy(correlation)
          ?.operationAnswer(type, correlation, bytes, start, end);
        return;
      case FrameType.raftMessage:
      case FrameType.raftHeartbeats:
      case FrameType.raftHeartbeatsReply:
        if (!isPeer) break;
        parts.raft?.handleFrame(link.peer.name, type, bytes, start, end);
        return;
      case FrameType.call: {
        const { method, args } = readCall(bytes.subarray(start, end));
        const { name } = link.peer;
        answerCall(
          link,
          correlation,
          () =>
            isPeer && PEER_CALLS.has(method)
              ? peerCall(parts, name, method, args)
              : handleCall(method, args),
        ).catch((error) =>
          parts.environment.log.error("Cannot answer a call", {
            peer: name,
            method,
            error: reasonOf(error),
          })
        );
        return;
      }
      case FrameType.callReply:
      case FrameType.callError:
        // Nodes do not call clients, so no client has an answer to send.
        if (link.peer.kind === "client") break;
        calls.answered(link, type, correlation, bytes.subarray(start, end));
        return;
      case FrameType.unknownType:
        parts.environment.log.warn("A peer does not know a frame we sent", {
          peer: link.peer.name,
          type: bytes[start],
        });
        return;
      case FrameType.ringDigest:
      case FrameType.ring:
      case FrameType.services:
      case FrameType.joinRequest:
      case FrameType.joinReply:
        if (!isPeer) break;
        parts.cluster?.handleFrame(
          link.peer.name,
          type,
          bytes.subarray(start, end),
        );
        return;
    }
    sendUnknownType(link, type, correlation);
  };
}

/** Methods that only nodes call on each other. */
const PEER_CALLS: ReadonlySet<string> = new Set([
  "handoff_repair",
  "handoff_repair_refused",
  "raft_rejoin",
  "raft_standing",
]);

function peerCall(
  parts: NodeParts,
  name: string,
  method: string,
  args: unknown,
): unknown {
  if (method === "raft_rejoin") {
    return present(parts.raft, "Raft system").rejoin(name, args);
  }
  if (method === "raft_standing") {
    return present(parts.raft, "Raft system").standing(args);
  }
  const { repairing } = present(parts.transfers, "handoff");
  if (method === "handoff_repair") repairing.shareRequested(name, args);
  else repairing.shareRefused(args);
  return null;
}

/**
 * Handles the frames of bulk links: transfers and snapshots of Raft groups
 * only.
 */
function bulkFrameHandler(
  parts: NodeParts,
  calls: LinkCalls,
  answersOf: (link: Link) => LinkAnswers,
): (
  link: Link,
  type: number,
  correlation: number,
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
) => void {
  return (link, type, correlation, bytes, start, end) => {
    switch (type) {
      case FrameType.vnodeRequest: {
        const target = new PeerRequestTarget(
          answersOf(link),
          u32At(bytes, start + VNODE_REQUEST_TIME_LEFT_OFFSET, end),
        );
        const { transfers: handoff, vnodes } = parts;
        const departed = parts.departure();
        if (
          handoff === undefined || vnodes === undefined ||
          departed !== undefined
        ) {
          answerFailure(target, correlation, departed ?? stopping());
          return;
        }
        try {
          relayHandoff(
            handoff,
            link,
            link.peer.name,
            target,
            correlation,
            bytes,
            start,
            end,
            (...request) => vnodes.relay(...request),
          );
        } catch (error) {
          if (!isWhorlError(error, "handoff_refused")) throw error;
          answerFailure(target, correlation, error);
        }
        return;
      }
      case FrameType.vnodeReply:
      case FrameType.vnodeError:
        parts.bulkPeers.get(link)?.answered(
          type,
          correlation,
          bytes.subarray(start, end),
        );
        return;
      case FrameType.call: {
        const { method, args } = readCall(bytes.subarray(start, end));
        answerCall(
          link,
          correlation,
          () => bulkCall(parts, link, method, args),
        ).catch((error) =>
          parts.environment.log.error("Cannot answer a call", {
            peer: link.peer.name,
            method,
            error: reasonOf(error),
          })
        );
        return;
      }
      case FrameType.callReply:
      case FrameType.callError:
        calls.answered(link, type, correlation, bytes.subarray(start, end));
        return;
      default:
        sendUnknownType(link, type, correlation);
    }
  };
}

/**
 * Performs a call that came over a bulk link, of a handoff or of a snapshot.
 */
function bulkCall(
  parts: NodeParts,
  link: Link,
  method: string,
  args: unknown,
): unknown {
  const { name } = link.peer;
  return method.startsWith("raft_snapshot_")
    ? present(parts.raft, "Raft system").snapshotCall(link, name, method, args)
    : handoffCall(parts, link, name, method, args);
}

/**
 * Fetches from the node at `address` what a joining node needs to know of it.
 */
export async function fetchJoinOffer(
  parts: NodeParts,
  address: Address,
): Promise<Uint8Array> {
  const links = present(parts.links, "links");
  const calls = present(parts.calls, "links");
  const ask = async (): Promise<unknown> =>
    await calls.call(await links.connectTo(address), "join_offer", null);
  const offer = await ask().catch((error) => {
    // The call used a link of this node's previous membership, which the other
    // end was closing.
    if (isWhorlError(error, "connection_closed")) return ask();
    throw error;
  });
  if (!(offer instanceof Uint8Array)) {
    throw new WhorlError(
      "protocol_error",
      `Cannot read what ${address} offers to one that wants to join`,
    );
  }
  return offer;
}

/** Returns the answers of each link. */
function answersByLink(
  runtime: Runtime,
  departure: Departure,
): (link: Link) => LinkAnswers {
  const clock = new TurnClock(runtime);
  const heldByNode = new HeldByNode();
  return byLink((link) => new LinkAnswers(link, clock, heldByNode, departure));
}

/** A value for each link, created when first requested. */
function byLink<Part>(make: (link: Link) => Part): (link: Link) => Part {
  const parts = new WeakMap<Link, Part>();
  return (link) => {
    let found = parts.get(link);
    if (found === undefined) {
      found = make(link);
      parts.set(link, found);
    }
    return found;
  };
}

/**
 * The number at `at`, or 0 if the request is cut short, which its receiver
 * refuses.
 */
function u32At(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) return 0;
  return ((bytes[at] as number) * 0x100_0000) +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number));
}

function notHere(): WhorlError {
  return new WhorlError(
    "handoff_refused",
    "Cannot take a part of a handoff over a link that is not for handoffs",
  );
}

/** The operation was not accepted, so its sender may send it elsewhere. */
function notServing(): WhorlError {
  return new WhorlError(
    "not_leader",
    "The node is starting or stopping and leads no Raft group",
  );
}

function stopping(): WhorlError {
  return new WhorlError("closed", "The node is starting or stopping");
}
