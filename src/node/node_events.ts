/**
 * The events of a node, and their subscribers.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import type { ClusterChange } from "../cluster/cluster_world.ts";
import type { Log } from "../environment/log.ts";
import type { SenderOutcome } from "../handoff/sender_fsm.ts";
import type { WantedTransfer } from "../handoff/transfer_plan.ts";
import { EventStream } from "./event_stream.ts";
import type { VnodeManagerEvent } from "./vnode_manager.ts";

/** What subscribers of a node are told. */
export type NodeEvent =
  | ClusterChange
  | VnodeManagerEvent
  /** A transfer of data from this node has ended. */
  | {
    readonly type: "transfer";
    readonly transfer: WantedTransfer;
    readonly outcome: SenderOutcome;
  }
  /** A partition of this node has been rebuilt from its neighbours. */
  | {
    readonly type: "repaired";
    readonly module: string;
    readonly partition: number;
  }
  /** A part of the node, or one that it depends on, has failed and was restarted. */
  | { readonly type: "part_restarted"; readonly part: string }
  /** The node cannot continue: its process should end and be restarted. */
  | { readonly type: "failed"; readonly reason: string };

/** A {@linkcode NodeEvent} of one of these types. */
export type NodeEventOf<T extends NodeEvent["type"]> =
  // Some members of the union stand for several types.
  NodeEvent extends infer Event
    ? Event extends { readonly type: infer Type }
      ? [T & Type] extends [never] ? never
      : Event & { readonly type: T & Type }
    : never
    : never;

/** The subscribers of one node. */
export class NodeSubscribers {
  readonly #log: Log;
  readonly #listeners = new Set<(event: NodeEvent) => void>();
  /** Event streams in use; they end with the node. */
  readonly #streams = new Set<{ end(): void }>();
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Calls `listener` on every event until the returned function is called. */
  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The events of `types` from now on, or all events if none are given. */
  events<T extends NodeEvent["type"]>(
    types: readonly T[],
  ): EventStream<NodeEventOf<T>> {
    const wanted: ReadonlySet<string> = new Set(types);
    const unsubscribe = this.subscribe((event) => {
      if (wanted.size > 0 && !wanted.has(event.type)) return;
      stream.push(event as NodeEventOf<T>);
    });
    const stream = new EventStream<NodeEventOf<T>>(() => {
      unsubscribe();
      this.#streams.delete(stream);
    });
    if (this.#closed) stream.end();
    else this.#streams.add(stream);
    return stream;
  }

  /** Tells all subscribers. */
  tell(event: NodeEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        // A subscriber's failure is its own; the others must still hear.
        this.#log.error("A subscriber to node events failed", {
          event: event.type,
          reason: reasonOf(error),
        });
      }
    }
  }

  /** Streams that begin from now on end at once: the node is stopping. */
  closing(): void {
    this.#closed = true;
  }

  /** The node has stopped: no subscriber is told anything from now on. */
  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    for (const stream of [...this.#streams]) stream.end();
  }
}
