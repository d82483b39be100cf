/**
 * Chooses the coordinator of an operation: by its kind, the preference list of
 * its key, and where the primaries are.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import {
  fillActivePreflist,
  fillPrimaryPreflist,
  Preflist,
} from "../ring/preflist.ts";
import { CoverageProcess } from "./coverage_process.ts";
import { ForwardProcess } from "./forward_process.ts";
import { GetProcess } from "./get_process.ts";
import type { ObjectCommands } from "./object_merge.ts";
import { OpProcess } from "./op_process.ts";
import { OperationFlag, OperationKind } from "./operation_codec.ts";
import { partitionOfKey } from "./operation_partition.ts";
import { PutProcess } from "./put_process.ts";
import type { Replica } from "./quorum.ts";
import {
  checkQuorumRule,
  type QuorumRule,
  REPLICAS_MAX,
} from "./quorum_options.ts";
import {
  type BegunOperation,
  quorumRuleOf,
  type RequestProcess,
} from "./request_process.ts";
import { overloadRefusal } from "./told_overloads.ts";

/** An operation, and what is known about its module. */
export interface ModuleOperation extends BegunOperation {
  /** How objects of the module are merged, if they are versioned. */
  readonly objects: ObjectCommands | undefined;
}

/** Filled and read within one turn. */
const preflist = new Preflist(REPLICAS_MAX);

/**
 * The coordinator of an operation, not started yet.
 *
 * @throws {WhorlError} Why the operation cannot be coordinated: its quorum or
 * its bytes are invalid, or its vnodes have reported that they are overloaded.
 */
export function coordinatorFor(operation: ModuleOperation): RequestProcess {
  const { header, view } = operation;
  switch (header.kind) {
    case OperationKind.put: {
      const rule = ruleOf(operation, "write");
      const replicas = replicasOf(operation, rule);
      const elsewhere = header.flags & OperationFlag.forwarded
        ? -1
        : coordinatorElsewhere(replicas, view.self);
      return elsewhere >= 0
        ? new ForwardProcess(operation, elsewhere)
        : new PutProcess(
          operation,
          objectCommands(operation),
          replicas,
          rule,
        );
    }
    case OperationKind.get: {
      const rule = ruleOf(operation, "read");
      return new GetProcess(
        operation,
        objectCommands(operation),
        replicasOf(operation, rule),
        rule,
      );
    }
    case OperationKind.coverage:
      return new CoverageProcess(operation);
    case OperationKind.raft:
      throw new WhorlError(
        "protocol_error",
        "Cannot coordinate an operation of a Raft group as only its leader can",
      );
    default: {
      const rule = ruleOf(operation, header.durable > 0 ? "write" : "read");
      return new OpProcess(operation, replicasOf(operation, rule), rule);
    }
  }
}

function ruleOf(
  { header, view }: BegunOperation,
  kind: "read" | "write",
): QuorumRule {
  const strict = (header.flags & OperationFlag.strict) !== 0;
  const rule = quorumRuleOf(header, kind, strict);
  checkQuorumRule(rule, view.ringSize);
  return rule;
}

function replicasOf(operation: BegunOperation, rule: QuorumRule): Replica[] {
  const { bytes, header, view } = operation;
  const { keyStart, keyEnd } = header;
  const first = partitionOfKey(bytes, keyStart, keyEnd, view.ringSize);
  if (rule.strict) fillPrimaryPreflist(preflist, view, first, rule.n);
  else fillActivePreflist(preflist, view, first, rule.n);
  const replicas: Replica[] = [];
  for (let i = 0; i < preflist.length; i++) {
    replicas.push({
      partition: preflist.partitions[i] as number,
      node: preflist.nodes[i] as number,
      primary: preflist.fallbacks[i] === 0,
    });
  }
  refuseIfOverloaded(operation, first, replicas, rule);
  return replicas;
}

/**
 * Refuses before anything else is done: under heavy overload most operations
 * are refused, and that must be cheap.
 */
function refuseIfOverloaded(
  { host, header: { moduleId }, view }: BegunOperation,
  keyPartition: number,
  replicas: readonly Replica[],
  rule: QuorumRule,
): void {
  const { overloads, nowMs } = host;
  if (overloads.empty) return;
  const shared = { keyPartition, ringSize: view.ringSize };
  const leftMsOf = ({ node, partition }: Replica): number => {
    const placed = {
      node: view.nodes[node] as string,
      moduleId,
      vnode: view.firstVnode + partition,
    };
    return overloads.leftMs(placed, nowMs);
  };
  const refusal = overloadRefusal(replicas, rule, shared, leftMsOf);
  if (refusal !== undefined) throw refusal;
}

function objectCommands({ objects }: ModuleOperation): ObjectCommands {
  if (objects !== undefined) return objects;
  throw new WhorlError(
    "invalid_argument",
    "Cannot coordinate an operation on a module whose objects are not versioned",
  );
}

/** The node that should coordinate a write instead of this one, or -1 if this one may as well. */
function coordinatorElsewhere(
  replicas: readonly Replica[],
  self: number,
): number {
  let elsewhere = -1;
  for (const { node, primary } of replicas) {
    if (!primary) continue;
    if (node === self) return -1;
    if (elsewhere < 0) elsewhere = node;
  }
  return elsewhere;
}
