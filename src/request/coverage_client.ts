/**
 * A coverage query for its caller: an async iterable. It requests a page when
 * the last chunk of the one before has been consumed, so a slow caller slows
 * the vnodes down, and one that stops stops them.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  type CoveragePage,
  type CoveragePagePiece,
  readCoveragePage,
  writeCoverageFollowUp,
  writeCoverageHeader,
} from "./coverage_page_codec.ts";
import { COVERAGE_TIMEOUT_MS_MAX } from "../vnode/coverage_codec.ts";
import type { CoverageReport } from "./coverage_report.ts";
import { type OperationCarrier, submitOperation } from "./operation_carrier.ts";
import {
  OperationFlag,
  OperationKind,
  type OperationResult,
} from "./operation_codec.ts";
import { REPLICAS_MAX } from "./quorum_options.ts";

/** Options of a coverage query. */
export interface CoverageOptions {
  /** Replicas of a key, from 1 to 8: the `n` that the keys are written with. @default {3} */
  readonly n?: number | undefined;
  /**
   * How many vnodes report each key, from 1 to `n`. With more than one, a
   * caller also sees what one of them has missed, and most keys several times.
   *
   * @default {1}
   */
  readonly primaryVnodeCoverage?: number | undefined;
  /**
   * "all": the query fails with `insufficient_vnodes` if no vnode can answer
   * for some of the keys. "allup": it goes on without them, and its report
   * names them.
   *
   * @default {"all"}
   */
  readonly mode?: "all" | "allup" | undefined;
  /** Time for the whole query, in milliseconds, from 1 to 3,600,000. A query whose caller consumes nothing for a minute ends too. @default {60000} */
  readonly timeoutMs?: number | undefined;
  /** Time a vnode may be silent before others are asked in its place, in milliseconds. @default {10000} */
  readonly idleMs?: number | undefined;
  /** Stops the query at every vnode: the iteration fails with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
}

/** The answers of vnodes to a coverage query. Nothing is requested before iteration begins, and each iteration queries again. */
export interface CoverageQuery<Item> extends AsyncIterable<Item> {
  /** What the last iteration covered, once it has ended or failed; `complete` tells whether that was everything. */
  readonly report: CoverageReport | undefined;
}

/** What to ask. */
export interface CoverageRequest {
  readonly moduleId: number;
  /** Number of the query among those of its module. */
  readonly query: number;
  /** Appends the body of the query. */
  readonly writeBody: (into: ByteWriter) => void;
  readonly options: CoverageOptions | undefined;
}

const TIMEOUT_MS_DEFAULT = 60_000;
const IDLE_MS_DEFAULT = 10_000;

/**
 * A query whose items `itemsOf` makes from the chunks of one vnode.
 *
 * @param carrier Carries operations; looked up for each page, as a node may
 * have restarted it.
 * @param begin Makes `itemsOf` for one iteration.
 */
export function coverageQuery<Item>(
  carrier: () => OperationCarrier,
  request: () => CoverageRequest,
  begin: () => (piece: CoveragePagePiece) => readonly Item[],
): CoverageQuery<Item> {
  return new ReportingQuery<Item>((reported) => {
    let covered: CoverageReport | undefined;
    const itemsOf = begin();
    const pagesLeft = pages(carrier, request());
    let pieces: readonly CoveragePagePiece[] = [];
    let at = 0;
    return new ItemIterator(async () => {
      try {
        while (at === pieces.length) {
          const { done, value: page } = await pagesLeft.next();
          if (done) {
            reported(() => covered);
            return undefined;
          }
          covered = page.report;
          pieces = page.pieces;
          at = 0;
        }
        return itemsOf(pieces[at++] as CoveragePagePiece);
      } catch (error) {
        if (isWhorlError(error)) {
          reported(() => error.details.coverage as CoverageReport | undefined);
        }
        throw error;
      }
    }, () => pagesLeft.return(undefined));
  });
}

type ReportedIteration<Item> = (
  reported: (report: () => CoverageReport | undefined) => void,
) => AsyncIterator<Item>;

/** A query that knows what its last iteration has covered. */
class ReportingQuery<Item> implements CoverageQuery<Item> {
  readonly #iterate: ReportedIteration<Item>;
  #report: () => CoverageReport | undefined = noReport;

  /** @param iterate Begins an iteration, which gives what it knows of the report when it does. */
  constructor(iterate: ReportedIteration<Item>) {
    this.#iterate = iterate;
  }

  get report(): CoverageReport | undefined {
    return this.#report();
  }

  [Symbol.asyncIterator](): AsyncIterator<Item> {
    this.#report = noReport;
    return this.#iterate((report) => void (this.#report = report));
  }
}

function noReport(): undefined {}

/**
 * Iterates over the items of lists, each requested when the last item of the
 * one before has been consumed. An async generator would do the same, but take
 * three turns of the microtask queue per item instead of one.
 */
class ItemIterator<Item> implements AsyncIterator<Item, undefined, undefined> {
  readonly #nextItems: () => Promise<readonly Item[] | undefined>;
  readonly #close: () => Promise<unknown>;
  #items: readonly Item[] = [];
  #at = 0;
  #ended = false;
  /** Readers that wait for items, in order. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    nextItems: () => Promise<readonly Item[] | undefined>,
    close: () => Promise<unknown>,
  ) {
    this.#nextItems = nextItems;
    this.#close = close;
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#waiting === 0 && this.#at < this.#items.length) {
      return Promise.resolve({
        done: false,
        value: this.#items[this.#at++] as Item,
      });
    }
    this.#waiting++;
    const taken = this.#last.then(() => this.#take())
      .finally(() => this.#waiting--);
    this.#last = taken.catch(() => {});
    return taken;
  }

  async #take(): Promise<IteratorResult<Item, undefined>> {
    while (!this.#ended && this.#at === this.#items.length) {
      try {
        const items = await this.#nextItems();
        this.#ended ||= items === undefined;
        this.#items = items ?? [];
        this.#at = 0;
      } catch (error) {
        this.#ended = true;
        throw error;
      }
    }
    if (this.#ended) return { done: true, value: undefined };
    return { done: false, value: this.#items[this.#at++] as Item };
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#ended = true;
    this.#items = [];
    this.#at = 0;
    await this.#close();
    return { done: true, value: undefined };
  }
}

/** The query that `open` resolves to; `open` is called for each iteration. */
export function coverageLater<Item>(
  open: () => Promise<CoverageQuery<Item>>,
): CoverageQuery<Item> {
  return new ReportingQuery<Item>((reported) => {
    let items: Promise<AsyncIterator<Item>> | undefined;
    const openOnce = (): Promise<AsyncIterator<Item>> =>
      open().then((query) => {
        reported(() => query.report);
        return query[Symbol.asyncIterator]();
      });
    return {
      next: async () => (await (items ??= openOnce())).next(),
      async return() {
        await (await items)?.return?.();
        return { done: true, value: undefined };
      },
    };
  });
}

/** The pages of one query, the last one with the report. */
async function* pages(
  carrier: () => OperationCarrier,
  request: CoverageRequest,
): AsyncGenerator<CoveragePage> {
  const { signal } = request.options ?? {};
  const operation = writeBegin(request);
  let query: number | undefined;
  let over = false;
  const cancel = (): void => {
    if (query !== undefined && !over) sendCancel(carrier, request, query);
    over = true;
  };
  /** Also called for a page that is no longer awaited. */
  const pageOf = (result: OperationResult): CoveragePage => {
    const page = readCoveragePage(
      new ByteReader(result.object ?? new Uint8Array(0)),
    );
    if (query === undefined && over) {
      sendCancel(carrier, request, page.query);
    }
    query = page.query;
    if (page.report !== undefined) over = true;
    return page;
  };
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    let page = await submitOperation(carrier(), operation, signal, pageOf);
    while (page.report === undefined) {
      yield page;
      page = await submitOperation(
        carrier(),
        writeFollowUp(OperationKind.coverageMore, request, page),
        signal,
        pageOf,
      );
    }
    yield page;
  } catch (error) {
    // There is nobody to tell.
    if (isWhorlError(error, "coordinator_lost")) over = true;
    throw error;
  } finally {
    signal?.removeEventListener("abort", cancel);
    cancel();
  }
}

function writeBegin(request: CoverageRequest): ByteWriter {
  const { moduleId, query, options = {} } = request;
  const n = wholeOf("n", options.n ?? 3, 1, REPLICAS_MAX);
  const into = new ByteWriter(256);
  writeCoverageHeader(into, {
    kind: OperationKind.coverage,
    flags: options.mode === "allup" ? OperationFlag.allUp : 0,
    moduleId,
    command: query,
    n,
    primaryVnodeCoverage: wholeOf(
      "primaryVnodeCoverage",
      options.primaryVnodeCoverage ?? 1,
      1,
      n,
    ),
    timeLeftMs: wholeOf(
      "timeoutMs",
      options.timeoutMs ?? TIMEOUT_MS_DEFAULT,
      1,
      COVERAGE_TIMEOUT_MS_MAX,
    ),
  });
  into.u32(
    wholeOf(
      "idleMs",
      options.idleMs ?? IDLE_MS_DEFAULT,
      1,
      COVERAGE_TIMEOUT_MS_MAX,
    ),
  );
  request.writeBody(into);
  return into;
}

function writeFollowUp(
  kind:
    | typeof OperationKind.coverageMore
    | typeof OperationKind.coverageCancel,
  { moduleId, query: command }: CoverageRequest,
  { query, timeLeftMs }: Pick<CoveragePage, "query" | "timeLeftMs">,
): ByteWriter {
  const into = new ByteWriter(64);
  writeCoverageFollowUp(into, kind, { moduleId, command, timeLeftMs }, query);
  return into;
}

/** Tells the coordinator that no more is wanted, if it can be reached; otherwise it finds out by itself. */
function sendCancel(
  carrier: () => OperationCarrier,
  request: CoverageRequest,
  query: number,
): void {
  const operation = writeFollowUp(OperationKind.coverageCancel, request, {
    query,
    timeLeftMs: 1_000,
  });
  try {
    carrier().submit(operation.bytes, 0, operation.length, {
      operationDone: () => {},
      operationFailed: () => {},
    });
  } catch (error) {
    // The coordinators are gone, and the query with them.
    if (!isWhorlError(error)) throw error;
  }
}

/** @throws {WhorlError} `invalid_argument` unless `value` is a whole number in the range. */
function wholeOf(
  option: string,
  value: unknown,
  min: number,
  max: number,
): number {
  if (
    Number.isInteger(value) && (value as number) >= min &&
    (value as number) <= max
  ) return value as number;
  throw new WhorlError(
    "invalid_argument",
    `Cannot begin a coverage query as '${option}' must be a whole number from ${min} to ${max}: current value is ${value}`,
    { details: { option, min, max } },
  );
}
