/**
 * The offer of a transfer to its target, and whether the target accepts it.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { pendingTransfers, type Ring } from "../ring/ring.ts";
import { ageOfVnode, partitionOfVnode } from "../ring/ring_generations.ts";
import {
  expectInteger,
  expectList,
  expectOneOf,
  expectText,
} from "../wire/plain_data.ts";
import type { TransferKind } from "./transfer.ts";

const KINDS: readonly TransferKind[] = [
  "ownership",
  "hinted",
  "repair",
  "resize",
];

/** A transfer as offered to its target. */
export interface InboundOffer {
  /** The number that its source has chosen for it. */
  readonly transfer: number;
  readonly kind: TransferKind;
  readonly module: string;
  /** Number of the source vnode. The next field is that of the target vnode. */
  readonly sourcePartition: number;
  /** See `sourcePartition`. */
  readonly targetPartition: number;
  /** The ownership version in which it was decided, or 0. */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
}

/** An offer as plain data. */
export function offerData(offer: InboundOffer): unknown[] {
  const { transfer, kind, module, sourcePartition, targetPartition } = offer;
  const { term, version } = offer;
  return [
    transfer,
    kind,
    module,
    sourcePartition,
    targetPartition,
    term,
    version,
  ];
}

/** Decodes an offer. @throws {WhorlError} `protocol_error` */
export function expectOffer(value: unknown): InboundOffer {
  const fields = expectList(value, "an offer of a handoff", 7, 7);
  return {
    transfer: expectInteger(fields[0], "the number of a handoff", 1),
    kind: expectOneOf(fields[1], "the kind of a handoff", KINDS),
    module: expectText(fields[2], "a module", 32),
    sourcePartition: expectInteger(fields[3], "a partition"),
    targetPartition: expectInteger(fields[4], "a partition"),
    term: expectInteger(fields[5], "a term"),
    version: expectInteger(fields[6], "a version"),
  };
}

/**
 * Why this node refuses a transfer from `source`, given its ring; `null` if it
 * does not.
 */
export function refuseOffer(
  ring: Ring,
  self: string,
  modules: readonly string[],
  source: string,
  offer: InboundOffer,
): WhorlError | null {
  const { kind, module, targetPartition, term, version } = offer;
  const partition = partitionOfVnode(targetPartition);
  const refuse = (why: string): WhorlError =>
    new WhorlError(
      "handoff_refused",
      `Cannot take partition ${partition} from ${source} as ${why}`,
      { details: { partition } },
    );
  if (!modules.includes(module)) {
    return refuse(`it does not run '${module}'`);
  }
  const owner = ageOfVnode(ring, targetPartition) === "present"
    ? ring.ownership.owners[partition]
    : undefined;
  if (owner === undefined) return refuse("there is no such partition");
  const transfer = pendingTransfers(ring).find((pending) =>
    pending.partition === partition
  );
  switch (kind) {
    case "ownership":
      // Otherwise it would be taken for a hint, and be sent back.
      return transfer?.nextOwner === self && transfer.term === term &&
          transfer.version === version
        ? null
        : refuse("the ring here does not say so");
    case "hinted":
    case "repair":
      return owner === self ? null : refuse(`${owner} owns it`);
    case "resize":
      return refuse("the ring is not being resized");
  }
}
