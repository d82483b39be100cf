/**
 * The transport of real nodes: TCP through `Deno.listen` and `Deno.connect`,
 * with Nagle's algorithm off, because the layers above already gather small
 * writes.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type {
  Address,
  ByteStream,
  Listener,
  Transport,
} from "../environment/transport.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { formatAddress, parseAddress } from "./address.ts";

/** Pause after a failed accept, as when the process has no file descriptors left, in milliseconds. */
export const ACCEPT_PAUSE_MS = 50;

/** What the TCP transport needs. */
export interface TcpTransportOptions {
  readonly runtime: Runtime;
  readonly log: Log;
}

/** A transport over TCP. */
export function tcpTransport(options: TcpTransportOptions): Transport {
  return {
    // An async function, so that a bad address rejects like every other failure.
    // deno-lint-ignore require-await
    async listen(address, accept): Promise<Listener> {
      return new TcpListener(listenOn(address), options, accept);
    },
    async connect(address, { signal } = {}): Promise<ByteStream> {
      const { host, port } = parseAddress(address);
      let connection: Deno.TcpConn;
      try {
        signal?.throwIfAborted();
        connection = await Deno.connect({
          hostname: host,
          port,
          ...(signal === undefined ? {} : { signal }),
        });
      } catch (cause) {
        throw notReachable(address, cause);
      }
      if (signal?.aborted) {
        // The signal fired between connecting and this turn.
        connection.close();
        throw notReachable(address, signal.reason);
      }
      try {
        return new TcpStream(connection);
      } catch (cause) {
        throw notReachable(address, cause);
      }
    },
  };
}

function notReachable(address: Address, cause: unknown): WhorlError {
  return new WhorlError(
    "not_reachable",
    `Cannot connect to ${address}: ${reasonOf(cause)}`,
    { details: { address }, cause },
  );
}

function listenOn(address: Address): Deno.TcpListener {
  const { host, port } = parseAddress(address);
  try {
    return Deno.listen({ hostname: host, port });
  } catch (cause) {
    throw cause instanceof Deno.errors.AddrInUse
      ? new WhorlError(
        "address_in_use",
        `Cannot listen on ${address} as the address is in use`,
        { details: { address }, cause },
      )
      : new WhorlError(
        "not_reachable",
        `Cannot listen on ${address}: ${reasonOf(cause)}`,
        { details: { address }, cause },
      );
  }
}

function addressOf(address: Deno.NetAddr): Address {
  return formatAddress(address.hostname, address.port);
}

class TcpListener implements Listener {
  readonly address: Address;
  readonly #listener: Deno.TcpListener;
  readonly #options: TcpTransportOptions;
  readonly #loop: Promise<void>;
  #closed = false;
  #pause: { timer: TimerHandle; wake: () => void } | undefined;

  constructor(
    listener: Deno.TcpListener,
    options: TcpTransportOptions,
    accept: (stream: ByteStream) => void,
  ) {
    this.#listener = listener;
    this.#options = options;
    this.address = addressOf(listener.addr as Deno.NetAddr);
    this.#loop = this.#acceptAll(accept);
  }

  /** Accepts until closed; no failure of accepting ends it sooner. */
  async #acceptAll(accept: (stream: ByteStream) => void): Promise<void> {
    let failing = false;
    while (!this.#closed) {
      let stream: TcpStream;
      try {
        stream = new TcpStream(await this.#listener.accept());
        failing = false;
      } catch (error) {
        if (this.#closed) return;
        // Out of file descriptors, or a connection that was reset while it
        // waited: the listener itself still works. Logged once for a run of
        // failures.
        if (!failing) {
          this.#options.log.warn("Accepting connections pauses", {
            address: this.address,
            pauseMs: ACCEPT_PAUSE_MS,
            reason: reasonOf(error),
          });
        }
        failing = true;
        await this.#rest();
        continue;
      }
      accept(stream);
    }
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#pause = undefined;
        resolve();
      };
      const timer = this.#options.runtime.setTimer(ACCEPT_PAUSE_MS, wake);
      this.#pause = { timer, wake };
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    if (this.#pause !== undefined) {
      this.#options.runtime.clearTimer(this.#pause.timer);
      this.#pause.wake();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#loop;
  }
}

class TcpStream implements ByteStream {
  readonly remoteAddress: Address;
  readonly #connection: Deno.TcpConn;
  #closed = false;

  /** Takes over `connection` and closes it if it is already broken. */
  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    this.remoteAddress = addressOf(connection.remoteAddr as Deno.NetAddr);
    try {
      connection.setNoDelay(true);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    try {
      return await this.#connection.read(into);
    } catch (cause) {
      throw this.#broken("read from", cause);
    }
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      let written = await this.#connection.write(bytes);
      while (written < bytes.length) {
        written += await this.#connection.write(bytes.subarray(written));
      }
    } catch (cause) {
      throw this.#broken("write to", cause);
    }
  }

  #broken(action: string, cause: unknown): WhorlError {
    return new WhorlError(
      "connection_closed",
      `Cannot ${action} ${this.remoteAddress}: ${
        this.#closed ? "the connection was closed here" : reasonOf(cause)
      }`,
      { details: { address: this.remoteAddress }, cause },
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
  }
}
