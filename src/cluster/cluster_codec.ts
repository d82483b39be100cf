/**
 * The payloads of cluster frames, except the ring itself: digests, services,
 * requests between nodes and their answers. MessagePack lists with positional
 * elements; docs/wire_format.md describes them.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";
import { decodeRing } from "../ring/ring_codec.ts";
import { RING_NAMES_MAX } from "../ring/ring_reader.ts";
import {
  decodeMsgpack,
  encodeMsgpack,
  encodeMsgpackBriefly,
} from "../wire/msgpack.ts";
import {
  expectBoolean,
  expectBytes,
  expectInteger,
  expectList,
  expectOneOf,
  expectText,
} from "../wire/plain_data.ts";
import { STAGED_ACTIONS, type StagedChange } from "../ring/ring.ts";
import { type BucketMark, ROOT_NUMBERS } from "../ring/consistent_buckets.ts";
import type { NodeFacts } from "../ring/ring_change.ts";
import type { JoinOffer } from "./membership.ts";

/** A node's ring, in short. */
export interface RingDigest {
  readonly clusterName: string;
  /** The seed of the cluster's id. */
  readonly seed: string;
  /** Digest of the ring the sender has stored. */
  readonly digest: string;
  /** Members known to the sender to hold the same ring, itself included; sorted. */
  readonly agreed: readonly string[];
  /** Whether the sender asks for the receiver's ring. */
  readonly wanted: boolean;
}

/** Whether both say the same. */
export function sameDigest(a: RingDigest, b: RingDigest): boolean {
  return a === b ||
    a.digest === b.digest && a.wanted === b.wanted && a.seed === b.seed &&
      a.clusterName === b.clusterName &&
      a.agreed.length === b.agreed.length &&
      a.agreed.every((node, at) => node === b.agreed[at]);
}

/** Encodes a digest into memory of its own, as the sender keeps it for several members. */
export function encodeDigest(digest: RingDigest): Uint8Array<ArrayBuffer> {
  return encodeMsgpack([
    digest.clusterName,
    digest.seed,
    digest.digest,
    digest.agreed,
    digest.wanted,
  ]);
}

/** @throws {WhorlError} `protocol_error`. */
export function decodeDigest(bytes: Uint8Array): RingDigest {
  const [clusterName, seed, digest, agreed, wanted] = expectList(
    decodeMsgpack(bytes),
    "a ring digest",
    5,
    5,
  );
  return {
    clusterName: expectText(clusterName, "a cluster name"),
    seed: expectText(seed, "the seed of a cluster", 64),
    digest: expectText(digest, "a digest", 64),
    agreed: expectList(agreed, "the agreed", 0, RING_NAMES_MAX)
      .map((name) => expectText(name, "a name")),
    wanted: expectBoolean(wanted, "wanted"),
  };
}

/** Most services of one node. */
export const SERVICES_MAX = 256;

/** The services of one node, as published by itself. */
export interface ServiceList {
  /** Incarnation of the node; a later one replaces all earlier lists. */
  readonly incarnation: number;
  /** Incremented with each change. */
  readonly version: number;
  readonly services: readonly string[];
}

/** Encodes the services of this node. */
export function encodeServices(list: ServiceList): Uint8Array<ArrayBuffer> {
  return encodeMsgpackBriefly([list.incarnation, list.version, list.services]);
}

/** @throws {WhorlError} `protocol_error`. */
export function decodeServices(bytes: Uint8Array): ServiceList {
  const [incarnation, version, services] = expectList(
    decodeMsgpack(bytes),
    "a list of services",
    3,
    3,
  );
  return {
    incarnation: expectInteger(incarnation, "an incarnation"),
    version: expectInteger(version, "a version"),
    services: expectList(services, "the services", 0, SERVICES_MAX)
      .map((name) => expectText(name, "a service", 64, 1)),
  };
}

/** Encodes a join offer: the offering node and its encoded ring, `null` while it is starting. */
export function encodeJoinOffer(
  node: string,
  ring: Uint8Array | null,
): Uint8Array<ArrayBuffer> {
  return encodeMsgpackBriefly([node, ring]);
}

/** @throws {WhorlError} `protocol_error`. */
export function decodeJoinOffer(bytes: Uint8Array): JoinOffer {
  const [node, ring] = expectList(decodeMsgpack(bytes), "a join offer", 2, 2);
  return {
    node: expectText(node, "a name", 255, 1),
    ring: ring === null
      ? null
      : decodeRing(expectBytes(ring, "the ring of a join offer")).ring,
  };
}

/** A request from one node to another. */
export type ClusterRequest =
  | { readonly method: "plan"; readonly waitMs: number }
  | {
    readonly method: "commit";
    /** The plan to commit, or `null` for the one shown last. */
    readonly planId: string | null;
    readonly waitMs: number;
  }
  | { readonly method: "clear"; readonly waitMs: number }
  | {
    /** Stage `change`; the answer is the ring version that contains it, or 0 if it needs no commit. */
    readonly method: "stage";
    readonly change: StagedChange;
    readonly waitMs: number;
  }
  | {
    /**
     * Stage a ring of `size` partitions, or with 0 the abort of the resize in
     * progress; the answer is the ring version that contains it.
     */
    readonly method: "resize";
    readonly size: number;
    readonly waitMs: number;
  }
  | {
    /** Mark a bucket as consistent; the answer is its name. */
    readonly method: "mark";
    readonly mark: BucketMark;
    readonly waitMs: number;
  }
  /** Asked before a commit by claimants that cannot move data: which of these partitions must stay in place. All of them. */
  | { readonly method: "holds_data"; readonly partitions: readonly number[] }
  | {
    /** Admit `guest`; the answer is the stored ring in which it is invited. */
    readonly method: "admit";
    readonly guest: NodeFacts;
    /** The cluster that is meant. */
    readonly seed: string;
    readonly waitMs: number;
  }
  | {
    /** Whether the receiver is in the cluster of `seed`, or may be about to join it. */
    readonly method: "belongs";
    readonly seed: string;
  };

/** Longest a request may wait at the receiver, in milliseconds. */
export const WAIT_MS_MAX = 600_000;

/** Encodes a request with the number chosen by its sender. */
export function encodeRequest(
  id: number,
  request: ClusterRequest,
): Uint8Array<ArrayBuffer> {
  switch (request.method) {
    case "commit":
      return encodeMsgpackBriefly([
        id,
        "commit",
        request.waitMs,
        request.planId,
      ]);
    case "stage": {
      const { change: { action, node, replacement }, waitMs } = request;
      return encodeMsgpackBriefly([id, "stage", waitMs, [
        action,
        node,
        replacement,
      ]]);
    }
    case "resize":
      return encodeMsgpackBriefly([id, "resize", request.waitMs, request.size]);
    case "mark": {
      const { mark: { bucket, numbers, wallMs }, waitMs } = request;
      return encodeMsgpackBriefly([id, "mark", waitMs, [
        bucket,
        numbers,
        wallMs,
      ]]);
    }
    case "holds_data":
      return encodeMsgpackBriefly([id, "holds_data", 0, request.partitions]);
    case "admit": {
      const { guest: { name, address, nodeId }, seed, waitMs } = request;
      return encodeMsgpackBriefly([id, "admit", waitMs, [
        name,
        address,
        nodeId,
        seed,
      ]]);
    }
    case "belongs":
      return encodeMsgpackBriefly([id, "belongs", 0, request.seed]);
    case "plan":
    case "clear":
      return encodeMsgpackBriefly([id, request.method, request.waitMs, null]);
    default:
      return request satisfies never;
  }
}

/** @throws {WhorlError} `protocol_error`. */
export function decodeRequest(
  bytes: Uint8Array,
): { id: number; request: ClusterRequest } {
  const [idValue, methodValue, wait, argument] = expectList(
    decodeMsgpack(bytes),
    "a request",
    4,
    4,
  );
  const id = expectInteger(idValue, "a request number");
  const waitMs = expectInteger(wait, "a waiting time", 0, WAIT_MS_MAX);
  const method = expectOneOf(
    methodValue,
    "a method",
    [
      "plan",
      "commit",
      "clear",
      "stage",
      "resize",
      "mark",
      "holds_data",
      "admit",
      "belongs",
    ] as const,
  );
  switch (method) {
    case "commit": {
      const planId = argument === null
        ? null
        : expectText(argument, "a plan id", 64);
      return { id, request: { method, planId, waitMs } };
    }
    case "stage": {
      const [action, node, replacement] = expectList(
        argument,
        "a staged change",
        3,
        3,
      );
      const change = {
        action: expectOneOf(action, "a staged action", STAGED_ACTIONS),
        node: expectText(node, "a name", 255, 1),
        replacement: replacement === null
          ? null
          : expectText(replacement, "a name", 255, 1),
      };
      // Actions with a replacement must have one, and no others may.
      if (change.action.endsWith("replace") !== (replacement !== null)) {
        throw new WhorlError(
          "protocol_error",
          `Cannot stage ${change.action} with such a replacement`,
        );
      }
      return { id, request: { method, change, waitMs } };
    }
    case "resize":
      return {
        id,
        request: {
          method,
          // The claimant validates the size.
          size: expectInteger(argument, "a ring size"),
          waitMs,
        },
      };
    case "mark": {
      const [bucket, numbers, wallMs] = expectList(argument, "a mark", 3, 3);
      const mark = {
        // The claimant validates the name.
        bucket: expectText(bucket, "a bucket", 1_000),
        numbers: expectList(numbers, "numbers", ROOT_NUMBERS, ROOT_NUMBERS)
          .map((number) => expectInteger(number, "a number", 1, 2 ** 48 - 1)),
        wallMs: expectInteger(wallMs, "a time", 0, 8.64e15),
      };
      return { id, request: { method, mark, waitMs } };
    }
    case "holds_data": {
      const partitions = expectList(argument, "the partitions", 0, 0x1_0000)
        .map((partition) => expectInteger(partition, "a partition", 0, 0xffff));
      return { id, request: { method, partitions } };
    }
    case "admit": {
      const [name, address, nodeId, seed] = expectList(
        argument,
        "a guest",
        4,
        4,
      );
      const guest = {
        name: expectText(name, "a name", 255, 1),
        address: expectText(address, "an address", 255, 1),
        nodeId: expectText(nodeId, "an identity", 255, 1),
      };
      return {
        id,
        request: {
          method,
          guest,
          seed: expectText(seed, "the seed of a cluster", 64),
          waitMs,
        },
      };
    }
    case "belongs":
      return {
        id,
        request: {
          method,
          seed: expectText(argument, "the seed of a cluster", 64),
        },
      };
    case "plan":
    case "clear":
      return { id, request: { method, waitMs } };
    default:
      return method satisfies never;
  }
}

/** The answer to a request: a result as plain data, or an error. */
export type ClusterReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: WhorlError };

/** Encodes an answer. */
export function encodeReply(
  id: number,
  reply: ClusterReply,
): Uint8Array<ArrayBuffer> {
  return reply.ok
    ? encodeMsgpackBriefly([id, true, reply.result])
    : encodeMsgpackBriefly([id, false, [
      reply.error.code,
      reply.error.message,
      reply.error.details,
    ]]);
}

/** @throws {WhorlError} `protocol_error`. */
export function decodeReply(
  bytes: Uint8Array,
): { id: number; reply: ClusterReply } {
  const [idValue, ok, value] = expectList(
    decodeMsgpack(bytes),
    "an answer",
    3,
    3,
  );
  const id = expectInteger(idValue, "a request number");
  if (expectBoolean(ok, "the kind of an answer")) {
    return { id, reply: { ok: true, result: value } };
  }
  const [code, message, details] = expectList(value, "an error", 3, 3);
  return {
    id,
    reply: {
      ok: false,
      error: new WhorlError(
        // Codes of later versions pass through: callers compare codes, they do
        // not enumerate them.
        expectText(code, "an error code", 64, 1) as ErrorCode,
        expectText(message, "an error message", 4096),
        { details: plainRecord(details) },
      ),
    },
  };
}

function plainRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : {};
}
