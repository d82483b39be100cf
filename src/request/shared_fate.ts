/**
 * Which operations share the fate of one that was refused because vnodes are
 * overloaded: those with the same demands on the same vnodes. A client that was
 * refused need not try each of the others to learn the same.
 *
 *     refused: keys of partition 12 of 64, again after 125 ms
 *       └──► an operation of the same module, kind and quorum, on such a key
 *
 * The commands of a module wait in one mailbox, so a refusal does not depend on
 * the command. It does not depend on the bucket either, except in `kv`:
 * operations on a bucket that is served by Raft groups ask no vnode, so the
 * operations of one bucket tell nothing about another.
 *
 * @module
 */
import {
  OPERATION_COUNTS_OFFSET,
  OPERATION_FLAGS_OFFSET,
  OPERATION_KEY_OFFSET,
  OPERATION_MODULE_OFFSET,
  OperationFlag,
  OperationKind,
} from "./operation_codec.ts";

/** The keys for which a refusal holds, in its details. */
export interface SharedFate {
  /** First owner of the refused operation's key, */
  readonly keyPartition: number;
  /** in a ring of this many partitions. */
  readonly ringSize: number;
}

/** How many numbers of an operation tell what is required of how many replicas. */
const COUNTS = 5;

/** What an operation demands, regardless of its key. */
export interface Demand {
  readonly moduleId: number;
  /**
   * Its kind, whether it is strict or only reads, and the numbers of replicas
   * required, as one number.
   */
  readonly demand: number;
  /** Hash of its bucket's name if buckets are served in different ways; otherwise 0. */
  readonly bucketSum: number;
}

/** The demand of the operation that begins at `start`. */
export function demandOf(operation: Uint8Array, start: number): Demand {
  const byteAt = (offset: number) => operation[start + offset] as number;
  const flags = byteAt(OPERATION_FLAGS_OFFSET);
  let demand = byteAt(0) * 4 +
    (flags & OperationFlag.strict ? 2 : 0) +
    (flags & OperationFlag.readOnly ? 1 : 0);
  // Fifty bits in all.
  for (let i = 0; i < COUNTS; i++) {
    demand = demand * 256 + byteAt(OPERATION_COUNTS_OFFSET + i);
  }
  let moduleId = 0;
  for (let i = 0; i < 4; i++) {
    moduleId = moduleId * 256 + byteAt(OPERATION_MODULE_OFFSET + i);
  }
  return { moduleId, demand, bucketSum: bucketSumOf(operation, start) };
}

/** Two buckets with the same hash are treated as one, which costs no more than a wait. */
function bucketSumOf(operation: Uint8Array, start: number): number {
  const kind = operation[start];
  if (kind !== OperationKind.put && kind !== OperationKind.get) return 0;
  const lengthAt = start + OPERATION_KEY_OFFSET + 2;
  const bucketBytes = (operation[lengthAt] as number) << 8 |
    (operation[lengthAt + 1] as number);
  let sum = bucketBytes;
  const end = Math.min(lengthAt + 2 + bucketBytes, operation.length);
  for (let at = lengthAt + 2; at < end; at++) {
    sum = (Math.imul(sum, 31) + (operation[at] as number)) | 0;
  }
  return sum;
}
