/**
 * Byte streams between nodes: an address can be listened on and connected to,
 * which gives an ordered stream of bytes both ways. Handshake, frames and
 * batching are built on top and know no socket.
 *
 * @module
 */

/** A place to listen or connect, as `host:port`. IPv6 hosts stand in brackets. */
export type Address = string;

/**
 * An ordered, reliable stream of bytes to one peer, until it breaks. It may
 * break at any moment, and a half-open one never reports that: liveness is
 * judged by answers, above this interface.
 */
export interface ByteStream {
  /** Address of the other end, for messages and logs. */
  readonly remoteAddress: Address;
  /**
   * Reads what has arrived into `into` and resolves to the count of bytes, at
   * least one, or to `null` once the other end has closed. One read at a time.
   *
   * @throws {WhorlError} `connection_closed` if the stream broke or was closed here.
   */
  read(into: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /**
   * Writes all of `bytes`; resolves when they have been accepted and `bytes`
   * may be reused. One write at a time; the caller batches.
   *
   * @throws {WhorlError} `connection_closed` if the stream broke or was closed here.
   */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Closes the stream at once, in both directions. Repeating it does nothing. */
  close(): void;
}

/** An address being listened on. */
export interface Listener extends AsyncDisposable {
  /** The actual address, with the port that was chosen for port 0. */
  readonly address: Address;
  /** Stops listening; accepted streams stay open. */
  close(): void;
}

/** A way for nodes to reach each other. */
export interface Transport {
  /**
   * Listens on `address` and passes every accepted stream to `accept`. Running
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
