/**
 * A TCP proxy that stands on the link from one node to another: whoever dials
 * it is connected with the node behind it, and every byte takes the lane of its
 * direction. It takes the place of a network emulator where the kernel has
 * none, and needs no privileges.
 *
 * An end travels like bytes: a node learns that the other one has hung up when
 * the lane lets it, so that a partition hides it as well.
 *
 * @module
 */
import { formatAddress, parseAddress } from "../../src/transport/address.ts";
import type { Address } from "../../src/environment/transport.ts";
import type { Lane } from "./lane.ts";

/** Bytes one direction of a connection keeps before it reads no more. */
export const PROXY_BYTES_MAX = 4 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;

/** What a proxy is made of. */
export interface LinkProxyOptions {
  /** Where to listen; port 0 takes a free one. */
  readonly listen: Address;
  /** Where the node behind it listens now; `undefined` if it never has. */
  readonly target: () => Address | undefined;
  /** From the one who dials to the one who is dialled. */
  readonly forward: Lane;
  /** The other way. */
  readonly backward: Lane;
}

/** One proxy; see the module comment. Disposing ends its connections. */
export class LinkProxy implements AsyncDisposable {
  readonly #options: LinkProxyOptions;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<ProxiedConnection>();
  readonly #accepting: Promise<void>;

  constructor(options: LinkProxyOptions) {
    this.#options = options;
    const { host, port } = parseAddress(options.listen);
    this.#listener = Deno.listen({ hostname: host, port });
    this.#accepting = this.#accept();
  }

  /** Where to dial it. */
  get address(): Address {
    const { hostname, port } = this.#listener.addr;
    return formatAddress(hostname, port);
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  async #accept(): Promise<void> {
    for await (const dialer of this.#listener) {
      const connection = new ProxiedConnection(dialer, this.#options);
      this.#connections.add(connection);
      void connection.ended.then(() => this.#connections.delete(connection));
    }
  }

  /** Ends every connection at once, for both ends; returns how many there were. */
  cut(): number {
    const { size } = this.#connections;
    for (const connection of this.#connections) connection.end();
    return size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    const ended = [...this.#connections].map(({ ended }) => ended);
    this.cut();
    await Promise.all(ended);
  }
}

/** Bytes on their way, or the end of them. */
interface Piece {
  readonly atMs: number;
  readonly bytes: Uint8Array | null;
}

/** One direction of a connection: read at one end, delivered at the other. */
class Stream {
  readonly #lane: Lane;
  readonly #signal: AbortSignal;
  readonly #pieces: Piece[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  /** Whether the sender has hung up. */
  ended = false;

  constructor(lane: Lane, signal: AbortSignal) {
    this.#lane = lane;
    this.#signal = signal;
  }

  async read(from: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(PIECE_BYTES);
    while (!this.ended && !this.#signal.aborted) {
      const count = await from.read(buffer).catch(brokenIsEnd);
      this.ended = count === null;
      const bytes = count === null ? null : buffer.slice(0, count);
      this.#pieces.push({ atMs: this.#lane.arrivalMs(), bytes });
      this.#bytes += count ?? 0;
      this.#wake?.();
      while (this.#bytes > PROXY_BYTES_MAX && !this.#signal.aborted) {
        await this.#woken();
      }
    }
  }

  /** Resolves to whether the end has been delivered; else the receiver has gone. */
  async deliver(to: Deno.Conn): Promise<boolean> {
    for (;;) {
      const piece = this.#pieces[0];
      if (this.#signal.aborted) return false;
      if (piece === undefined) {
        await this.#woken();
        continue;
      }
      const waitMs = piece.atMs - performance.now();
      if (waitMs > 0) await sleep(waitMs, this.#signal);
      await this.#lane.passed(piece.bytes?.length ?? 0, this.#signal);
      // Last, so that nothing comes through a block that has begun meanwhile.
      await this.#lane.opened(this.#signal);
      if (this.#signal.aborted) return false;
      this.#pieces.shift();
      const { bytes } = piece;
      if (bytes === null) return true;
      this.#bytes -= bytes.length;
      this.#wake?.();
      this.#lane.spoil(bytes);
      if (!await writeAll(to, bytes)) return false;
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake;
      const done = (): void => {
        this.#signal.removeEventListener("abort", done);
        this.#wake = undefined;
        before?.();
        resolve();
      };
      this.#wake = done;
      this.#signal.addEventListener("abort", done, { once: true });
    });
  }
}

class ProxiedConnection {
  readonly #stop = new AbortController();
  readonly #dialer: Deno.Conn;
  #target: Deno.Conn | undefined;
  readonly ended: Promise<void>;

  constructor(dialer: Deno.Conn, options: LinkProxyOptions) {
    this.#dialer = dialer;
    this.ended = this.#run(options);
  }

  end(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#dialer.close();
    this.#target?.close();
  }

  async #run({ target, forward, backward }: LinkProxyOptions): Promise<void> {
    const { signal } = this.#stop;
    const out = new Stream(forward, signal);
    const reading = out.read(this.#dialer);
    // A dial needs both directions. One that was given up meanwhile never happened.
    await forward.opened(signal);
    await backward.opened(signal);
    const address = target();
    if (!signal.aborted && !out.ended && address !== undefined) {
      const { host, port } = parseAddress(address);
      const connected = await Deno.connect({ hostname: host, port })
        .catch(brokenIsEnd);
      if (signal.aborted) connected?.close();
      else if (connected !== null) {
        this.#target = connected;
        const back = new Stream(backward, signal);
        const backReading = back.read(connected);
        const delivered = async (stream: Stream, to: Deno.Conn) => {
          if (await stream.deliver(to)) this.end();
        };
        await Promise.all([
          delivered(out, connected),
          delivered(back, this.#dialer),
          backReading,
          reading,
        ]);
      }
    }
    this.end();
    await reading;
  }
}

/** Sockets fail in many ways, all of which mean that the other end is gone. */
function brokenIsEnd(error: unknown): null {
  if (error instanceof Error) return null;
  throw error;
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<boolean> {
  for (let at = 0; at < bytes.length;) {
    const count = await to.write(bytes.subarray(at)).catch(brokenIsEnd);
    if (count === null) return false;
    at += count;
  }
  return true;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
