/**
 * How bytes travel between nodes: an address can be listened on and connected
 * to, and gives an ordered stream of bytes both ways. Handshake, frames and
 * batching are built on top and know no socket.
 *
 * @module
 */

/** A place to listen or connect, as `host:port`. IPv6 hosts stand in brackets. */
export type Address = string;

/**
 * An ordered, reliable stream of bytes to one other end, until it breaks.
 * It may break at any moment, and a half-open one never says so: liveness is
 * judged above by answers, not by this interface.
 */
export interface ByteStream {
  /** Where the other end is, for messages and logs. */
  readonly remoteAddress: Address;
  /**
   * Reads what has arrived into `into` and resolves to the count of bytes, at
   * least one, or to `null` once the other end has closed. One read at a time.
   *
   * @throws {WhorlError} `connection_closed` if the stream broke or was closed here.
   */
  read(into: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /**
   * Writes all of `bytes`; resolves when they have been taken over and `bytes`
   * may be used again. One write at a time; the caller batches.
   *
   * @throws {WhorlError} `connection_closed` if the stream broke or was closed here.
   */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Breaks the stream at once, in both directions. Repeating it does nothing. */
  close(): void;
}

/** An address being listened on. */
export interface Listener extends AsyncDisposable {
  /** The real address, with the port that was chosen when 0 was asked for. */
  readonly address: Address;
  /** Stops listening; streams that were accepted live on. */
  close(): void;
}

/** A way for nodes to reach each other. */
export interface Transport {
  /**
   * Listens on `address` and hands every accepted stream to `accept`. Running
   * out of file descriptors pauses accepting, it does not end it.
   *
   * @throws {WhorlError} `address_in_use` or `not_reachable`.
   */
  listen(
    address: Address,
    accept: (stream: ByteStream) => void,
  ): Promise<Listener>;
  /**
   * Opens a stream to `address`.
   *
   * @throws {WhorlError} `not_reachable` if nobody answers there or `signal` fires first.
   */
  connect(
    address: Address,
    options?: { signal?: AbortSignal },
  ): Promise<ByteStream>;
}
