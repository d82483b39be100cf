/**
 * A node and where it listens, as people write it: `dev1@127.0.0.1:10101`.
 *
 * @module
 */

/** A node by name and address. */
export interface NodeTarget {
  /** `name@host`. */
  readonly node: string;
  /** `host:port`. */
  readonly address: string;
}

/** Splits `name@host:port`; `undefined` if `text` is something else. */
export function nodeTargetOf(text: string): NodeTarget | undefined {
  // The last colon parts the port off; an IPv6 host stands in brackets.
  const match = /^([^@\s]+@(\[[0-9a-fA-F:.%]+\]|[^@:\s]+)):(\d{1,5})$/.exec(
    text,
  );
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { node: match[1]!, address: `${match[2]}:${port}` };
}

/** Says how a node is written, to whoever wrote `text`. */
export function nodeTargetRule(text: string): string {
  return `A node is written NAME@HOST:PORT, such as dev1@127.0.0.1:10101: not ${
    JSON.stringify(text)
  }`;
}
