/**
 * An attempt to connect: the first packet is repeated with doubling pauses
 * until the other system accepts or refuses, the caller gives up, or the system
 * does.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../base/errors.ts";
import type { Address } from "../../environment/transport.ts";
import type { KeptForProcess, NetworkLife } from "./network_life.ts";
import type { NetworkPath } from "./network_path.ts";
import type { SimulatedListener } from "./simulated_listener.ts";
import type { SimulatedStream } from "./simulated_stream.ts";
import type { ScheduledEvent, VirtualTime } from "../virtual_time.ts";

/** Pause before the first packet is sent again; doubles each time. */
export const CONNECT_RETRY_MS = 1_000;
/**
 * How often it is repeated, as `tcp_syn_retries`; all pauses add up to 127 s.
 */
export const CONNECT_RETRIES_MAX = 6;

/** What an attempt needs. */
export interface DialOptions {
  readonly time: VirtualTime;
  readonly life: NetworkLife;
  readonly path: NetworkPath;
  readonly back: NetworkPath;
  readonly address: Address;
  readonly signal: AbortSignal | undefined;
  /** The current listener at that address. */
  readonly listener: () => SimulatedListener | undefined;
  /** The other system has accepted. */
  readonly connected: (listener: SimulatedListener) => SimulatedStream;
  /** The attempt has begun; {@linkcode over} follows. */
  readonly begun: () => void;
  /** The attempt has ended, with or without success. */
  readonly over: (outcome: string) => void;
}

/** Connects as `options` describe. @throws {WhorlError} `not_reachable` */
export function dial(options: DialOptions): Promise<SimulatedStream> {
  const { life, address, signal } = options;
  if (signal?.aborted) {
    return Promise.reject(notReachable(address, reasonOf(signal.reason)));
  }
  // A dead process waits forever.
  if (life.over) return new Promise(() => {});
  return new Promise((resolve, reject) => {
    new SimulatedDial(options, resolve, reject).start();
  });
}

function notReachable(address: Address, reason: string): WhorlError {
  return new WhorlError(
    "not_reachable",
    `Cannot connect to ${address}: ${reason}`,
    { details: { address } },
  );
}

class SimulatedDial implements KeptForProcess {
  readonly #options: DialOptions;
  readonly #resolve: (stream: SimulatedStream) => void;
  readonly #reject: (error: WhorlError) => void;
  #tries = 0;
  #retry: ScheduledEvent | undefined;
  /** Whether the system has finished the attempt. */
  #over = false;
  /** Whether the process has been notified. */
  #told = false;
  readonly #onAbort = (): void =>
    this.#fail(reasonOf(this.#options.signal?.reason), true);

  constructor(
    options: DialOptions,
    resolve: (stream: SimulatedStream) => void,
    reject: (error: WhorlError) => void,
  ) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    this.#options.begun();
    this.#options.life.keep(this);
    this.#options.signal?.addEventListener("abort", this.#onAbort);
    this.#knock();
  }

  #knock(): void {
    if (this.#tries > CONNECT_RETRIES_MAX) {
      return this.#fail("nothing came back", false);
    }
    const { time, path, back } = this.#options;
    this.#retry = time.schedule(
      CONNECT_RETRY_MS * 2 ** this.#tries++,
      () => this.#knock(),
    );
    path.carry(() => {
      const listener = this.#options.listener();
      // A full backlog gives no answer; there may be room next time.
      if (listener?.full) return;
      back.carry(() => {
        if (this.#over) return;
        if (listener === undefined) {
          this.#fail("the connection was refused, nobody listens there", false);
        } else this.#succeed(listener);
      });
    });
  }

  #succeed(listener: SimulatedListener): void {
    this.#end(`${this.#options.address} has answered`);
    const stream = this.#options.connected(listener);
    this.#options.life.call(() => {
      // The signal may have fired while the process was paused, or before it
      // was notified.
      if (this.#told) return stream.close();
      this.#tell();
      this.#resolve(stream);
    });
  }

  #fail(reason: string, atOnce: boolean): void {
    if (this.#told) return;
    if (!this.#over) this.#end(`${this.#options.address}: ${reason}`);
    const fail = () => {
      if (this.#told) return;
      this.#tell();
      this.#reject(notReachable(this.#options.address, reason));
    };
    // The process gave up itself; otherwise it is notified when it runs.
    if (atOnce) fail();
    else this.#options.life.call(fail);
  }

  #tell(): void {
    this.#told = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #end(outcome: string): void {
    this.#over = true;
    const { time, life, over } = this.#options;
    life.forget(this);
    if (this.#retry !== undefined) time.cancel(this.#retry);
    over(outcome);
  }

  processDied(): void {
    this.#told = true;
    this.#end("the process that wanted it died");
  }
}
