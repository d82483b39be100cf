/**
 * A network inside one process, for tests, simulations and several nodes in one
 * program. It behaves like TCP (order, bounded buffers, a close that lets what
 * was written arrive) and uses neither clock nor chance: it advances only
 * through `runtime.defer`, so the same program gives the same run.
 *
 * Hosts are names. The link between two hosts can be cut (streams break,
 * connecting fails) or stalled in one direction (bytes wait, as behind a full
 * switch or in a stopped process), to test partitions and half-open
 * connections.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";
import type {
  Address,
  ByteStream,
  Listener,
  Transport,
} from "../environment/transport.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { formatAddress, parseAddress } from "./address.ts";
import { MemoryPipe } from "./memory_pipe.ts";

const FIRST_FREE_PORT = 49152;

/** A network of hosts. */
export class MemoryNetwork {
  readonly #runtime: Runtime;
  readonly #listeners: Map<Address, MemoryListener> = new Map();
  readonly #streams: Set<MemoryStream> = new Set();
  readonly #cut: Set<string> = new Set();
  readonly #stalled: Set<string> = new Set();
  /** Connection attempts that wait for a stalled direction. */
  readonly #waiting: Set<() => void> = new Set();
  #nextPort = FIRST_FREE_PORT;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** The transport for programs on `host`. It listens only on that host. */
  transport(host: string): Transport {
    return {
      // deno-lint-ignore require-await
      listen: async (address, accept) => this.#listen(host, address, accept),
      connect: (address, { signal } = {}) =>
        this.#connect(host, address, signal),
    };
  }

  /** Breaks every stream between two hosts and refuses new ones, until {@linkcode heal}. */
  cut(one: string, other: string): void {
    this.#cut.add(`${one} ${other}`).add(`${other} ${one}`);
    for (const stream of [...this.#streams]) {
      if (this.#isCut(stream.host, stream.remoteHost)) stream.sever();
    }
  }

  /** Holds back bytes from one host to another; the other direction continues. */
  stall(from: string, to: string): void {
    this.#stalled.add(`${from} ${to}`);
    this.#applyStalls();
  }

  /** Undoes {@linkcode cut} and {@linkcode stall} between two hosts, in both directions. */
  heal(one: string, other: string): void {
    for (const key of [`${one} ${other}`, `${other} ${one}`]) {
      this.#cut.delete(key);
      this.#stalled.delete(key);
    }
    this.#applyStalls();
    for (const retry of [...this.#waiting]) retry();
  }

  /** How many ends of streams are open. */
  get openStreams(): number {
    return this.#streams.size;
  }

  #isCut(one: string, other: string): boolean {
    return this.#cut.has(`${one} ${other}`);
  }

  #isStalled(from: string, to: string): boolean {
    return this.#stalled.has(`${from} ${to}`);
  }

  #applyStalls(): void {
    for (const stream of this.#streams) {
      stream.incoming.stall(this.#isStalled(stream.remoteHost, stream.host));
    }
  }

  #listen(
    host: string,
    address: Address,
    accept: (stream: ByteStream) => void,
  ): Listener {
    const asked = parseAddress(address);
    if (asked.host !== host) {
      throw new WhorlError(
        "not_reachable",
        `Cannot listen on ${address}: this host is ${host}`,
        { details: { address } },
      );
    }
    const real = formatAddress(host, asked.port || this.#nextPort++);
    if (this.#listeners.has(real)) {
      throw new WhorlError(
        "address_in_use",
        `Cannot listen on ${real} as the address is in use`,
        { details: { address: real } },
      );
    }
    const listener = new MemoryListener(
      real,
      accept,
      () => this.#listeners.delete(real),
    );
    this.#listeners.set(real, listener);
    return listener;
  }

  async #connect(
    host: string,
    address: Address,
    signal: AbortSignal | undefined,
  ): Promise<ByteStream> {
    const there = parseAddress(address).host;
    // Connecting takes a round trip, so both directions must work.
    while (this.#isStalled(host, there) || this.#isStalled(there, host)) {
      await this.#untilHealed(address, signal);
    }
    await new Promise<void>((resolve) => this.#runtime.defer(resolve));
    const listener = this.#listeners.get(address);
    if (
      signal?.aborted || listener === undefined || this.#isCut(host, there)
    ) {
      throw notReachable(
        address,
        signal?.aborted ? reasonOf(signal.reason) : "nothing listens there",
      );
    }
    const towards = new MemoryPipe(this.#runtime);
    const back = new MemoryPipe(this.#runtime);
    const from = formatAddress(host, this.#nextPort++);
    const near = this.#stream(host, there, address, back, towards);
    const far = this.#stream(there, host, from, towards, back);
    this.#runtime.defer(() => listener.hand(far));
    return near;
  }

  #untilHealed(
    address: Address,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiting.delete(settle);
        signal?.removeEventListener("abort", settle);
        if (signal?.aborted) {
          reject(notReachable(address, reasonOf(signal.reason)));
        } else resolve();
      };
      if (signal?.aborted) return settle();
      this.#waiting.add(settle);
      signal?.addEventListener("abort", settle);
    });
  }

  #stream(
    host: string,
    remoteHost: string,
    remoteAddress: Address,
    incoming: MemoryPipe,
    outgoing: MemoryPipe,
  ): MemoryStream {
    const stream = new MemoryStream(
      host,
      remoteHost,
      remoteAddress,
      incoming,
      outgoing,
      () => this.#streams.delete(stream),
    );
    this.#streams.add(stream);
    return stream;
  }
}

function notReachable(address: Address, reason: string): WhorlError {
  return new WhorlError(
    "not_reachable",
    `Cannot connect to ${address}: ${reason}`,
    { details: { address } },
  );
}

class MemoryListener implements Listener {
  #closed = false;

  constructor(
    readonly address: Address,
    readonly accept: (stream: ByteStream) => void,
    readonly forget: () => void,
  ) {}

  hand(stream: MemoryStream): void {
    if (this.#closed) stream.close();
    else this.accept(stream);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.forget();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

class MemoryStream implements ByteStream {
  #closed = false;

  constructor(
    readonly host: string,
    readonly remoteHost: string,
    readonly remoteAddress: Address,
    readonly incoming: MemoryPipe,
    readonly outgoing: MemoryPipe,
    readonly forget: () => void,
  ) {}

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const count = this.#closed ? undefined : await this.incoming.read(into);
    if (count === undefined) throw this.#broken("read from");
    return count;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#closed || !(await this.outgoing.write(bytes))) {
      throw this.#broken("write to");
    }
  }

  #broken(action: string): WhorlError {
    return new WhorlError(
      "connection_closed",
      `Cannot ${action} ${this.remoteAddress}: the connection ${
        this.#closed ? "was closed here" : "broke"
      }`,
      { details: { address: this.remoteAddress } },
    );
  }

  /** What was written still arrives at the other end; nothing more arrives here. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.forget();
    this.incoming.abandon();
    this.outgoing.finish();
    // The other end's writes fail once the close has reached it.
    this.outgoing.whenFlowing(() => this.incoming.breakOff());
  }

  /** Loses bytes in transit, as a cut cable does. The owner notices at its next read or write. */
  sever(): void {
    this.incoming.breakOff();
    this.outgoing.breakOff();
  }
}
