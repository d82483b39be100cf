/**
 * An address on a simulated host that a process listens on.
 *
 * @module
 */
import type {
  Address,
  ByteStream,
  Listener,
} from "../../environment/transport.ts";
import type { KeptForProcess, NetworkLife } from "./network_life.ts";
import type { Accepter, SimulatedStream } from "./simulated_stream.ts";

/**
 * Most connections waiting to be accepted; further requests to connect get no
 * answer. The value that Deno passes to the system.
 */
export const BACKLOG_MAX = 511;

/** Accepts connections for one process. */
export class SimulatedListener implements Listener, Accepter, KeptForProcess {
  readonly address: Address;
  /** The listening process. */
  readonly life: NetworkLife;
  readonly #accept: (stream: ByteStream) => void;
  readonly #forget: () => void;
  #backlog = 0;
  #closed = false;

  constructor(
    address: Address,
    life: NetworkLife,
    accept: (stream: ByteStream) => void,
    forget: () => void,
  ) {
    this.address = address;
    this.life = life;
    this.#accept = accept;
    this.#forget = forget;
    life.keep(this);
  }

  /** Whether the backlog is full. */
  get full(): boolean {
    return this.#backlog >= BACKLOG_MAX;
  }

  hand(stream: SimulatedStream): boolean {
    if (this.#closed) return false;
    this.#backlog++;
    this.life.call(() => {
      this.#backlog--;
      if (this.#closed) stream.close();
      else this.#accept(stream);
    });
    return true;
  }

  close(): void {
    if (this.life.over) return;
    this.#end();
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.life.forget(this);
    this.#forget();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  processDied(): void {
    this.#end();
  }
}
