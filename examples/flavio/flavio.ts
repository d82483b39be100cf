/**
 * What an application does with `flavio`: `ping`, additions on one vnode and on
 * three, messages with three replicas, and listings of what all vnodes have. It
 * works the same inside a node (`node.module`) and over a client connection
 * (`client.module`).
 *
 * Every call is answered within {@linkcode TIMEOUT_MS}, possibly with an error.
 *
 * @module
 */
import {
  type CoverageChunk,
  type CoverageQuery,
  encodeErlangTerm,
  erlangAtom,
  type ErlangTerm,
  erlangTuple,
  isWhorlError,
  type ModuleClient,
  type ModuleRequestOptions,
  type ModuleResult,
} from "../../mod.ts";
import type {
  FlavioCommands,
  FlavioCoverage,
  Found,
  Reserved,
} from "./flavio_vnode.ts";
import {
  byteCount,
  isName,
  type Message,
  MESSAGES_MAX,
  MSG_BYTES_MAX,
  NAME_BYTES_MAX,
} from "./message.ts";

/** Who answered. */
export interface Replica {
  /** The partition that it holds, or stands in for. */
  readonly partition: number;
  /** Its node. */
  readonly node: string;
}

/** What came of an addition. */
export type Sum = Replica & { readonly sum: number };
/** A message, and a replica that has stored it. */
export type Posted = Replica & { readonly message: Message };
/** The requested messages that a replica has. */
export type Read = Replica & Found;
/** Additions of a vnode since it started. */
export type OpsCount = Replica & { readonly opsCount: number };
/** Names of which a vnode has data, in order. */
export type Names = Replica & { readonly names: readonly string[] };

/** What all replicas answered, in the order of the preference list. */
export interface Replies<Reply> {
  readonly status: "ok";
  readonly replies: readonly Reply[];
}

/** What the vnodes have. */
export interface Listing<Row> {
  /** "partial": some vnodes have not answered. */
  readonly status: "ok" | "partial";
  /** One row for every vnode with a result, by partition. */
  readonly rows: readonly Row[];
  /** Why the listing is incomplete, if it is. */
  readonly reason?: string;
}

/** Options of the application. */
export interface FlavioOptions {
  /** The time, in milliseconds since 1970: of messages, and for deadlines. @default {`Date.now`} */
  readonly now?: () => number;
  /** Distinguishes this poster from all others; 1 to 40 bytes. @default {drawn at random} */
  readonly origin?: string;
}

/** Milliseconds until a call is answered: what the Erlang original waits. */
export const TIMEOUT_MS = 5_000;
/** Replicated commands go to three vnodes and count when all of them have answered. */
const ALL_OF_THREE = { n: 3, w: 3, timeoutMs: TIMEOUT_MS } as const;
/** The same for commands that change nothing. */
const READ_OF_THREE = { n: 3, r: 3, timeoutMs: TIMEOUT_MS } as const;
/** The place at which messages say they were posted. */
const NOWHERE = 9001;

/** The commands of the application. */
export class Flavio {
  readonly #vnodes: ModuleClient<FlavioCommands, FlavioCoverage>;
  readonly #now: () => number;
  readonly #origin: string;
  #stamped = 0;

  /** @param vnodes `node.module(flavioModule)`, or the same of a client. */
  constructor(
    vnodes: ModuleClient<FlavioCommands, FlavioCoverage>,
    { now = Date.now, origin = randomOrigin() }: FlavioOptions = {},
  ) {
    this.#vnodes = vnodes;
    this.#now = now;
    this.#origin = origin;
  }

  /** The partition of some vnode that answers. */
  async ping(): Promise<{ readonly pong: number }> {
    // Another key each time, so vnodes take turns.
    const key = crypto.randomUUID();
    const { replies } = await this.#vnodes.request(
      "ping",
      key,
      "ping",
      undefined,
      { n: 1, r: 1, timeoutMs: TIMEOUT_MS },
    );
    return { pong: replies[0] as number };
  }

  /** Adds on one vnode, the same one for the same numbers. */
  async add(a: number, b: number): Promise<Sum> {
    checkNumbers(a, b);
    const { replies } = await this.#add(
      "add",
      encodeErlangTerm(erlangTuple(a, b)),
      { a, b },
      { n: 1, w: 1, timeoutMs: TIMEOUT_MS },
    );
    return replies[0] as Sum;
  }

  /** Adds on three vnodes; the request itself is the key, as the original has it. */
  quorumAdd(a: number, b: number): Promise<Replies<Sum>> {
    checkNumbers(a, b);
    return this.#add(
      erlangAtom("add"),
      erlangTuple(a, b),
      { a, b },
      ALL_OF_THREE,
    );
  }

  async #add(
    bucket: ErlangTerm,
    key: ErlangTerm,
    numbers: { readonly a: number; readonly b: number },
    options: ModuleRequestOptions,
  ): Promise<Replies<Sum>> {
    return repliesOf(
      await this.#vnodes.request(bucket, key, "add", numbers, options),
      (sum) => ({ sum }),
    );
  }

  /** How many additions each vnode has made. */
  async stats(): Promise<Listing<OpsCount>> {
    // With one replica per key, every vnode is asked.
    const query = this.#vnodes.coverage("stats", undefined, {
      n: 1,
      mode: "allup",
      timeoutMs: TIMEOUT_MS,
    });
    return await listing(query, (chunks, from) => ({
      ...from,
      opsCount: chunks[0]!.opsCount,
    }));
  }

  /**
   * Appends a message to a stream, which begins with its first one.
   *
   * @throws {TypeError} If `user` or `stream` is no name, or `msg` no text.
   * @throws {RangeError} If `msg` is too long.
   * @throws {WhorlError} As `ModuleClient.request`; after some of its errors
   * the message may still be stored, on some or all replicas.
   */
  async postMsg(
    user: string,
    stream: string,
    msg: string,
  ): Promise<Replies<Posted>> {
    checkStream(user, stream);
    checkText(msg);
    const began = this.#now();
    const reserved = await this.#vnodes.request(
      user,
      stream,
      "reserve",
      { user, stream },
      ALL_OF_THREE,
    );
    // Stamped once, here: the replicas store it as it is, and cannot differ.
    const message: Message = {
      id: nextId(reserved.replies as readonly Reserved[]),
      origin: `${this.#origin}.${++this.#stamped}`,
      date: this.#now(),
      lat: NOWHERE,
      lng: NOWHERE,
      ref: 0,
      type: 0,
      size: byteCount(msg),
      msg,
    };
    const stored = await this.#vnodes.request(
      user,
      stream,
      "store",
      { user, stream, message },
      {
        ...ALL_OF_THREE,
        timeoutMs: timeLeftMs(this.#now() - began),
      },
    );
    return repliesOf(stored, () => ({ message }));
  }

  /**
   * Messages of a stream as each of its replicas has them: at most `count` from
   * number `from` on, or the last ones if `from` is null.
   *
   * @throws {TypeError} If `user` or `stream` is no name.
   * @throws {RangeError} If `from` or `count` is not a whole number in range.
   * @throws {WhorlError} As `ModuleClient.request`.
   */
  async getMsgs(
    user: string,
    stream: string,
    from: number | null,
    count: number,
  ): Promise<Replies<Read>> {
    checkStream(user, stream);
    if (from !== null) {
      checkWhole("from", from, Number.MAX_SAFE_INTEGER);
    }
    checkWhole("count", count, MESSAGES_MAX);
    const result = await this.#vnodes.request(
      user,
      stream,
      "read",
      { user, stream, from, count },
      READ_OF_THREE,
    );
    return repliesOf(result, (found) => found);
  }

  /** Streams of `user`, by vnode: each stands in the rows of its replicas. */
  listStreams(user: string): Promise<Listing<Names>> {
    if (!isName(user)) throw notAName("user", user);
    return names(
      this.#vnodes.coverage("streams", { user }, ALL_REPLICAS),
    );
  }

  /** Users that have streams, by vnode: each stands in the rows of the replicas of its streams. */
  listUsers(): Promise<Listing<Names>> {
    return names(this.#vnodes.coverage("users", undefined, ALL_REPLICAS));
  }
}

/** Every vnode answers for all that it keeps. */
const ALL_REPLICAS = {
  n: 3,
  primaryVnodeCoverage: 3,
  mode: "allup",
  timeoutMs: TIMEOUT_MS,
} as const;

/**
 * The messages of all replicas, merged: each message once, in order, at most
 * `count`; the last ones, or, with a number to begin at, the first ones.
 */
export function mergedMessages(
  replies: readonly Found[],
  from: number | null,
  count: number,
): Message[] {
  const byIdentity = new Map<string, Message>();
  for (const reply of replies) {
    if ("error" in reply) continue;
    for (const message of reply.messages) {
      byIdentity.set(`${message.id} ${message.origin}`, message);
    }
  }
  const messages = [...byIdentity.values()].sort((a, b) =>
    a.id - b.id || (a.origin < b.origin ? -1 : 1)
  );
  return from === null ? messages.slice(-count) : messages.slice(0, count);
}

/** What is left of {@linkcode TIMEOUT_MS} after `tookMs`, which may be any number if the clock was set meanwhile. */
function timeLeftMs(tookMs: number): number {
  return Math.max(1, TIMEOUT_MS - Math.max(0, Math.ceil(tookMs)));
}

/**
 * The number of the next message. The first vnode of the preference list
 * assigns numbers in order; if others know of later messages, it has missed
 * some.
 */
function nextId(replies: readonly Reserved[]): number {
  return Math.max(replies[0]!.next, ...replies.map(({ last }) => last + 1));
}

/** What `sayOf` makes of the answers, each with its origin. All replicas have answered. */
function repliesOf<Reply, Said extends object>(
  { replies, replicas }: ModuleResult<Reply>,
  sayOf: (reply: Reply) => Said,
): Replies<Replica & Said> {
  return {
    status: "ok",
    replies: replicas.map(({ partition, node }, i) => ({
      partition,
      node,
      ...sayOf(replies[i] as Reply),
    })),
  };
}

/** Failures after which a partial listing is worth showing. */
const PARTIAL_REASONS = [
  "timeout",
  "insufficient_vnodes",
  "coordinator_lost",
  "connection_closed",
] as const;

/** The rows that `rowOf` makes of the chunks of each vnode, by partition. */
async function listing<Chunk, Row extends Replica>(
  query: CoverageQuery<CoverageChunk<Chunk>>,
  rowOf: (chunks: readonly Chunk[], from: Replica) => Row | undefined,
): Promise<Listing<Row>> {
  const said = new Map<string, { from: Replica; chunks: Chunk[] }>();
  let reason: string | undefined;
  try {
    for await (const { value, partition, node } of query) {
      const vnode = `${partition} ${node}`;
      const known = said.get(vnode);
      if (known !== undefined) known.chunks.push(value);
      else said.set(vnode, { from: { partition, node }, chunks: [value] });
    }
    const missing = query.report?.missing ?? [];
    if (missing.length > 0) {
      reason = `Nobody answers for all of the key spaces ${missing.join(", ")}`;
    }
  } catch (error) {
    if (!PARTIAL_REASONS.some((code) => isWhorlError(error, code))) throw error;
    reason = (error as Error).message;
  }
  const rows = [...said.values()]
    .map(({ from, chunks }) => rowOf(chunks, from))
    .filter((row) => row !== undefined)
    .sort((a, b) => a.partition - b.partition);
  return reason === undefined
    ? { status: "ok", rows }
    : { status: "partial", rows, reason };
}

function names(
  query: CoverageQuery<CoverageChunk<readonly string[]>>,
): Promise<Listing<Names>> {
  return listing(query, (chunks, from) => {
    const sorted = [...new Set(chunks.flat())].sort();
    return sorted.length === 0 ? undefined : { ...from, names: sorted };
  });
}

function randomOrigin(): string {
  return crypto.getRandomValues(new Uint8Array(8)).toHex();
}

function checkNumbers(a: number, b: number): void {
  for (const value of [a, b]) {
    if (Number.isFinite(value)) continue;
    throw new TypeError(
      `Cannot add as both must be finite numbers: current value is ${value}`,
    );
  }
}

function checkStream(user: string, stream: string): void {
  for (const [what, name] of Object.entries({ user, stream })) {
    if (!isName(name)) throw notAName(what, name);
  }
}

function notAName(what: string, name: unknown): TypeError {
  return new TypeError(
    `Cannot use a ${what} as its name must be a text of 1 to ${NAME_BYTES_MAX} bytes: current value is ${
      typeof name === "string" ? JSON.stringify(name.slice(0, 100)) : name
    }`,
  );
}

function checkText(msg: unknown): asserts msg is string {
  if (typeof msg !== "string" || !msg.isWellFormed()) {
    throw new TypeError(
      `Cannot post a message as it must be a well-formed text: current value is of type ${typeof msg}`,
    );
  }
  const bytes = byteCount(msg);
  if (bytes <= MSG_BYTES_MAX) return;
  throw new RangeError(
    `Cannot post a message as it may have ${MSG_BYTES_MAX} bytes: current value is ${bytes}`,
  );
}

function checkWhole(what: string, value: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
  throw new RangeError(
    `Cannot get messages as '${what}' must be a whole number from 1 to ${max}: current value is ${value}`,
  );
}
