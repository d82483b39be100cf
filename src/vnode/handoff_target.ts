/**
 * A vnode that is handed data: it takes batches in their order, acknowledges
 * each when all of it is durable, and says at the end whether it has everything.
 * What it has of a transfer is remembered while the vnode lives, so that one
 * whose connection broke goes on where it was.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import {
  type HandoffBatch,
  HandoffEntry,
  nextHash,
  readBatch,
} from "./handoff_codec.ts";
import type { BackgroundPace } from "./background_pace.ts";
import { HANDOFF_SLICE_MS } from "./handoff_source.ts";
import type { Vnode } from "./vnode.ts";

/** Transfers to one vnode that are remembered; the one that was silent longest is forgotten. */
export const HANDOFF_SESSIONS_MAX = 64;

/** Entries of a batch that is taken without waiting for its turn. */
const UNPACED_ENTRIES_MAX = 64;

/** What a target needs from the vnode around it. */
export interface HandoffTargetHost {
  readonly vnode: Vnode;
  /** Hands an item to the module. */
  takeItem(content: Uint8Array): Promise<void> | void;
  now(): number;
  /** How fast it may go. */
  readonly pace: BackgroundPace;
  /** Resolves in so many milliseconds, when others have had their turn. */
  turn(afterMs: number): Promise<void>;
  /** Runs a command of the module, and resolves when it has been answered. */
  run(command: number, body: Uint8Array): Promise<void>;
  /** An item has come in: a transfer from here must send it on. */
  itemTaken(content: Uint8Array): void;
  /** A batch could not be taken. */
  failed(error: unknown): void;
  /**
   * `undefined` if a batch may be taken now; else resolves when to ask again.
   *
   * @throws If none may be taken any more.
   */
  mayTake(): Promise<void> | undefined;
}

/** What has come of one transfer. */
interface Session {
  /** Batches that are durable. */
  number: number;
  items: number;
  hash: number;
  /** The batch being taken, if there is one. */
  taking: Promise<void> | undefined;
}

/** Items that are being taken in. To count them costs a tenth of gathering their promises. */
class Arrivals {
  #open = 0;
  #failure: { readonly error: unknown } | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Takes another one into account. */
  add(item: Promise<void>): void {
    this.#open++;
    item.then(this.#arrived, this.#failed);
  }

  readonly #arrived = (): void => {
    if (--this.#open === 0) this.#waiting?.resolve();
  };

  readonly #failed = (error: unknown): void => {
    this.#failure ??= { error };
    this.#arrived();
  };

  /** Resolves when none is under way any more. */
  async ended(): Promise<void> {
    if (this.#open === 0) return;
    this.#waiting = Promise.withResolvers();
    await this.#waiting.promise;
  }

  /** Resolves when all have arrived. @throws What the first that failed did with. */
  async all(): Promise<void> {
    await this.ended();
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** What a vnode has been handed; see the module comment. */
export class HandoffTarget {
  readonly #host: HandoffTargetHost;
  /** In the order in which they were heard of last. */
  readonly #sessions = new Map<number, Session>();
  /** Entries of all batches that were begun, for who must know whether there were more. */
  #begun = 0;
  #underWay = 0;
  #untilIdle: (() => void)[] = [];

  constructor(host: HandoffTargetHost) {
    this.#host = host;
  }

  /** Entries of all batches that were begun. */
  get begun(): number {
    return this.#begun;
  }

  /** Resolves once no batch is being taken; whoever asks sees to it that none is begun meanwhile. */
  async idle(): Promise<void> {
    while (this.#underWay > 0) {
      await new Promise<void>((resolve) => this.#untilIdle.push(resolve));
    }
  }

  /** The last batch of `transfer` that is here; 0 if it is not known. */
  async offered(transfer: number): Promise<number> {
    // What is left of a transfer that was broken off must not come after what
    // the next one brings, where the later one overwrites.
    if (this.#host.vnode.itemAt === undefined) {
      const others = [...this.#sessions.values()].map(({ taking }) => taking);
      await Promise.allSettled(others);
    }
    const session = this.#session(transfer);
    // One that was under way when the connection broke counts if it succeeds.
    await session.taking?.catch(() => {});
    return session.number;
  }

  #session(transfer: number): Session {
    const session = this.#sessions.get(transfer) ??
      { number: 0, items: 0, hash: 0, taking: undefined };
    this.#sessions.delete(transfer);
    this.#sessions.set(transfer, session);
    if (this.#sessions.size > HANDOFF_SESSIONS_MAX) {
      const [oldest] = this.#sessions.keys();
      this.#sessions.delete(oldest as number);
    }
    return session;
  }

  /**
   * Takes the batch at which `from` stands; resolves to its number when it is
   * durable. Batches of one transfer are taken one after the other.
   *
   * @throws {WhorlError} `protocol_error` if it was damaged, `handoff_mismatch` if
   * one before it is missing, or what the module failed with.
   */
  async take(transfer: number, from: ByteReader): Promise<number> {
    const session = this.#session(transfer);
    const batch = readBatch(from);
    const before = session.taking;
    const { promise, resolve } = Promise.withResolvers<void>();
    session.taking = promise;
    try {
      await before;
      if (batch.number > session.number + 1) {
        throw new WhorlError(
          "handoff_mismatch",
          `Cannot take batch ${batch.number} of a handoff as the next one must be ${
            session.number + 1
          }`,
        );
      }
      if (batch.number === session.number + 1) {
        await this.#applyAll(batch);
        session.number = batch.number;
        session.items += batch.entries.length;
        session.hash = nextHash(session.hash, batch.checksum);
      }
      return batch.number;
    } finally {
      resolve();
    }
  }

  /**
   * Takes the batch at which `from` stands, which is one of a spread: others may
   * come before or after it. Resolves when it is durable.
   *
   * @throws {WhorlError} `protocol_error` if it was damaged, or what the module failed with.
   */
  async takeSpread(from: ByteReader): Promise<void> {
    const batch = readBatch(from);
    await this.#applyAll(batch);
  }

  /** Applies a batch once that may be. */
  async #applyAll(batch: HandoffBatch): Promise<void> {
    const host = this.#host;
    // It counts as begun in the same turn in which it is permitted, or the vnode
    // could be emptied between the two.
    for (let wait = host.mayTake(); wait; wait = host.mayTake()) await wait;
    this.#begun += batch.entries.length;
    this.#underWay++;
    try {
      await this.#apply(batch);
    } catch (error) {
      this.#host.failed(error);
      throw error;
    } finally {
      this.#underWay--;
      for (const resolve of this.#untilIdle.splice(0)) resolve();
    }
  }

  async #apply({ entries }: HandoffBatch): Promise<void> {
    const host = this.#host;
    const taken = new Arrivals();
    let beganMs = host.now();
    // A few are what somebody stands still for.
    const waitMs = host.pace.waitMs(beganMs);
    if (waitMs > 0 && entries.length > UNPACED_ENTRIES_MAX) {
      await host.turn(waitMs);
      beganMs = host.now();
    }
    try {
      for (const { kind, command, content } of entries) {
        if (kind === HandoffEntry.command) {
          // It may be about an item before it.
          await taken.all();
          await host.run(command, content);
        } else {
          const done = host.takeItem(content);
          host.itemTaken(content);
          if (done instanceof Promise) taken.add(done);
        }
        const nowMs = host.now();
        if (nowMs < beganMs + HANDOFF_SLICE_MS) continue;
        host.pace.worked(beganMs, nowMs);
        await host.turn(host.pace.waitMs(nowMs));
        beganMs = host.now();
      }
      host.pace.worked(beganMs, host.now());
    } finally {
      // Also of a batch that failed: nothing of it comes after its end.
      await taken.ended();
    }
    await taken.all();
  }

  /**
   * Says that everything has arrived.
   *
   * @throws {WhorlError} `handoff_mismatch` if it has not; the transfer is then
   * forgotten, so that it begins anew.
   */
  async complete(transfer: number, items: number, hash: number): Promise<void> {
    const session = this.#session(transfer);
    await session.taking?.catch(() => {});
    this.#sessions.delete(transfer);
    if (session.items === items && session.hash === hash) return;
    throw new WhorlError(
      "handoff_mismatch",
      `Cannot end a handoff as what was sent must have arrived: ${items} items were sent and ${session.items} arrived, ${
        session.hash === hash ? "with" : "without"
      } the same checksums`,
      { details: { sent: items, arrived: session.items } },
    );
  }
}
