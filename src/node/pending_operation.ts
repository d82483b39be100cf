/**
 * An operation of a client until it has its answer: what is kept of it, and
 * where it was sent. `client_connection.ts` keeps all of them.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopy } from "../base/byte_slab.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Deadline } from "../environment/deadline_wheel.ts";
import {
  isReadOperation,
  readOperationResult,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { type Demand, demandOf } from "../request/shared_fate.ts";
import type { Link } from "../transport/link.ts";

/** Gives an operation up. */
export interface OperationGiver {
  give(id: number, error: WhorlError): void;
}

/** An unanswered operation; see the module comment. */
export class PendingOperation implements Deadline {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;
  readonly id: number;
  /** Empty once it was sent and will not be sent again. */
  bytes: Uint8Array;
  readonly isRead: boolean;
  readonly demand: Demand;
  /** Identifies the operation where overload is heeded. */
  readonly heededAs: number;
  readonly deadlineAt: number;
  readonly #connection: OperationGiver;
  readonly #target: OperationTarget;
  /** Whether it may have been carried out already. */
  sent = false;
  /** Where its answer is awaited. */
  via: Link | undefined = undefined;
  /** How many nodes have answered that they serve nobody. */
  refusals = 0;

  constructor(
    connection: OperationGiver,
    id: number,
    bytes: Uint8Array,
    heededAs: number,
    deadlineAt: number,
    target: OperationTarget,
  ) {
    this.#connection = connection;
    this.id = id;
    this.bytes = bytes;
    this.isRead = isReadOperation(bytes, 0);
    this.demand = demandOf(bytes, 0);
    this.heededAs = heededAs;
    this.deadlineAt = deadlineAt;
    this.#target = target;
  }

  deadlinePassed(): void {
    this.#connection.give(
      this.id,
      new WhorlError(
        "timeout",
        this.sent
          ? "No node has answered in time; a write may yet have happened"
          : "Cannot send the operation in time: there was no connection, or no room in it",
      ),
    );
  }

  /** The node has carried it out; `body` is valid only during the call. */
  succeed(body: Uint8Array): void {
    try {
      // A copy: the caller must not get a view into the receive buffer.
      const kept = briefCopy(body);
      this.#target.operationDone(readOperationResult(new ByteReader(kept)));
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      this.#target.operationFailed(error);
    }
  }

  /** It has failed, or is given up. */
  fail(error: WhorlError): void {
    this.#target.operationFailed(error);
  }
}
