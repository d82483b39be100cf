/**
 * An application's own vnode module as its callers use it: a command goes to the
 * N vnodes of a key and comes back with what each of them answered. The types
 * of commands, answers and declared failures are those of the module, and the
 * same inside a node and over a client connection.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, isWhorlError, WhorlError } from "../base/errors.ts";
import { writeStorageKey } from "../kv/key_limits.ts";
import {
  type OperationCarrier,
  submitOperation,
} from "../request/operation_carrier.ts";
import {
  OperationFlag,
  OperationKind,
  type ReplicaReport,
  writeOperationHeader,
} from "../request/operation_codec.ts";
import {
  type QuorumRule,
  readQuorum,
  type ReadQuorumOptions,
  writeQuorum,
  type WriteQuorumOptions,
} from "../request/quorum_options.ts";
import type {
  Commands,
  FailureOf,
  ReplyOf,
  RequestOf,
  VnodeModule,
} from "../vnode/vnode.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";

/**
 * Options of a request: `w`, `pw` and `dw` count it as a write, `r` and `pr` as
 * a read. The numbers mean the same, only errors call them by other names.
 */
export type ModuleRequestOptions =
  & (ReadQuorumOptions | WriteQuorumOptions)
  & {
    /** Stops waiting: the request fails with `cancelled`; the command may yet be carried out. */
    readonly signal?: AbortSignal | undefined;
  };

/** What one vnode did with a command whose declared failures are `Failure`. */
export type ModuleReplica<Failure extends string = string> =
  & Omit<ReplicaReport, "error">
  & {
    /** Why it failed, if it did: a failure the module declares, or one of Whorl's. */
    readonly error?: {
      readonly code: Failure | ErrorCode;
      readonly message: string;
    };
  };

/** What a request came to. */
export interface ModuleResult<Reply, Failure extends string = string> {
  /**
   * By place in the preference list; `undefined` where a vnode failed or has
   * not answered by the time the quorum was met. Bytes in it may be views:
   * copy what is kept for long.
   */
  readonly replies: readonly (Reply | undefined)[];
  /** Which vnodes these are, and what each did. */
  readonly replicas: readonly ModuleReplica<Failure>[];
}

/** The commands of one module. */
export interface ModuleClient<C extends Commands> {
  /**
   * Sends `command` with `body` to the vnodes of `{bucket, key}`.
   *
   * @throws {WhorlError} `quorum_unavailable`, `timeout`, `insufficient_vnodes`
   * (their `details.answers` say what each vnode answered; see
   * {@linkcode ModuleClient.failures}), `overload`, `invalid_key`,
   * `invalid_quorum`, `unknown_command`, `invalid_argument` if `body` cannot be
   * encoded or nobody runs the module, `cancelled`. After `timeout`,
   * `quorum_unavailable`, `coordinator_lost`, `node_suspected`,
   * `connection_closed` and `cancelled` the command may yet have been carried
   * out.
   */
  request<K extends keyof C & string>(
    bucket: string,
    key: string,
    command: K,
    body: RequestOf<C[K]>,
    options?: ModuleRequestOptions,
  ): Promise<ModuleResult<ReplyOf<C[K]>, FailureOf<C[K]>>>;
  /** The failures declared for `command` that vnodes answered with, from the error of a request. */
  failures<K extends keyof C & string>(
    command: K,
    error: unknown,
  ): FailureOf<C[K]>[];
}

/** The client of `module` over `carrier`, which is asked for at each request, as a node may have restarted it. */
export function moduleClient<C extends Commands>(
  module: Pick<VnodeModule<C>, "name" | "commands">,
  carrier: () => OperationCarrier,
): ModuleClient<C> {
  const moduleId = moduleIdOf(module.name);
  const names = Object.keys(module.commands);
  const declarationOf = (command: string): Commands[string] => {
    const declaration = Object.hasOwn(module.commands, command)
      ? module.commands[command]
      : undefined;
    if (declaration !== undefined) return declaration;
    throw new WhorlError(
      "unknown_command",
      `Cannot send '${command}' as '${module.name}' has no such command`,
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
      writeStorageKey(bucket, key, into);
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

/** Partitions the smallest ring has; the node checks again against its own. */
const RING_SIZE_MIN = 8;

function ruleOf(options: ModuleRequestOptions | undefined): QuorumRule {
  const isRead = options !== undefined && ("r" in options || "pr" in options);
  return isRead
    ? readQuorum(options, RING_SIZE_MIN)
    : writeQuorum(options, RING_SIZE_MIN);
}
