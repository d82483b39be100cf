/**
 * Where the keys of a group come from, and where they have gone: when the ring
 * that groups are of is resized, those of its new partitions take over from
 * those of the old ones.
 *
 *     new group   shut ── import … import ── the last import of each source ─► open
 *     old group   open ── seal ─► answers "moved"
 *
 * All of it stands in the logs, so that the members of a group agree, and a
 * leader goes on where the one before it stopped.
 *
 * A value keeps its _version_ on its way. In the group that wrote it that is the
 * index of its entry plus the group's _base_, which is 0 for a group that took
 * over from none, and else the highest version at which one of its sources was
 * sealed. So what a new group writes has a higher version than anything that was
 * written before, and a condition that names a version says what it always said.
 *
 * @module
 */
import type { ImportHeader } from "./ra_kv_command_codec.ts";

/** Sources of a group. */
export const SOURCES_MAX = 128;

/** How far a group has taken over from one of its sources. */
export interface SourceProgress {
  /** Index of the source up to which all is here; 0 before the first copy is complete. */
  readonly upTo: number;
  /** The version at which it was sealed, once all of it is here; 0 until then. */
  readonly sealedAt: number;
}

/** Who has the keys of a group now. */
export interface Seal {
  /** Generation of the ring whose groups have them. */
  readonly generation: number;
  /** Partitions of that ring. */
  readonly size: number;
  /** Index of the entry that sealed the group. */
  readonly index: number;
}

/** See the module comment. A value: changes make another one. */
export interface Succession {
  /** Those it takes over from, by partition; none for a group that began empty. */
  readonly sources: ReadonlyMap<number, SourceProgress>;
  /** Whether all that they had is here; every operation asks. */
  readonly isComplete: boolean;
  /** What versions are counted from. */
  readonly base: number;
  /** Undefined while the group has its keys. */
  readonly seal: Seal | undefined;
}

/** That of a group which began empty. */
export const FIRST_SUCCESSION: Succession = {
  sources: new Map(),
  isComplete: true,
  base: 0,
  seal: undefined,
};

/** Whether the group serves its keys. */
export function isOpen({ isComplete, seal }: Succession): boolean {
  return seal === undefined && isComplete;
}

/** Whether all that `sources` had is here. */
export function areComplete(
  sources: ReadonlyMap<number, SourceProgress>,
): boolean {
  for (const { sealedAt } of sources.values()) if (sealedAt === 0) return false;
  return true;
}

/** The sources of which not all is here. */
export function sourcesLeft({ sources }: Succession): number[] {
  return [...sources].flatMap(([source, { sealedAt }]) =>
    sealedAt === 0 ? [source] : []
  );
}

/** Whether the first copy of each source is here. */
export function isCopied({ sources }: Succession): boolean {
  for (const { upTo } of sources.values()) if (upTo === 0) return false;
  return true;
}

/** The group is to take over from `sources`. Once more changes nothing. Text says why not. */
export function shut(
  succession: Succession,
  sources: readonly number[],
  keyCount: number,
): Succession | string {
  if (succession.sources.size > 0) return succession;
  if (sources.length === 0 || sources.length > SOURCES_MAX) {
    return `Cannot take over from ${sources.length} groups`;
  }
  if (keyCount > 0 || succession.seal !== undefined) {
    return "Cannot take over from other groups as this one has served already";
  }
  return {
    ...succession,
    isComplete: false,
    sources: new Map(
      sources.map((source) => [source, { upTo: 0, sealedAt: 0 }]),
    ),
  };
}

/**
 * Something came from a source, as `header` says, in an entry of `term`. What a
 * leader has read before another one led is not wanted: that one may have
 * imported what is newer. Text says why not.
 */
export function imported(
  succession: Succession,
  { term: readIn, source, upTo, sealedAt }: ImportHeader,
  term: number,
): Succession | string {
  const before = succession.sources.get(source);
  if (before === undefined) {
    return `Cannot import from partition ${source} as it is no source`;
  }
  if (before.sealedAt !== 0) {
    return `Cannot import from partition ${source} as all of it is here`;
  }
  if (readIn !== term) {
    return `Cannot import what was read in term ${readIn} as it is ${term}`;
  }
  if (upTo === 0 && sealedAt === 0) return succession;
  const sources = new Map(succession.sources);
  sources.set(source, { upTo: Math.max(before.upTo, upTo), sealedAt });
  return {
    ...succession,
    sources,
    isComplete: areComplete(sources),
    base: Math.max(succession.base, sealedAt),
  };
}

/** The group's keys go to the groups of another ring, from the entry at `index` on. Once more changes nothing. Text says why not. */
export function sealed(
  succession: Succession,
  index: number,
  { generation, size }: Pick<Seal, "generation" | "size">,
): Succession | string {
  const { seal } = succession;
  if (seal !== undefined) {
    return seal.generation === generation
      ? succession
      : `Cannot seal a group for generation ${generation} as it is for ${seal.generation}`;
  }
  return succession.isComplete
    ? { ...succession, seal: { generation, size, index } }
    : "Cannot seal a group that is not open";
}

/** The version at which a group was sealed; 0 if it is not. */
export function sealedVersion({ base, seal }: Succession): number {
  return seal === undefined ? 0 : base + seal.index;
}
