/**
 * What reads of `kv` know beyond what always holds: guarantees that depend on
 * how many replicas are asked and on whether fallbacks answer, so the user of
 * the check says which ones apply. A read knows a write if its context covers
 * the write's dot, whether or not the value is still there; so a stale read is
 * found even if another write has replaced what it missed.
 *
 * @module
 */
import {
  coversAll,
  knowsAcknowledged,
  type KvKeyHistory,
  type KvRecord,
  type KvSight,
  learn,
  sightInWords,
} from "./kv_history.ts";
import type { Violation } from "./violation.ts";

/** Guarantees to check. */
export interface ReadGuarantees {
  /**
   * A read knows every write that was acknowledged before it began. True for R
   * + W > N without fallbacks; a function limits it to pairs of write and read.
   *
   * @default {false}
   */
  readonly readsSeeAcknowledged?:
    | boolean
    | ((write: KvRecord, read: KvRecord) => boolean)
    | undefined;
  /** A read knows every write that was acknowledged to the same client. @default {false} */
  readonly readYourWrites?: boolean | undefined;
  /**
   * A read knows everything that earlier reads of the same client knew.
   * @default {false}
   */
  readonly monotonicReads?: boolean | undefined;
}

/** Checks the reads of one key against the guarantees. */
export function checkReadGuarantees(
  history: KvKeyHistory,
  guarantees: ReadGuarantees,
): readonly Violation[] {
  const reads = history.sights.filter(({ record }) =>
    record?.input.type === "get"
  );
  return [
    ...reads.flatMap((read) => missedWrites(history, read, guarantees)),
    ...(guarantees.monotonicReads ? forgetfulReads(history, reads) : []),
  ];
}

/** Acknowledged writes that `read` should know and does not. */
function missedWrites(
  { key, writes }: KvKeyHistory,
  read: KvSight,
  { readsSeeAcknowledged = false, readYourWrites }: ReadGuarantees,
): Violation[] {
  const readRecord = read.record as KvRecord;
  const { client, id } = readRecord;
  const sees = typeof readsSeeAcknowledged === "function"
    ? (write: KvRecord) => readsSeeAcknowledged(write, readRecord)
    : () => readsSeeAcknowledged;
  const violations: Violation[] = [];
  for (const write of writes) {
    if (!write.acknowledged || knowsAcknowledged(write, read)) continue;
    const own = readYourWrites && write.client === client && write.id < id &&
      write.returnedAtMs <= read.invokedAtMs;
    // At the same moment, either may have been first.
    const before = write.returnedAtMs < read.invokedAtMs && sees(write.record);
    if (!own && !before) continue;
    violations.push({
      check: own ? "read_your_writes" : "stale_read",
      message: `Key ${JSON.stringify(key)}: ${
        sightInWords(read)
      } does not know operation ${write.id}, which was acknowledged to ${
        own ? "the same client" : write.client
      } at ${write.returnedAtMs} ms, before it began at ${read.invokedAtMs} ms`,
      key,
      operations: [write.id, id].sort((a, b) => a - b),
    });
  }
  return violations;
}

/** Reads that know less than an earlier read of the same client. */
function forgetfulReads(
  { key }: KvKeyHistory,
  reads: readonly KvSight[],
): Violation[] {
  const violations: Violation[] = [];
  const learned = new Map<string, { known: number[]; id: number }>();
  const byId = reads.toSorted((a, b) =>
    (a.record as KvRecord).id - (b.record as KvRecord).id
  );
  for (const read of byId) {
    const { client, id } = read.record as KvRecord;
    const earlier = learned.get(client);
    if (earlier === undefined) {
      learned.set(client, { known: [...read.known], id });
      continue;
    }
    if (!coversAll(read.known, earlier.known)) {
      violations.push({
        check: "monotonic_reads",
        message: `Key ${JSON.stringify(key)}: ${
          sightInWords(read)
        } knows less than what the same client had read up to operation ${earlier.id}`,
        key,
        operations: [earlier.id, id],
      });
    }
    learn(earlier.known, read.known);
    earlier.id = id;
  }
  return violations;
}
