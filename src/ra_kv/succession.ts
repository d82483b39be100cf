/**
 * Which groups the keys of a group come from, and which they moved to. When the
 * ring of a set of groups is resized, the groups of its new partitions take
 * over from those of the old ones.
 *
 *     new group   shut ── import … import ── the last import of each source ─► open
 *     old group   open ── seal ─► answers "moved"
 *
 * All of this is in the logs, so the members of a group agree on it, and a new
 * leader continues where the previous one stopped.
 *
 * A value keeps its _version_ when it moves. In the group that wrote it, that
 * is the index of its entry plus the group's _base_: 0 for a group that took
 * over from none, otherwise the highest version at which one of its sources was
 * sealed. So a new group's own writes have higher versions than everything
 * written before, and a condition that names a version keeps its meaning.
 *
 * @module
 */
import type { ImportHeader } from "./ra_kv_command_codec.ts";

/** Most sources of a group. */
export const SOURCES_MAX = 128;

/** How much a group has imported from one of its sources. */
export interface SourceProgress {
  /** Index in the source up to which everything is here; 0 before the first copy is complete. */
  readonly upTo: number;
  /** The version at which the source was sealed, once everything is here; 0 until then. */
  readonly sealedAt: number;
}

/** Which groups have the keys of a sealed group. */
export interface Seal {
  /** Generation of the ring whose groups have them. */
  readonly generation: number;
  /** Number of partitions of that ring. */
  readonly size: number;
  /** Index of the entry that sealed the group. */
  readonly index: number;
}

/** See the module comment. Immutable: changes return a new one. */
export interface Succession {
  /** The groups it takes over from, by partition; none for a group that began empty. */
  readonly sources: ReadonlyMap<number, SourceProgress>;
  /** Whether everything from all sources is here. Stored, because every operation asks. */
  readonly isComplete: boolean;
  /** Added to indexes of entries to get versions. */
  readonly base: number;
  /** Undefined while the group has its keys. */
  readonly seal: Seal | undefined;
}

/** The succession of a group that began empty. */
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

/** Whether everything from all `sources` is here. */
export function areComplete(
  sources: ReadonlyMap<number, SourceProgress>,
): boolean {
  for (const { sealedAt } of sources.values()) if (sealedAt === 0) return false;
  return true;
}

/** The sources from which something is still missing. */
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

/**
 * Has the group take over from `sources`. Repeating it changes nothing. Returns
 * a reason if refused.
 */
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
    return "Cannot take over from other groups as this one has already been used";
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
 * Notes an import from a source, as described by `header`, in an entry of
 * `term`. What was read in an earlier term is refused, because a later leader
 * may already have imported newer values. Returns a reason if refused.
 */
export function imported(
  succession: Succession,
  { term: readIn, source, upTo, sealedAt }: ImportHeader,
  term: number,
): Succession | string {
  const before = succession.sources.get(source);
  if (before === undefined) {
    return `Cannot import from partition ${source} as it is not a source`;
  }
  if (before.sealedAt !== 0) {
    return `Cannot import from partition ${source} as it is complete`;
  }
  if (readIn !== term) {
    return `Cannot import what was read in term ${readIn} as the term is ${term}`;
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

/**
 * Seals the group: from the entry at `index` on, its keys belong to the groups
 * of another ring. Repeating it changes nothing. Returns a reason if refused.
 */
export function sealed(
  succession: Succession,
  index: number,
  { generation, size }: Pick<Seal, "generation" | "size">,
): Succession | string {
  const { seal } = succession;
  if (seal !== undefined) {
    return seal.generation === generation
      ? succession
      : `Cannot seal a group for generation ${generation} as it is sealed for ${seal.generation}`;
  }
  return succession.isComplete
    ? { ...succession, seal: { generation, size, index } }
    : "Cannot seal a group that is not open";
}

/** The version at which a group was sealed; 0 if it is not. */
export function sealedVersion({ base, seal }: Succession): number {
  return seal === undefined ? 0 : base + seal.index;
}
