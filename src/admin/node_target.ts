/**
 * A node and its address in one text: `dev1@127.0.0.1:10101`.
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
  // The last colon separates the port; an IPv6 host is in brackets.
  const match = /^([^@\s]+@(\[[0-9a-fA-F:.%]+\]|[^@:\s]+)):(\d{1,5})$/.exec(
    text,
  );
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { node: match[1]!, address: `${match[2]}:${port}` };
}

/** Explains how to write a node, quoting the wrong `text`. */
export function nodeTargetRule(text: string): string {
  return `A node is written NAME@HOST:PORT, such as dev1@127.0.0.1:10101: not ${
    JSON.stringify(text)
  }`;
}
