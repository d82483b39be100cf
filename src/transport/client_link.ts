/**
 * A client's link to a node: opened with the cookie under a random name, and
 * watched, so that a node that fell silent is noticed and another can be asked.
 *
 * @module
 */
import type { Log } from "../environment/log.ts";
import type {
  Address,
  ByteStream,
  Transport,
} from "../environment/transport.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { Cookie } from "./cookie.ts";
import {
  answered,
  createFailureDetector,
  forgivePause,
  silenceMs,
} from "./failure_detector.ts";
import { HANDSHAKE_DEADLINE_MS, shakeHands } from "./handshake.ts";
import type { VersionRange } from "./handshake_codec.ts";
import type { LinkPeer } from "./link_peer.ts";
import {
  Link,
  type LinkClosed,
  type LinkHandler,
  type LinkLimits,
} from "./link.ts";

/** Milliseconds between a client's pings. */
export const CLIENT_PING_INTERVAL_MS = 500;
/** Milliseconds of silence after which a client gives a node up. */
export const CLIENT_SILENCE_MS_MAX = 3_000;

/** What a client's link needs. */
export interface ClientLinkOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly transport: Transport;
  /** Bytes nobody can guess. */
  readonly secretBytes: (count: number) => Uint8Array;
  readonly address: Address;
  readonly cookie: Cookie;
  /** The cluster the node must belong to. @default {any} */
  readonly cluster?: string;
  /** Who gets the frames, and is told of the end. */
  readonly handler: Pick<LinkHandler, "onFrame" | "onClosed">;
  readonly linkLimits?: LinkLimits;
  /** Milliseconds for connecting and shaking hands, each. @default {3000} */
  readonly handshakeDeadlineMs?: number;
  readonly versions?: VersionRange;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a client link.
 *
 * @throws {WhorlError} `not_reachable`, or as {@linkcode shakeHands}.
 */
export async function openClientLink(
  options: ClientLinkOptions,
): Promise<Link> {
  const { runtime, transport, address, secretBytes } = options;
  const deadlineMs = options.handshakeDeadlineMs ?? HANDSHAKE_DEADLINE_MS;
  const stop = new AbortController();
  const onAbort = () => stop.abort(options.signal?.reason);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort);
  const timer = runtime.setTimer(
    deadlineMs,
    () => stop.abort(new Error(`no answer in ${deadlineMs} ms`)),
  );
  try {
    const stream = await transport.connect(address, { signal: stop.signal });
    runtime.clearTimer(timer);
    const id = secretBytes(16).toHex();
    const { peer, leftover } = await shakeHands(stream, {
      role: "opener",
      kind: "client",
      identity: {
        name: `client-${id.slice(0, 12)}`,
        nodeId: id,
        incarnation: 0,
        cluster: options.cluster ?? "",
      },
      cookie: options.cookie,
      runtime,
      secretBytes,
      deadlineMs,
      signal: stop.signal,
      consider: () => ({ admit: true }),
      ...(options.versions === undefined ? {} : { versions: options.versions }),
    });
    return watchedLink(stream, peer, leftover, options);
  } finally {
    runtime.clearTimer(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** A link that pings, and closes when no answer comes. */
function watchedLink(
  stream: ByteStream,
  peer: LinkPeer,
  leftover: Uint8Array,
  { runtime, log, handler, linkLimits }: ClientLinkOptions,
): Link {
  let lastTickMs = runtime.now();
  const detector = createFailureDetector(lastTickMs);
  let timer: TimerHandle;
  const link = new Link(
    stream,
    peer,
    {
      runtime,
      log,
      ...(linkLimits === undefined ? {} : { limits: linkLimits }),
    },
    {
      onFrame: (link, type, flags, correlation, bytes, start, end) =>
        handler.onFrame(link, type, flags, correlation, bytes, start, end),
      onPong: () => void answered(detector, runtime.now()),
      onClosed: (link: Link, closed: LinkClosed) => {
        runtime.clearTimer(timer);
        handler.onClosed(link, closed);
      },
    },
    leftover,
  );
  const tick = () => {
    const now = runtime.now();
    const late = now - lastTickMs - CLIENT_PING_INTERVAL_MS;
    lastTickMs = now;
    // This process stood still, and answers may wait unread.
    if (late > CLIENT_PING_INTERVAL_MS) forgivePause(detector, late);
    const silent = silenceMs(detector, now);
    if (silent > CLIENT_SILENCE_MS_MAX) return link.closeSilent(silent);
    timer = runtime.setTimer(CLIENT_PING_INTERVAL_MS, tick);
    link.ping();
  };
  timer = runtime.setTimer(CLIENT_PING_INTERVAL_MS, tick);
  link.start();
  return link;
}
