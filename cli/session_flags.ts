/**
 * The flags that say which node a command talks to, and opening a session by
 * them.
 *
 * @module
 */
import {
  type NodeTarget,
  nodeTargetOf,
  nodeTargetRule,
} from "../src/admin/node_target.ts";
import { reasonOf, WhorlError } from "../src/base/errors.ts";
import type {
  AdminSession,
  OpenSessionOptions,
  SessionTarget,
} from "../src/node/admin_protocol.ts";
import { type Flag, type Invocation, UsageError } from "./command.ts";
import { parseDuration } from "./duration.ts";
import type { World } from "./world.ts";

/** Where `whorl start` keeps its data unless told otherwise. */
export const DATA_DIRECTORY_DEFAULT = "data/whorl";
/** Time a command waits for the node's answer. */
export const TIMEOUT_MS_DEFAULT = 10_000;

/** The flags that say which node. */
export const SESSION_FLAGS: readonly Flag[] = [
  {
    name: "node",
    value: "NAME@HOST:PORT",
    says: "the node by name and address, such as dev1@127.0.0.1:10101",
    default: "$WHORL_NODE",
  },
  {
    name: "data",
    value: "DIR",
    says: "the node that runs on this data directory",
    default: `$WHORL_DATA, else ${DATA_DIRECTORY_DEFAULT}`,
  },
  {
    name: "cookie-file",
    value: "FILE",
    says: "file with the cluster's cookie",
    default: "the one of --data",
  },
  {
    name: "cookie",
    value: "COOKIE",
    says: "the cookie itself; others can see it in the process list",
    default: "$WHORL_COOKIE",
  },
  {
    name: "timeout",
    value: "TIME",
    says: "how long to wait for the answer: 10, 1.5s, 500ms, 2m",
    default: "10s",
  },
];

/** Which node the flags and the environment name. @throws {UsageError} */
export function targetOf(invocation: Invocation, world: World): SessionTarget {
  const node = invocation.text("node");
  const data = invocation.text("data");
  if (node !== undefined && data !== undefined) {
    throw new UsageError("--node and --data both name a node: give one");
  }
  if (data !== undefined) return { dataDirectory: data };
  const named = node ?? world.env("WHORL_NODE");
  if (named !== undefined && named !== "") return parseNodeTarget(named);
  return {
    dataDirectory: world.env("WHORL_DATA") || DATA_DIRECTORY_DEFAULT,
  };
}

/**
 * The flags of this command line that say which node, for a command that is to go
 * to the same one: each with a space before it. What the environment says need not
 * be said again, and a cookie must not be.
 */
export function nodeFlagsOf(invocation: Invocation): string {
  let flags = "";
  for (const name of ["node", "data", "cookie-file"]) {
    const value = invocation.text(name);
    if (value !== undefined) flags += ` --${name} ${shellWord(value)}`;
  }
  return flags;
}

/** `text` as one word of a POSIX shell. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text)
    ? text
    : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Splits `name@host:port`. @throws {UsageError} If it is something else. */
export function parseNodeTarget(text: string): NodeTarget {
  const target = nodeTargetOf(text);
  if (target === undefined) throw new UsageError(nodeTargetRule(text));
  return target;
}

/**
 * The cookie the flags and the environment give, if any.
 *
 * @throws {WhorlError} `invalid_config` if the file cannot be read or is empty.
 */
export async function cookieOf(
  invocation: Invocation,
  world: World,
): Promise<string | undefined> {
  const cookie = invocation.text("cookie");
  const file = invocation.text("cookie-file");
  if (cookie !== undefined && file !== undefined) {
    throw new UsageError("--cookie and --cookie-file both give one: give one");
  }
  if (cookie !== undefined) return cookie;
  if (file !== undefined) return await readCookieFile(file);
  return world.env("WHORL_COOKIE") || undefined;
}

/** Reads a cookie: the first line of a file. @throws {WhorlError} `invalid_config`. */
export async function readCookieFile(path: string): Promise<string> {
  let text;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new WhorlError(
      "invalid_config",
      `Cannot read the cookie from ${path}: ${reasonOf(error)}`,
      { details: { path }, cause: error },
    );
  }
  const cookie = text.split("\n", 1)[0]!.trim();
  if (cookie === "") {
    throw new WhorlError(
      "invalid_config",
      `Cannot read the cookie from ${path}: its first line is empty`,
      { details: { path } },
    );
  }
  return cookie;
}

/** The time a command may take, in milliseconds. @throws {UsageError} */
export function timeoutMsOf(invocation: Invocation): number {
  const text = invocation.text("timeout");
  return text === undefined
    ? TIMEOUT_MS_DEFAULT
    : parseDuration("timeout", text);
}

/** What opening a session needs, from flags and environment. */
export async function sessionRequest(
  invocation: Invocation,
  world: World,
): Promise<{ target: SessionTarget; options: OpenSessionOptions }> {
  const target = targetOf(invocation, world);
  const timeoutMs = timeoutMsOf(invocation);
  const cookie = await cookieOf(invocation, world);
  if (cookie === undefined && "node" in target) {
    throw new UsageError(
      "Talking to --node needs the cluster's cookie: give --cookie-file, or set WHORL_COOKIE",
    );
  }
  return { target, options: { cookie, timeoutMs } };
}

/**
 * Opens a session within `options.timeoutMs`, which else bounds only the calls.
 *
 * @throws {WhorlError} As `OpenSession`; `timeout` also if connecting takes too long.
 */
export async function openWithin(
  world: World,
  target: SessionTarget,
  options: OpenSessionOptions,
): Promise<AdminSession> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    return await world.openSession(target, {
      ...options,
      signal: late.signal,
    });
  } catch (error) {
    if (!late.signal.aborted) throw error;
    throw new WhorlError(
      "timeout",
      `Cannot reach the node within ${timeoutMs} ms`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Opens a session to the node the command line names, uses it, and closes it. */
export async function withSession(
  invocation: Invocation,
  world: World,
  use: (
    session: AdminSession,
    options: { timeoutMs: number },
  ) => Promise<number>,
): Promise<number> {
  const { target, options } = await sessionRequest(invocation, world);
  await using session = await openWithin(world, target, options);
  return await use(session, { timeoutMs: timeoutMsOf(invocation) });
}
