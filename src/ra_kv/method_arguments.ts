/**
 * Checks the arguments of calls about clusters: they come from anyone who knows
 * the cookie.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Member, MemberKind } from "../raft/raft_entry.ts";
import { CLUSTER_NAME_BYTES_MAX } from "./ra_kv_command_codec.ts";

/** Most members of one cluster: more would be slower, not safer. */
const CLUSTER_MEMBERS_MAX = 15;

const NODE_LENGTH_MAX = 255;
const NUMBER_MAX = 2 ** 48 - 1;
const KINDS: readonly MemberKind[] = ["voter", "promotable", "non_voter"];

/** A field of the arguments. */
export function fieldOf(args: unknown, name: string): unknown {
  return (args as Record<string, unknown> | null | undefined)?.[name];
}

/** The field `cluster`. @throws {WhorlError} `invalid_argument`, as all functions here. */
export function clusterArgument(args: unknown): string {
  const cluster = fieldOf(args, "cluster");
  if (
    typeof cluster === "string" && cluster.length > 0 &&
    cluster.isWellFormed() &&
    new TextEncoder().encode(cluster).length <= CLUSTER_NAME_BYTES_MAX
  ) return cluster;
  throw wrong("cluster", `text of 1 to ${CLUSTER_NAME_BYTES_MAX} bytes`);
}

/** The name of a node. */
export function nodeArgument(args: unknown, name = "node"): string {
  const node = fieldOf(args, name);
  if (
    typeof node === "string" && node.length > 0 &&
    node.length <= NODE_LENGTH_MAX
  ) return node;
  throw wrong(name, `text of 1 to ${NODE_LENGTH_MAX} characters`);
}

/** The name of a node, if given. */
export function optionalNode(args: unknown): string | undefined {
  const node = fieldOf(args, "node");
  return node === undefined || node === null ? undefined : nodeArgument(args);
}

/** A whole number. */
export function numberArgument(
  args: unknown,
  name: string,
  min = 0,
  max: number = NUMBER_MAX,
): number {
  const number = fieldOf(args, name);
  if (
    typeof number === "number" && Number.isInteger(number) && number >= min &&
    number <= max
  ) return number;
  throw wrong(name, `a whole number from ${min} to ${max}`);
}

/** A whole number, or `usual` if it is not given. */
export function optionalNumber(
  args: unknown,
  name: string,
  usual: number,
  min = 0,
): number {
  const number = fieldOf(args, name);
  return number === undefined || number === null
    ? usual
    : numberArgument(args, name, min);
}

/** A flag; false if it is not given. */
export function flagArgument(args: unknown, name: string): boolean {
  const flag = fieldOf(args, name) ?? false;
  if (typeof flag === "boolean") return flag;
  throw wrong(name, "true or false");
}

/** One of `choices`; the first of them if nothing is given. */
export function choiceArgument<Choice extends string>(
  args: unknown,
  name: string,
  choices: readonly [Choice, ...Choice[]],
): Choice {
  const value = fieldOf(args, name) ?? choices[0];
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw wrong(name, `one of ${choices.join(", ")}`);
}

/** Names of the nodes on which a cluster is to have members, without duplicates. */
export function nodesArgument(args: unknown): string[] {
  const names = fieldOf(args, "members");
  if (
    !Array.isArray(names) || names.length < 1 ||
    names.length > CLUSTER_MEMBERS_MAX
  ) throw wrong("members", `a list of 1 to ${CLUSTER_MEMBERS_MAX} nodes`);
  const nodes = names.map((_, at) => nodeArgument(names, String(at)));
  if (new Set(nodes).size < nodes.length) {
    throw wrong("members", "a list that names each node once");
  }
  return nodes;
}

/** The initial members that a new member knows. */
export function membersArgument(args: unknown): Member[] {
  const members = fieldOf(args, "initial");
  if (!Array.isArray(members) || members.length > CLUSTER_MEMBERS_MAX) {
    throw wrong("initial", `a list of up to ${CLUSTER_MEMBERS_MAX} members`);
  }
  return members.map((member: unknown) => ({
    node: nodeArgument(member),
    uid: numberArgument(member, "uid", 1),
    kind: choiceArgument(member, "kind", ["voter", ...KINDS]),
    target: numberArgument(member, "target"),
  }));
}

function wrong(name: string, rule: string): WhorlError {
  return new WhorlError(
    "invalid_argument",
    `Cannot take '${name}' as it must be ${rule}`,
  );
}
