/**
 * The manifest of a group's folder. It is replaced as a whole, so that segments
 * and a snapshot appear and disappear atomically: files that it does not name
 * do not count.
 *
 * docs/raft_log_format.md describes the format.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { ByteReader, u32At } from "../../base/byte_reader.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { bytesToText } from "../../base/byte_text.ts";
import { WhorlError } from "../../base/errors.ts";
import { readMembership, writeMembership } from "../membership_codec.ts";
import type { SnapshotMeta } from "../raft_entry.ts";
import type { GroupConfig } from "./raft_log.ts";
import type { TermRun } from "./term_runs.ts";

/** The format of manifests. */
export const MANIFEST_FORMAT = 1;

const MAGIC = "WHORLGRP";
const HAS_VOTE = 1;
const HAS_SNAPSHOT = 2;
const IS_DAMAGED = 4;

/** A segment as described by the manifest, so that it need not be opened to know what is in it. */
export interface SegmentInfo {
  /** Names its file. */
  readonly number: number;
  /** Indexes of the first and last entry that count. The file may contain more. */
  readonly first: number;
  readonly last: number;
  /** Number of entries in the file. */
  readonly count: number;
  /** Bytes of their bodies. */
  readonly bodyBytes: number;
  /** Checksum of the segment's index. */
  readonly indexCrc: number;
  /** Terms of its entries. */
  readonly runs: readonly TermRun[];
  /** Indexes of its membership entries. */
  readonly memberships: readonly number[];
}

/** A snapshot and its folder. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  /** Names its folder. */
  readonly number: number;
}

/** The content of a manifest. */
export interface GroupManifest {
  readonly config: GroupConfig;
  /** The group's records in batches below this number are in segments, or void. */
  readonly walFloor: number;
  readonly term: number;
  readonly votedFor: string | undefined;
  readonly appliedIndex: number;
  /** Something acknowledged is lost. */
  readonly damaged: boolean;
  readonly snapshot: StoredSnapshot | undefined;
  /** Number of the next segment or snapshot. */
  readonly nextNumber: number;
  /** In the order of their indexes. */
  readonly segments: readonly SegmentInfo[];
}

/** Writes a snapshot's description, as in manifests and snapshot files. */
export function writeSnapshotMeta(
  into: ByteWriter,
  { index, term, membership, machineVersion }: SnapshotMeta,
): void {
  into.u53(index);
  into.u53(term);
  into.u53(machineVersion);
  writeMembership(into, membership);
}

/** Reads what {@linkcode writeSnapshotMeta} wrote. */
export function readSnapshotMeta(from: ByteReader): SnapshotMeta {
  const index = from.u53();
  const term = from.u53();
  const machineVersion = from.u53();
  return { index, term, membership: readMembership(from), machineVersion };
}

/** Encodes a manifest. */
export function encodeManifest(
  manifest: GroupManifest,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(1_024 + 64 * manifest.segments.length);
  const { config, votedFor, snapshot } = manifest;
  into.rawText(MAGIC);
  into.u16(MANIFEST_FORMAT);
  into.u8(
    (votedFor === undefined ? 0 : HAS_VOTE) |
      (snapshot === undefined ? 0 : HAS_SNAPSHOT) |
      (manifest.damaged ? IS_DAMAGED : 0),
  );
  into.u53(config.uid);
  into.u53(config.groupId);
  into.text(config.name);
  into.text(config.machine);
  writeMembership(into, config.initial);
  into.u53(manifest.walFloor);
  into.u53(manifest.term);
  if (votedFor !== undefined) into.text(votedFor);
  into.u53(manifest.appliedIndex);
  if (snapshot !== undefined) {
    into.u53(snapshot.number);
    writeSnapshotMeta(into, snapshot.meta);
  }
  into.u53(manifest.nextNumber);
  into.u32(manifest.segments.length);
  for (const segment of manifest.segments) writeSegment(into, segment);
  into.u32(crc32(into.view()));
  return into.copy();
}

function writeSegment(into: ByteWriter, segment: SegmentInfo): void {
  into.u53(segment.number);
  into.u53(segment.first);
  into.u53(segment.last);
  into.u32(segment.count);
  into.u53(segment.bodyBytes);
  into.u32(segment.indexCrc);
  into.u32(segment.runs.length);
  for (const { first, term } of segment.runs) {
    into.u53(first);
    into.u53(term);
  }
  into.u32(segment.memberships.length);
  for (const index of segment.memberships) into.u53(index);
}

/**
 * Decodes a manifest.
 *
 * @param path For the error's message.
 * @throws {WhorlError} `store_corrupt` if it is damaged, `store_format` if it
 * is newer.
 */
export function decodeManifest(
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
): GroupManifest {
  const end = bytes.length - 4;
  if (
    end < MAGIC.length || bytesToText(bytes, 0, MAGIC.length) !== MAGIC ||
    u32At(bytes, end) !== crc32(bytes.subarray(0, end))
  ) {
    throw new WhorlError(
      "store_corrupt",
      `Cannot read ${path} as its content does not match its checksum`,
      { details: { path } },
    );
  }
  const from = new ByteReader(bytes, MAGIC.length, end);
  const format = from.u16();
  if (format > MANIFEST_FORMAT) {
    throw new WhorlError(
      "store_format",
      `Cannot read ${path} as its format must be ${MANIFEST_FORMAT} or older: current value is ${format}`,
      { details: { path, format } },
    );
  }
  const flags = from.u8();
  const config: GroupConfig = {
    uid: from.u53(),
    groupId: from.u53(),
    name: from.text(),
    machine: from.text(),
    initial: readMembership(from),
  };
  const walFloor = from.u53();
  const term = from.u53();
  const votedFor = flags & HAS_VOTE ? from.text() : undefined;
  const appliedIndex = from.u53();
  const snapshot = flags & HAS_SNAPSHOT
    ? { number: from.u53(), meta: readSnapshotMeta(from) }
    : undefined;
  const nextNumber = from.u53();
  const segments = Array.from({ length: from.u32() }, () => readSegment(from));
  return {
    config,
    walFloor,
    term,
    votedFor,
    appliedIndex,
    damaged: (flags & IS_DAMAGED) !== 0,
    snapshot,
    nextNumber,
    segments,
  };
}

function readSegment(from: ByteReader): SegmentInfo {
  return {
    number: from.u53(),
    first: from.u53(),
    last: from.u53(),
    count: from.u32(),
    bodyBytes: from.u53(),
    indexCrc: from.u32(),
    runs: Array.from(
      { length: from.u32() },
      () => ({ first: from.u53(), term: from.u53() }),
    ),
    memberships: Array.from({ length: from.u32() }, () => from.u53()),
  };
}
