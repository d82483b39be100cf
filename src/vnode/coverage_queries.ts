/**
 * The coverage requests to one vnode: they open the streams of its answers
 * (`coverage_streams.ts`), advance and cancel them.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import { type CommandTable, handlersOf } from "./command_table.ts";
import { CoverageAction, readCoverageRequest } from "./coverage_codec.ts";
import type { CoverageStreams } from "./coverage_streams.ts";
import type { Vnode, VnodeContext } from "./vnode.ts";

type CoverageHandler = NonNullable<Vnode["handleCoverage"]>[string];

/** The vnode whose coverage queries they are. */
export interface CoverageQueriesHost {
  readonly moduleName: string;
  readonly partition: number;
  readonly table: CommandTable;
  readonly streams: CoverageStreams;
  readonly store: VnodeContext["store"];
  /** Monotonic milliseconds. */
  now(): number;
}

/** The coverage queries of one vnode. */
export class CoverageQueries {
  readonly #host: CoverageQueriesHost;
  readonly #handlers: CoverageHandler[];

  /** @throws {WhorlError} `vnode_module_failed` if `vnode` lacks the handler of a query. */
  constructor(host: CoverageQueriesHost, vnode: Vnode) {
    this.#host = host;
    this.#handlers = handlersOf<CoverageHandler>(
      host.moduleName,
      "coverage query",
      host.table.coverageNames,
      vnode.handleCoverage,
    );
  }

  /**
   * Handles the request in `from`.
   *
   * @returns Whether a query has begun.
   * @throws {WhorlError} If the request cannot be read or answered.
   */
  take(
    correlation: number,
    query: number,
    deadline: number,
    from: ByteReader,
  ): boolean {
    const { moduleName, partition, table, streams, store } = this.#host;
    const request = readCoverageRequest(from);
    switch (request.action) {
      case CoverageAction.cancel:
        streams.cancel(request.stream, correlation);
        return false;
      case CoverageAction.more:
        streams.more(request.stream, correlation, deadline);
        return false;
    }
    const declaration = table.coverageDeclarations[query];
    const handler = this.#handlers[query];
    if (declaration === undefined || handler === undefined) {
      throw new WhorlError(
        "unknown_command",
        `Cannot run coverage query ${query} as '${moduleName}' has ${table.coverageNames.length}`,
      );
    }
    if (store.tailLost) {
      throw new WhorlError(
        "tail_lost",
        `Cannot list what partition ${partition} holds as its store has lost its newest commits and has not fetched them yet`,
        { details: { partition } },
      );
    }
    const body = declaration.request.decode(from);
    streams.open(
      request.stream,
      correlation,
      deadline,
      this.#host.now() + request.timeLeftMs,
      declaration,
      (signal) => handler(body, request.keySpaces, signal),
    );
    return true;
  }
}
