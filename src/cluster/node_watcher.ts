/**
 * Which nodes are up and which services each of them offers. A node sends its
 * list to the others when it changes, when one of them comes up, and
 * periodically in case a message was lost. The first list that a watcher sends
 * to a peer has version 0, later ones have higher versions: so the peer can
 * tell a watcher that was restarted while its node went on, which counts from
 * the beginning and knows no list of others. A suspected or lost node counts as
 * serving nothing; one that was only suspected serves again as soon as it
 * answers.
 *
 * After `riak_core_node_watcher`; pure, the shell sends and publishes.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import { type ServiceList, SERVICES_MAX } from "./cluster_codec.ts";

/** Version of the first list that a watcher sends to a peer. */
const VERSION_FIRST = 0;

/** Inputs of the watcher. */
export type NodeWatcherEvent =
  | { type: "service_up"; service: string }
  | { type: "service_down"; service: string }
  | { type: "peer_up"; node: string }
  | { type: "peer_down"; node: string; reason: string }
  /** The failure detector suspects the node, or no longer does. */
  | { type: "peer_suspect"; node: string }
  | { type: "peer_alive"; node: string }
  | { type: "services_received"; from: string; list: ServiceList }
  /** Time to send the list to all, in case a message was lost. */
  | { type: "broadcast" };

/** What the watcher asks its shell to do, in this order. */
export type NodeWatcherEffect =
  | { type: "send_services"; to: string; list: ServiceList }
  | { type: "node_up"; node: string }
  | { type: "node_down"; node: string; reason: string }
  /** The nodes that offer `service` are now `up`, sorted. */
  | { type: "service_changed"; service: string; up: readonly string[] };

interface Peer {
  connected: boolean;
  suspect: boolean;
  incarnation: number;
  version: number;
  services: readonly string[];
}

/** What a node knows about the services of all nodes. */
export interface NodeWatcher {
  readonly self: string;
  readonly incarnation: number;
  version: number;
  readonly services: Set<string>;
  readonly peers: Map<string, Peer>;
  /** The up nodes of each service, precomputed for requests. */
  readonly upByService: Map<string, readonly string[]>;
}

/** @param incarnation Increases with each start of this node, so that its new lists replace its old ones. */
export function createNodeWatcher(
  self: string,
  incarnation: number,
): NodeWatcher {
  return {
    self,
    incarnation,
    version: VERSION_FIRST + 1,
    services: new Set(),
    peers: new Map(),
    upByService: new Map(),
  };
}

/** Nodes that offer `service` now, sorted. */
export function upNodes(
  watcher: NodeWatcher,
  service: string,
): readonly string[] {
  return watcher.upByService.get(service) ?? [];
}

/** Nodes that are up, this one included, sorted. */
export function nodesUp(watcher: NodeWatcher): string[] {
  const nodes = [watcher.self];
  for (const [node, peer] of watcher.peers) if (isUp(peer)) nodes.push(node);
  return nodes.sort(compareTexts);
}

/** Whether `node` is up. */
export function isNodeUp(watcher: NodeWatcher, node: string): boolean {
  const peer = watcher.peers.get(node);
  return node === watcher.self || peer !== undefined && isUp(peer);
}

/** The services of each node that is up, sorted. */
export function servicesByNode(
  watcher: NodeWatcher,
): Record<string, readonly string[]> {
  const services: Record<string, readonly string[]> = {};
  for (const node of nodesUp(watcher)) {
    services[node] = node === watcher.self
      ? ownServices(watcher)
      : watcher.peers.get(node)?.services ?? [];
  }
  return services;
}

/** Advances the watcher by one event; `watcher` has one owner and changes in place. */
export function stepNodeWatcher(
  watcher: NodeWatcher,
  event: NodeWatcherEvent,
): NodeWatcherEffect[] {
  switch (event.type) {
    case "service_up":
      if (
        watcher.services.has(event.service) ||
        watcher.services.size >= SERVICES_MAX
      ) return [];
      watcher.services.add(event.service);
      watcher.version++;
      return [...tellAll(watcher), ...refresh(watcher, [event.service])];
    case "service_down":
      if (!watcher.services.delete(event.service)) return [];
      watcher.version++;
      return [...tellAll(watcher), ...refresh(watcher, [event.service])];
    case "peer_up": {
      const peer = peerOf(watcher, event.node);
      const wasUp = isUp(peer);
      peer.connected = true;
      peer.suspect = false;
      return [
        ...wasUp ? [] : [{ type: "node_up" as const, node: event.node }],
        ...refresh(watcher, peer.services),
        {
          type: "send_services",
          to: event.node,
          list: { ...ownList(watcher), version: VERSION_FIRST },
        },
      ];
    }
    case "peer_down":
      return lost(watcher, event.node, event.reason);
    case "peer_suspect":
    case "peer_alive":
      return doubted(watcher, event.node, event.type === "peer_suspect");
    case "services_received":
      return received(watcher, event.from, event.list);
    case "broadcast":
      return tellAll(watcher);
    default:
      return event satisfies never;
  }
}

function isUp(peer: Peer): boolean {
  return peer.connected && !peer.suspect;
}

function peerOf(watcher: NodeWatcher, node: string): Peer {
  let peer = watcher.peers.get(node);
  if (peer === undefined) {
    peer = {
      connected: false,
      suspect: false,
      incarnation: -1,
      version: -1,
      services: [],
    };
    watcher.peers.set(node, peer);
  }
  return peer;
}

function lost(
  watcher: NodeWatcher,
  node: string,
  reason: string,
): NodeWatcherEffect[] {
  const peer = watcher.peers.get(node);
  if (peer === undefined) return [];
  const wasUp = isUp(peer);
  // It sends its services again when it is back.
  watcher.peers.delete(node);
  return wasUp
    ? [
      { type: "node_down", node, reason },
      ...refresh(watcher, peer.services),
    ]
    : [];
}

function doubted(
  watcher: NodeWatcher,
  node: string,
  suspect: boolean,
): NodeWatcherEffect[] {
  const peer = watcher.peers.get(node);
  if (peer === undefined || !peer.connected || peer.suspect === suspect) {
    return [];
  }
  peer.suspect = suspect;
  return [
    suspect
      ? { type: "node_down", node, reason: "suspected" }
      : { type: "node_up", node },
    ...refresh(watcher, peer.services),
  ];
}

function received(
  watcher: NodeWatcher,
  from: string,
  list: ServiceList,
): NodeWatcherEffect[] {
  if (from === watcher.self) return [];
  const peer = peerOf(watcher, from);
  const isNewer = list.incarnation > peer.incarnation ||
    list.incarnation === peer.incarnation && list.version > peer.version;
  // Lists of one watcher arrive in order, so this is the first one of another:
  // the sender's was restarted alone, and has forgotten our list as well. The
  // answer has a later version, so it is not answered in turn.
  const startedAnew = list.incarnation === peer.incarnation &&
    list.version === VERSION_FIRST;
  if (!isNewer && !startedAnew) return [];
  const affected = new Set([...peer.services, ...list.services]);
  peer.incarnation = list.incarnation;
  peer.version = list.version;
  peer.services = [...new Set(list.services)].sort(compareTexts);
  const changes = refresh(watcher, affected);
  return startedAnew
    ? [...changes, { type: "send_services", to: from, list: ownList(watcher) }]
    : changes;
}

/** Recounts who offers each of `services` and says which have changed. */
function refresh(
  watcher: NodeWatcher,
  services: Iterable<string>,
): NodeWatcherEffect[] {
  const effects: NodeWatcherEffect[] = [];
  for (const service of services) {
    const before = upNodes(watcher, service);
    const up: string[] = watcher.services.has(service) ? [watcher.self] : [];
    for (const [node, peer] of watcher.peers) {
      if (isUp(peer) && peer.services.includes(service)) up.push(node);
    }
    up.sort(compareTexts);
    if (
      up.length === before.length && up.every((node, i) => node === before[i])
    ) continue;
    if (up.length === 0) watcher.upByService.delete(service);
    else watcher.upByService.set(service, up);
    effects.push({ type: "service_changed", service, up });
  }
  return effects;
}

function ownServices(watcher: NodeWatcher): string[] {
  return [...watcher.services].sort(compareTexts);
}

function ownList(watcher: NodeWatcher): ServiceList {
  return {
    incarnation: watcher.incarnation,
    version: watcher.version,
    services: ownServices(watcher),
  };
}

function tellAll(watcher: NodeWatcher): NodeWatcherEffect[] {
  const list = ownList(watcher);
  const effects: NodeWatcherEffect[] = [];
  for (const [to, peer] of watcher.peers) {
    if (peer.connected) effects.push({ type: "send_services", to, list });
  }
  return effects;
}
