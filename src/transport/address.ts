/**
 * Addresses as people write them: `host:port`, with IPv6 hosts in brackets, as
 * in `[::1]:4001`.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";

/** The parts of an address. */
export interface HostPort {
  /** Name or IP address of the host, IPv6 without its brackets. */
  readonly host: string;
  /** 0 to 65535; 0 asks for any free port when listening. */
  readonly port: number;
}

const ADDRESS =
  /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:/\[\]]+)):(\d{1,5})$/;

/**
 * Splits `address` into its parts.
 *
 * @throws {WhorlError} `invalid_argument` if it is not `host:port`.
 */
export function parseAddress(address: Address): HostPort {
  const match = ADDRESS.exec(address);
  const port = match === null ? NaN : Number(match[3]);
  if (match === null || port > 65535) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot use the address "${address}" as it must read host:port, with IPv6 hosts in brackets and a port up to 65535`,
      { details: { address } },
    );
  }
  return { host: (match[1] ?? match[2]) as string, port };
}

/** Builds an address; the inverse of {@linkcode parseAddress}. */
export function formatAddress(host: string, port: number): Address {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
