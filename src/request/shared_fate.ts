/**
 * Which operations share the fate of one that was refused as vnodes are
 * overloaded: those that ask the same vnodes for as much. So whoever is refused
 * need not ask for each of the others to learn the same.
 *
 *     refused: keys of partition 12 of 64, again after 125 ms
 *       └──► an operation of the same module, kind and quorum, on such a key
 *
 * The commands of a module wait in one mailbox, so it is not for the command that
 * one of them is refused. Nor is it for the bucket, but where `kv` has a bucket
 * served by Raft groups its operations ask no vnode: so those of one bucket say
 * nothing of another.
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

/** What a refusal says of the keys it holds for, in its details. */
export interface SharedFate {
  /** First owner of the key of the operation that was refused, */
  readonly keyPartition: number;
  /** in a ring of so many partitions. */
  readonly ringSize: number;
}

/** How many of an operation's numbers say how many replicas must do what. */
const COUNTS = 5;

/** What an operation asks for, besides its key. */
export interface Demand {
  readonly moduleId: number;
  /**
   * Its kind, whether it is strict or only reads, and how many replicas must do
   * what, as one number.
   */
  readonly demand: number;
  /** Sum of the name of its bucket, where buckets are served in different ways; 0 elsewhere. */
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

/** Two buckets with the same sum are heeded as one, which costs no more than a wait. */
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
