/**
 * Defining a vnode module. A module declares its commands, so that callers and
 * vnodes agree on requests and replies, and so that bytes can be passed on
 * without decoding:
 *
 *     export default defineVnode({
 *       name: "counter",
 *       commands: { add: command<{ by: number }, number>() },
 *       init: () => {
 *         let sum = 0;
 *         return {
 *           handleCommand: { add: ({ by }) => sum += by },
 *           …
 *         };
 *       },
 *     });
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { Awaitable } from "../environment/storage.ts";
import { decodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import { type MailboxBounds, resolveMailboxBounds } from "./mailbox_bounds.ts";
import { resolveWorkers, type WorkersOptions } from "./pool_workers.ts";
import { type PoolOptions, resolvePools } from "./work_pool.ts";
import type {
  CommandCodec,
  CommandDeclaration,
  Vnode,
  VnodeCommands,
  VnodeContext,
  VnodeModule,
} from "./vnode.ts";

/** Most commands, and most coverage queries, of one module: a byte numbers them. */
export const COMMANDS_MAX = 255;

/** The encodings and failures of a command. */
export interface CommandOptions<Request, Reply, Failure extends string> {
  /** Encoding of its request. @default {MessagePack} */
  readonly request?: CommandCodec<Request>;
  /** Encoding of its reply. @default {MessagePack} */
  readonly reply?: CommandCodec<Reply>;
  /** Names of failures its handler may answer with. @default {none} */
  readonly failures?: readonly Failure[];
}

/**
 * Declares a command or a coverage query.
 *
 * Without codecs, requests and replies are plain data: numbers, text, booleans,
 * null, `Uint8Array`, arrays and objects of these, and `undefined` for nothing
 * at all. The types are not checked at run time: bytes from another process are
 * decoded safely, but a handler that relies on their shape must check it.
 */
export function command<
  Request = undefined,
  Reply = undefined,
  Failure extends string = never,
>(
  options: CommandOptions<Request, Reply, Failure> = {},
): CommandDeclaration<Request, Reply, Failure> {
  return {
    request: options.request ?? msgpackCodec<Request>(),
    reply: options.reply ?? msgpackCodec<Reply>(),
    failures: options.failures ?? [],
  };
}

/** Plain data as MessagePack; `undefined` is an empty body. */
export function msgpackCodec<T>(): CommandCodec<T> {
  return MSGPACK as CommandCodec<T>;
}

const MSGPACK: CommandCodec<unknown> = {
  encode(value: unknown, into: ByteWriter): void {
    if (value !== undefined) writeMsgpack(value, into);
  },
  decode(from: ByteReader): unknown {
    return from.remaining === 0 ? undefined : decodeMsgpack(from.rest());
  },
};

/** Bytes as they are; decoded, they are a view into the message. */
export const bytesCodec: CommandCodec<Uint8Array> = {
  encode: (value, into) => into.raw(value),
  decode: (from) => from.rest(),
};

/** No body at all. */
export const nothingCodec: CommandCodec<undefined> = {
  encode: () => {},
  decode(from) {
    if (from.remaining === 0) return undefined;
    throw new WhorlError(
      "protocol_error",
      `Cannot read a message that must be empty: ${from.remaining} bytes follow`,
    );
  },
};

/** The definition of a vnode module. */
export interface VnodeDefinition<
  C extends VnodeCommands,
  V extends VnodeCommands,
> {
  /** Name of the module and of the service it provides: `^[a-z][a-z0-9_]{0,31}$`. */
  readonly name: string;
  /** Its commands, in an order that never changes: new ones go to the end. */
  readonly commands: C;
  /** Its coverage queries. @default {nothing} */
  readonly coverage?: V;
  /** Bounds of each vnode's mailbox that differ from the defaults. @default {{}} */
  readonly mailbox?: Partial<MailboxBounds>;
  /** Pools for long-running work, by the names for {@linkcode VnodeContext.pool}. @default {none} */
  readonly pools?: Readonly<Record<string, PoolOptions>>;
  /** Threads for work that computes, by the names for {@linkcode VnodeContext.workers}. @default {none} */
  readonly workers?: Readonly<Record<string, WorkersOptions>>;
  /** Creates the vnode of one partition. */
  init(partition: number, context: VnodeContext): Awaitable<Vnode<C, V>>;
}

/**
 * Creates the module that a vnode file exports as its default.
 *
 * @throws {WhorlError} `vnode_module_failed` if its name or its commands are
 * invalid.
 */
export function defineVnode<
  const C extends VnodeCommands,
  // deno-lint-ignore ban-types -- a module without coverage queries has a table with nothing in it.
  const V extends VnodeCommands = {},
>(definition: VnodeDefinition<C, V>): VnodeModule<C, V> {
  const { name, commands, init } = definition;
  const coverage = definition.coverage ?? ({} as V);
  if (typeof name !== "string" || !/^[a-z][a-z0-9_]{0,31}$/.test(name)) {
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot define a vnode module as its name must be a small letter, then up to 31 small letters, digits or _: current value is ${
        JSON.stringify(name)
      }`,
    );
  }
  for (const [what, table] of Object.entries({ commands, coverage })) {
    const count = Object.keys(table).length;
    if (count <= COMMANDS_MAX) continue;
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot define vnode module '${name}' as its ${what} may be ${COMMANDS_MAX}: current value is ${count}`,
    );
  }
  if (typeof init !== "function") {
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot define vnode module '${name}' as it must have an init function`,
    );
  }
  return Object.freeze({
    name,
    commands,
    coverage,
    mailbox: resolveMailboxBounds(name, definition.mailbox),
    pools: resolvePools(name, definition.pools ?? {}),
    workers: resolveWorkers(name, definition.workers ?? {}),
    init: (partition: number, context: VnodeContext) =>
      definition.init(partition, context),
  });
}
