/**
 * The process around `node_watcher.ts`: it tells the peers what this node
 * offers, and the subscribers which nodes are up.
 *
 * @module
 */
import { FrameType } from "../wire/frame_type.ts";
import { decodeServices, encodeServices } from "./cluster_codec.ts";
import type { ClusterChange, ClusterWorld } from "./cluster_world.ts";
import {
  createNodeWatcher,
  isNodeUp,
  nodesUp,
  type NodeWatcher,
  type NodeWatcherEvent,
  servicesByNode,
  stepNodeWatcher,
  upNodes,
} from "./node_watcher.ts";

/** The node watcher of one node. */
export class NodeWatcherProcess {
  readonly #watcher: NodeWatcher;
  readonly #send: ClusterWorld["send"];
  readonly #tell: (change: ClusterChange) => void;
  #stopped = false;

  /**
   * @param send Sends a frame, if there is a link to the node.
   * @param tell Tells the subscribers.
   */
  constructor(
    self: string,
    incarnation: number,
    send: ClusterWorld["send"],
    tell: (change: ClusterChange) => void,
  ) {
    this.#watcher = createNodeWatcher(self, incarnation);
    this.#send = send;
    this.#tell = tell;
  }

  /** Nodes that are up, this one included, sorted. */
  get nodesUp(): readonly string[] {
    return nodesUp(this.#watcher);
  }

  /** Whether `node` is up. */
  isUp(node: string): boolean {
    return isNodeUp(this.#watcher, node);
  }

  /** Nodes that offer `service` now, sorted; the same list until it changes. */
  upNodes(service: string): readonly string[] {
    return upNodes(this.#watcher, service);
  }

  /** Services of each node that is up. */
  services(): Record<string, readonly string[]> {
    return servicesByNode(this.#watcher);
  }

  /** Steps the watcher with `event`. */
  step(event: NodeWatcherEvent): void {
    if (this.#stopped) return;
    for (const effect of stepNodeWatcher(this.#watcher, event)) {
      switch (effect.type) {
        case "send_services":
          this.#send(
            effect.to,
            FrameType.services,
            encodeServices(effect.list),
          );
          break;
        case "node_up":
        case "node_down":
          this.#tell(effect);
          break;
        case "service_changed": {
          const { service, up } = effect;
          this.#tell({ type: "services_changed", service, up });
          break;
        }
        default:
          effect satisfies never;
      }
    }
  }

  /** A peer's list of services has arrived. @throws {WhorlError} `protocol_error`. */
  servicesReceived(from: string, payload: Uint8Array): void {
    const list = decodeServices(payload);
    this.step({ type: "services_received", from, list });
  }

  /** Ends. */
  stop(): void {
    this.#stopped = true;
  }
}
