/**
 * A client's link to a node: opened with the cookie under a random name, and
 * watched, so that the client notices a silent node and can ask another.
 *
 * @module
 */
import type { Log } from "../environment/log.ts";
import type { Address, Transport } from "../environment/transport.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import type { Cookie } from "./cookie.ts";
import { dial } from "./dial.ts";
import { HANDSHAKE_DEADLINE_MS } from "./handshake.ts";
import type { VersionRange } from "./handshake_codec.ts";
import { Link, type LinkHandler, type LinkLimits } from "./link.ts";
import { LinkWatch } from "./link_watch.ts";

/** Milliseconds between a client's pings. */
export const CLIENT_PING_INTERVAL_MS = 500;
/** Milliseconds of silence after which a client gives up on a node. */
export const CLIENT_SILENCE_MS_MAX = 3_000;

/** What a client's link needs. */
export interface ClientLinkOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly transport: Transport;
  /** Returns cryptographically secure random bytes. */
  readonly secretBytes: (count: number) => Uint8Array;
  readonly address: Address;
  readonly cookie: Cookie;
  /** The cluster the node must belong to. @default {any} */
  readonly cluster?: string;
  /** Receives the frames and the end of the link. */
  readonly handler: Pick<LinkHandler, "onFrame" | "onClosed">;
  readonly linkLimits?: LinkLimits;
  /** Milliseconds for connecting and for the handshake, each. @default {3000} */
  readonly handshakeDeadlineMs?: number;
  readonly versions?: VersionRange;
  /** Aborts connecting. */
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
  const { runtime, handler } = options;
  const id = options.secretBytes(16).toHex();
  const { stream, established } = await dial({
    transport: options.transport,
    address: options.address,
    kind: "client",
    identity: {
      name: `client-${id.slice(0, 12)}`,
      nodeId: id,
      incarnation: 0,
      cluster: options.cluster ?? "",
    },
    cookie: options.cookie,
    runtime,
    secretBytes: options.secretBytes,
    consider: () => ({ admit: true }),
    deadlineMs: options.handshakeDeadlineMs ?? HANDSHAKE_DEADLINE_MS,
    ...(options.versions === undefined ? {} : { versions: options.versions }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const watch = new LinkWatch({
    runtime,
    failureDetector: { pingIntervalMs: CLIENT_PING_INTERVAL_MS },
  });
  const link = new Link(
    stream,
    established.peer,
    {
      runtime,
      log: options.log,
      ...(options.linkLimits === undefined
        ? {}
        : { limits: options.linkLimits }),
    },
    {
      onFrame: (link, type, flags, correlation, bytes, start, end) =>
        handler.onFrame(link, type, flags, correlation, bytes, start, end),
      onHeard: (link) => watch.answered(link),
      onClosed: (link, closed) => {
        watch.remove(link);
        handler.onClosed(link, closed);
      },
    },
    established.leftover,
  );
  watch.add(link, {
    silenceMsMax: CLIENT_SILENCE_MS_MAX,
    pingEveryTicks: 1,
  });
  link.start();
  return link;
}
