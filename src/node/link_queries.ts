/**
 * The coverage queries that the other end of a link has begun here. They
 * continue by themselves between two pages, so nothing else would tell their
 * coordinators that the requester is gone: when the link ends they are
 * cancelled, along with their work at vnodes.
 *
 *     begins ──► page ──► asks for more ──► page … last page, failure or cancel
 *                  └───────────┴── link ends ──► cancelled
 *
 * Queries are tracked by observing the operations and pages that pass, so this
 * works wherever the coordinators run.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, type WhorlError } from "../base/errors.ts";
import { COVERAGE_CALLER_IDLE_MS } from "../request/coverage_fsm.ts";
import {
  readCoveragePageHead,
  writeCoverageFollowUp,
} from "../request/coverage_page_codec.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import {
  emptyOperationHeader,
  OperationKind,
  type OperationResult,
  readOperationHeader,
  readOperationResult,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";

/** Time a cancel may take to reach a coordinator whose host is being restarted, in milliseconds. */
const CANCEL_MS = 1_000;

/** A query under way. */
interface OpenQuery {
  readonly moduleId: number;
  readonly command: number;
  /** When its coordinator drops it unless it is asked for more; never while a page is awaited. */
  idleUntilMs: number;
}

/** A target that observes the outcomes passing through it. */
type PassingTarget = Required<OperationTarget>;

/** The coverage queries of one link; see the module comment. */
export class LinkQueries {
  readonly #coordinators: () => OperationCarrier | undefined;
  readonly #now: () => number;
  readonly #open = new Map<number, OpenQuery>();
  #closed = false;

  /**
   * @param coordinators Those of coverage queries, asked for each time.
   * @param now Milliseconds on any monotonic clock.
   */
  constructor(
    coordinators: () => OperationCarrier | undefined,
    now: () => number,
  ) {
    this.#coordinators = coordinators;
    this.#now = now;
  }

  /** Queries under way. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * The target for the operation in `bytes[start, end)`, which belongs to a
   * coverage query: `target`, or one that observes the outcome first.
   */
  watch(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: PassingTarget,
  ): OperationTarget {
    const header = emptyOperationHeader();
    let followed: number | undefined;
    try {
      const reader = new ByteReader(bytes, start, end);
      readOperationHeader(reader, header);
      if (header.kind !== OperationKind.coverage) followed = reader.u53();
    } catch (error) {
      // Its receiver refuses it.
      if (isWhorlError(error)) return target;
      throw error;
    }
    const { moduleId, command } = header;
    if (header.kind === OperationKind.coverageCancel) {
      this.#open.delete(followed as number);
      return target;
    }
    if (followed === undefined) this.#forgetIdle();
    else {
      const query = this.#open.get(followed);
      if (query !== undefined) query.idleUntilMs = Infinity;
    }
    return new WatchedTarget(
      target,
      (query, last) => this.#told(query, last, moduleId, command),
      (error) => {
        // Two requests at once: the first still counts.
        if (followed !== undefined && error.code !== "protocol_error") {
          this.#open.delete(followed);
        }
      },
    );
  }

  /** The link has ended: all that is under way is cancelled, now or as soon as it has a number. */
  close(): void {
    this.#closed = true;
    for (const [number, query] of this.#open) this.#cancel(number, query);
    this.#open.clear();
  }

  #told(
    number: number,
    last: boolean,
    moduleId: number,
    command: number,
  ): void {
    this.#open.delete(number);
    if (last) return;
    const idleUntilMs = this.#now() + COVERAGE_CALLER_IDLE_MS;
    const query = { moduleId, command, idleUntilMs };
    if (this.#closed) this.#cancel(number, query);
    else this.#open.set(number, query);
  }

  /** Coordinators have ended queries by themselves that nobody continued. */
  #forgetIdle(): void {
    const now = this.#now();
    for (const [number, { idleUntilMs }] of this.#open) {
      if (idleUntilMs <= now) this.#open.delete(number);
    }
  }

  #cancel(number: number, { moduleId, command }: OpenQuery): void {
    const into = new ByteWriter(64);
    writeCoverageFollowUp(into, OperationKind.coverageCancel, {
      moduleId,
      command,
      timeLeftMs: CANCEL_MS,
    }, number);
    // Without coordinators there are no queries.
    this.#coordinators()?.submit(into.bytes, 0, into.length, NOBODY);
  }
}

const NOBODY: OperationTarget = {
  operationDone: () => {},
  operationFailed: () => {},
};

/** Passes an outcome on and tells what it means for the query. */
class WatchedTarget implements PassingTarget {
  constructor(
    readonly target: PassingTarget,
    readonly told: (query: number, last: boolean) => void,
    readonly failed: (error: WhorlError) => void,
  ) {}

  operationDone(result: OperationResult): void {
    this.#look(result);
    this.target.operationDone(result);
  }

  operationFailed(error: WhorlError): void {
    this.failed(error);
    this.target.operationFailed(error);
  }

  operationAnswered(
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    if (type === FrameType.operationError) {
      this.failed(readFailure(bytes.subarray(start, end)));
    } else {
      this.#look(readOperationResult(new ByteReader(bytes, start, end)));
    }
    this.target.operationAnswered(type, bytes, start, end);
  }

  #look({ object }: OperationResult): void {
    if (object === undefined) return;
    const { query, last } = readCoveragePageHead(new ByteReader(object));
    this.told(query, last);
  }
}
