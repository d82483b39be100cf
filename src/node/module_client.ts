/**
 * The interface of a vnode module for its callers: a command goes to the N
 * vnodes of a key and returns what each of them answered; a coverage query goes
 * to vnodes that together hold every key. The types of requests, replies and
 * failures are those that the module declares, within a node and over a client
 * connection alike.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, isWhorlError, WhorlError } from "../base/errors.ts";
import { writeModuleKey } from "../kv/key_limits.ts";
import { chashKey, RING_SIZE_MIN } from "../ring/chash.ts";
import {
  type CoverageOptions,
  type CoverageQuery,
  coverageQuery,
  type CoverageRequest,
} from "../request/coverage_client.ts";
import {
  type OperationCarrier,
  submitOperation,
} from "../request/operation_carrier.ts";
import {
  OperationFlag,
  OperationKind,
  type ReplicaReport,
  writeOperationHeader,
  writePlaceKey,
} from "../request/operation_codec.ts";
import {
  type QuorumRule,
  readQuorum,
  type ReadQuorumOptions,
  writeQuorum,
  type WriteQuorumOptions,
} from "../request/quorum_options.ts";
import type {
  FailureOf,
  ReplyOf,
  RequestOf,
  VnodeCommands,
  VnodeModule,
} from "../vnode/vnode.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import type { ErlangTerm } from "../wire/etf.ts";

/**
 * Options of a request: `w`, `pw` and `dw` make it a write, `r` and `pr` a
 * read. Both count replies alike; only errors name them differently.
 */
export type ModuleRequestOptions =
  & (ReadQuorumOptions | WriteQuorumOptions)
  & {
    /** Stops waiting: the request fails with `cancelled`, but the command may still be carried out. */
    readonly signal?: AbortSignal | undefined;
  };

/** The outcome of a command at one vnode; its declared failures are `Failure`. */
export type ModuleReplica<Failure extends string = string> =
  & Omit<ReplicaReport, "error">
  & {
    /** Why it failed, if it did: a failure the module declares, or one of Whorl's. */
    readonly error?: {
      readonly code: Failure | ErrorCode;
      readonly message: string;
    };
  };

/** The result of a request. */
export interface ModuleResult<Reply, Failure extends string = string> {
  /**
   * Replies in the order of the preference list; `undefined` if a vnode failed
   * or had not answered when the quorum was met. Bytes in it may be views: copy
   * what you keep for long.
   */
  readonly replies: readonly (Reply | undefined)[];
  /** The vnodes, and the outcome at each. */
  readonly replicas: readonly ModuleReplica<Failure>[];
}

/** A chunk of the answer of one vnode to a coverage query. */
export interface CoverageChunk<Reply> {
  /** The chunk, as the module's handler yielded it. Bytes in it are views: copy what you keep for long. */
  readonly value: Reply;
  /** Partition of the vnode, */
  readonly partition: number;
  /** and the name of its node. */
  readonly node: string;
  /** Number of the vnode's share in the query. */
  readonly part: number;
  /**
   * The share of a vnode that failed half-way and was replaced by this one:
   * what it yielded for these key spaces is repeated.
   */
  readonly repeats: number | undefined;
}

/** The declarations of a module, as its callers need them. */
export type ModuleInterface<
  C extends VnodeCommands,
  // deno-lint-ignore ban-types -- see ModuleClient.
  V extends VnodeCommands = {},
> =
  & Pick<VnodeModule<C, V>, "name" | "commands">
  & Partial<Pick<VnodeModule<C, V>, "coverage">>;

/** The commands and the coverage queries of one module. */
export interface ModuleClient<
  C extends VnodeCommands,
  // deno-lint-ignore ban-types -- a module without coverage queries has a table with nothing in it.
  V extends VnodeCommands = {},
> {
  /**
   * Sends `command` with `body` to the vnodes of `{bucket, key}`. The bucket is
   * a text of up to 256 bytes, the key a text or bytes of up to 742. Other
   * Erlang terms, such as `erlangAtom("add")` and `erlangTuple(2, 4)`, are
   * placed as `chashKey` does.
   *
   * @throws {WhorlError} `quorum_unavailable`, `timeout`, `insufficient_vnodes`
   * (their `details.answers` say what each vnode answered; see {@linkcode
   * ModuleClient.failures}), `overload`, `invalid_key`, `invalid_quorum`,
   * `unknown_command`, `invalid_argument` if `body` cannot be encoded, `bucket`
   * or `key` is not a term, or no node runs the module, `cancelled`. After
   * `timeout`, `quorum_unavailable`, `coordinator_lost`, `node_suspected`,
   * `connection_closed` and `cancelled` the command may still have been carried
   * out.
   */
  request<K extends keyof C & string>(
    bucket: ErlangTerm,
    key: ErlangTerm,
    command: K,
    body: RequestOf<C[K]>,
    options?: ModuleRequestOptions,
  ): Promise<ModuleResult<ReplyOf<C[K]>, FailureOf<C[K]>>>;
  /**
   * Queries a set of vnodes that together hold every key, and yields their
   * chunks in order of arrival; those of one vnode stay in its order. Each key
   * is reported by one vnode, unless `primaryVnodeCoverage` asks for more or a
   * vnode failed half-way (see {@linkcode CoverageChunk.repeats}).
   *
   * Iterating throws `insufficient_vnodes` if no vnode can answer for some keys
   * (unless `mode` is "allup"), `timeout`, `unknown_command`, `overload`,
   * `coordinator_lost`, `connection_closed`, `cancelled`, or `invalid_argument`
   * for invalid options or an invalid body. What was yielded before is then
   * incomplete. `details.coverage` of an error is the report, if there is one.
   */
  coverage<K extends keyof V & string>(
    query: K,
    body: RequestOf<V[K]>,
    options?: CoverageOptions,
  ): CoverageQuery<CoverageChunk<ReplyOf<V[K]>>>;
  /** Extracts the declared failures of `command` from the error of a request. */
  failures<K extends keyof C & string>(
    command: K,
    error: unknown,
  ): FailureOf<C[K]>[];
}

/** The client of `module` over `carrier`, which is asked for at each request because a node may have restarted it. */
export function moduleClient<
  C extends VnodeCommands,
  // deno-lint-ignore ban-types -- see ModuleClient.
  V extends VnodeCommands = {},
>(
  module: ModuleInterface<C, V>,
  carrier: () => OperationCarrier,
): ModuleClient<C, V> {
  const moduleId = moduleIdOf(module.name);
  const names = Object.keys(module.commands);
  const queries = Object.keys(module.coverage ?? {});
  const declarationOf = (
    command: string,
    table: VnodeCommands = module.commands,
  ): VnodeCommands[string] => {
    const declaration = Object.hasOwn(table, command)
      ? table[command]
      : undefined;
    if (declaration !== undefined) return declaration;
    throw new WhorlError(
      "unknown_command",
      `Cannot send '${command}' as '${module.name}' has no such ${
        table === module.commands ? "command" : "coverage query"
      }`,
      { details: { module: module.name, command } },
    );
  };
  return {
    // deno-lint-ignore require-await -- async so that every refusal is a rejection.
    async request(bucket, key, command, body, options) {
      const declaration = declarationOf(command);
      const rule = ruleOf(options);
      const into = new ByteWriter(256);
      writeOperationHeader(into, {
        kind: OperationKind.request,
        flags: OperationFlag.bodyOnly |
          (rule.strict ? OperationFlag.strict : 0),
        moduleId,
        command: names.indexOf(command),
        n: rule.n,
        quorum: rule.need,
        primaries: rule.primaries,
        durable: rule.durable,
        nodeConfirms: rule.nodeConfirms,
        timeLeftMs: rule.timeoutMs,
      });
      if (typeof bucket === "string" && isNameOrBytes(key)) {
        writeModuleKey(bucket, key, into);
      } else writePlaceKey(chashKey(bucket, key), into);
      declaration.request.encode(body, into);
      return submitOperation(
        carrier(),
        into,
        options?.signal,
        ({ replies, replicas }) => ({
          replies: replies.map((bytes) =>
            bytes === undefined
              ? undefined
              : declaration.reply.decode(new ByteReader(bytes))
          ),
          replicas: replicas as readonly ModuleReplica<never>[],
        }),
      );
    },
    coverage<K extends keyof V & string>(
      query: K,
      body: RequestOf<V[K]>,
      options?: CoverageOptions,
    ) {
      const request = (): CoverageRequest => {
        const { request } = declarationOf(query, module.coverage ?? {});
        return {
          moduleId,
          query: queries.indexOf(query),
          writeBody: (into) => request.encode(body, into),
          options,
        };
      };
      return coverageQuery(
        carrier,
        request,
        () => ({ chunks, part, repeats, partition, node }) => {
          const { reply } = declarationOf(query, module.coverage ?? {});
          return chunks.map((chunk) => ({
            value: reply.decode(new ByteReader(chunk)) as ReplyOf<V[K]>,
            partition,
            node,
            part,
            repeats,
          }));
        },
      );
    },
    failures<K extends keyof C & string>(command: K, error: unknown) {
      const { failures } = declarationOf(command);
      const { answers } = isWhorlError(error) ? error.details : {};
      if (!Array.isArray(answers)) return [];
      return answers
        .map((answer) => (answer as { code?: unknown }).code)
        .filter((code): code is FailureOf<C[K]> =>
          typeof code === "string" && failures.includes(code)
        );
    },
  };
}

/** Whether the term can be sent as it is; for others, their place on the ring is sent. */
function isNameOrBytes(key: ErlangTerm): key is string | Uint8Array {
  return typeof key === "string" || key instanceof Uint8Array;
}

function ruleOf(options: ModuleRequestOptions | undefined): QuorumRule {
  const isRead = options !== undefined && ("r" in options || "pr" in options);
  // The node checks again against its own ring.
  return isRead
    ? readQuorum(options, RING_SIZE_MIN)
    : writeQuorum(options, RING_SIZE_MIN);
}
