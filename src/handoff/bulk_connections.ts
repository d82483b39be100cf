/**
 * The connections that carry outbound transfers: one to each node, opened for
 * the first transfer and closed some time after the last.
 *
 * @module
 */
import type { TimerHandle } from "../../supervisors/runtime.ts";
import type { WhorlError } from "../base/errors.ts";
import type { BulkConnection, HandoffWorld } from "./handoff_world.ts";

/** How long an unused connection is kept, in milliseconds. */
export const BULK_IDLE_MS = 5_000;

interface Kept {
  readonly opening: Promise<BulkConnection>;
  connection: BulkConnection | undefined;
  /** Number of transfers that use it. */
  uses: number;
  /** Since when it has been unused. */
  idleMs: number;
}

/** Connections by node; see the module comment. */
export class BulkConnections {
  readonly #world: Pick<HandoffWorld, "runtime" | "connect">;
  readonly #kept = new Map<string, Kept>();
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(world: Pick<HandoffWorld, "runtime" | "connect">) {
    this.#world = world;
  }

  /**
   * Returns the connection to `node`; the caller closes it when done.
   *
   * @throws {WhorlError} As `HandoffWorld.connect`.
   */
  async to(node: string): Promise<BulkConnection> {
    const { runtime } = this.#world;
    let kept = this.#kept.get(node);
    if (kept === undefined || kept.connection?.closed !== undefined) {
      kept = {
        opening: this.#world.connect(node),
        connection: undefined,
        uses: 0,
        idleMs: runtime.now(),
      };
      this.#kept.set(node, kept);
      this.#noteOpened(node, kept);
    }
    const used = kept;
    used.uses++;
    this.#watch();
    const unused = (): void => {
      used.uses--;
      used.idleMs = runtime.now();
    };
    try {
      return new UsedConnection(await used.opening, unused);
    } catch (error) {
      unused();
      throw error;
    }
  }

  #noteOpened(node: string, kept: Kept): void {
    kept.opening.then((connection) => {
      kept.connection = connection;
      if (this.#closed) connection.close();
    }, () => {
      if (this.#kept.get(node) === kept) this.#kept.delete(node);
    });
  }

  /** Checks for unused connections from time to time. */
  #watch(): void {
    if (this.#closed) return;
    this.#timer ??= this.#world.runtime.setTimer(BULK_IDLE_MS, () => {
      this.#timer = undefined;
      const longAgoMs = this.#world.runtime.now() - BULK_IDLE_MS;
      for (const [node, { uses, idleMs, connection }] of this.#kept) {
        if (uses > 0 || idleMs > longAgoMs) continue;
        this.#kept.delete(node);
        connection?.close();
      }
      if (this.#kept.size > 0) this.#watch();
    });
  }

  /** Closes all of them. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
    for (const { connection } of this.#kept.values()) connection?.close();
    this.#kept.clear();
  }
}

/** A connection as used by one transfer, possibly shared with others. */
class UsedConnection implements BulkConnection {
  readonly #connection: BulkConnection;
  readonly #unused: () => void;
  #inUse = true;

  /** @param unused Called once, when this transfer is done with it. */
  constructor(connection: BulkConnection, unused: () => void) {
    this.#connection = connection;
    this.#unused = unused;
  }

  get node(): string {
    return this.#connection.node;
  }

  get closed(): WhorlError | undefined {
    return this.#connection.closed;
  }

  ask(...args: Parameters<BulkConnection["ask"]>): Promise<Uint8Array> {
    return this.#connection.ask(...args);
  }

  call(method: string, args: unknown): Promise<unknown> {
    return this.#connection.call(method, args);
  }

  close(): void {
    if (this.#inUse) this.#unused();
    this.#inUse = false;
  }
}
