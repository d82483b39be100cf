/**
 * Opens a connection: connecting and the handshake each have a deadline, so
 * that neither an address that does not answer nor a stopped process blocks the
 * caller.
 *
 * @module
 */
import type {
  Address,
  ByteStream,
  Transport,
} from "../environment/transport.ts";
import {
  type Established,
  HANDSHAKE_DEADLINE_MS,
  shakeHands,
} from "./handshake.ts";
import type { ShakeHandsOptions } from "./handshake.ts";

/** What a dial needs. */
export interface DialOptions extends Omit<ShakeHandsOptions, "role"> {
  readonly transport: Transport;
  readonly address: Address;
}

/**
 * Connects to an address and runs the handshake.
 *
 * @throws {WhorlError} `not_reachable`, or as {@linkcode shakeHands}.
 */
export async function dial(
  options: DialOptions,
): Promise<{ stream: ByteStream; established: Established }> {
  const { transport, address, runtime, signal } = options;
  const deadlineMs = options.deadlineMs ?? HANDSHAKE_DEADLINE_MS;
  const late = new AbortController();
  const giveUp = () => late.abort(signal?.reason);
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp);
  const timer = runtime.setTimer(
    deadlineMs,
    () => late.abort(new Error(`no answer in ${deadlineMs} ms`)),
  );
  let stream: ByteStream;
  try {
    stream = await transport.connect(address, { signal: late.signal });
  } finally {
    runtime.clearTimer(timer);
    signal?.removeEventListener("abort", giveUp);
  }
  return {
    stream,
    established: await shakeHands(stream, { ...options, role: "opener" }),
  };
}
