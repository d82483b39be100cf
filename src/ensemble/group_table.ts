/**
 * The groups of all partitions with their initial members, stored by the root
 * ensemble under one key, once and for all: a node that reads it may create its
 * own members named in it. A second key records that all have been created;
 * from then on nobody creates one of them, since it may have been removed.
 *
 * A ring that is to have another size has a table of its own beside the first
 * one. When a ring is gone, a mark replaces its table. The key stays: a node
 * that was away and still uses that ring must not write the table again, since
 * its groups would be empty and serve. The key that records that its members
 * have been created stays too, for nodes that have read the table before.
 *
 * It is one record, since all groups start at the same time, and one read tells
 * a node everything that it has to do.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { RaKvValue } from "../ra_kv/ra_kv_value.ts";
import { RING_SIZE_MAX } from "../ring/chash.ts";
import {
  ensembleOwners,
  type FirstMember,
} from "../ring/consistent_buckets.ts";

/** The keys of a table. */
export interface TableKeys {
  /** The root's key with the table. */
  readonly table: string;
  /**
   * The root's key that exists once all members of the table have been created.
   */
  readonly formed: string;
}

/**
 * The keys of the first table, whatever the generation of the ring was by then.
 */
export const FIRST_TABLE: TableKeys = { table: "groups", formed: "formed" };

/** The keys of the table of a ring that results from a resize. */
export function tableKeys(generation: number): TableKeys {
  return { table: `groups/${generation}`, formed: `formed/${generation}` };
}

/** A group of the table. */
export interface TableGroup {
  /** Id of the Raft group. */
  readonly groupId: number;
  /** Its initial members, starting with the one on its first owner. */
  readonly members: readonly FirstMember[];
}

/** The group of each partition. */
export type GroupTable = readonly TableGroup[];

const FORMAT = 1;

/** Replaces a table whose ring is gone. */
export const GONE_TABLE: RaKvValue = [0];

/** Whether `value` is {@linkcode GONE_TABLE}. */
export function isGoneTable(value: RaKvValue): boolean {
  return Array.isArray(value) && value.length === 1 && value[0] === 0;
}

/** The table for a ring with these owners; `newNumber` draws unused numbers. */
export function makeGroupTable(
  owners: readonly string[],
  newNumber: () => number,
): GroupTable {
  return owners.map((_, partition) => ({
    groupId: newNumber(),
    members: ensembleOwners(owners, partition).map((node) => ({
      node,
      uid: newNumber(),
    })),
  }));
}

/** A table as stored by the root. */
export function encodeGroupTable(table: GroupTable): RaKvValue {
  return [
    FORMAT,
    table.map(({ groupId, members }): RaKvValue => [
      groupId,
      members.map(({ node, uid }): RaKvValue => [node, uid]),
    ]),
  ];
}

/**
 * Decodes the output of {@linkcode encodeGroupTable}.
 *
 * @throws {WhorlError} `store_format` if it is of another version,
 * `value_corrupt` if it is malformed.
 */
export function decodeGroupTable(value: RaKvValue): GroupTable {
  const [format, groups] = list(value);
  if (format !== FORMAT) {
    throw new WhorlError(
      "store_format",
      `Cannot read the groups of ensembles as this version knows format ${FORMAT}: it is ${format}`,
    );
  }
  const table = list(groups).map((group): TableGroup => {
    const [groupId, members] = list(group);
    return {
      groupId: number(groupId),
      members: list(members).map((member) => {
        const [node, uid] = list(member);
        if (typeof node !== "string") throw corrupt();
        return { node, uid: number(uid) };
      }),
    };
  });
  if (table.length === 0 || table.length > RING_SIZE_MAX) throw corrupt();
  return table;
}

function list(value: RaKvValue | undefined): readonly RaKvValue[] {
  if (Array.isArray(value)) return value;
  throw corrupt();
}

function number(value: RaKvValue | undefined): number {
  if (Number.isSafeInteger(value) && (value as number) > 0) {
    return value as number;
  }
  throw corrupt();
}

function corrupt(): WhorlError {
  return new WhorlError(
    "value_corrupt",
    "Cannot read the groups of ensembles as they are not what was written",
  );
}
