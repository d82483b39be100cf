/**
 * Decodes the content of a ring (`ring_codec.ts`) without trusting it: each
 * part is checked against its bounds and the parts before it, and anything that
 * is not a ring is refused, naming the part that is wrong.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import type { VersionVector } from "../causality/version_vector.ts";
import {
  expectBoolean,
  expectBytes,
  expectInteger,
  expectList,
  expectOneOf,
  expectText,
} from "../wire/plain_data.ts";
import type {
  MemberStatusDot,
  OwnershipTransfer,
  Ring,
  RingMember,
  RingOwnership,
  StagedChange,
  TransferProgress,
} from "./ring.ts";
import { STAGED_ACTIONS, statusesByStrength } from "./ring.ts";
import { requireRingSize, RING_SIZE_MAX } from "./chash.ts";
import {
  FIRST_GENERATION,
  GENERATIONS_KEPT,
  type RingGenerations,
  type RingResize,
  type RingResizePhase,
} from "./ring_generations.ts";
import type { RingMeta, RingMetaValue } from "./stamped.ts";

/** Most names in one ring. */
export const RING_NAMES_MAX = 1024;
/** Most metadata entries of a ring or a member. */
export const RING_META_MAX = 256;
/** Most vnode modules of a node. */
const MODULES_MAX = 64;
/**
 * Precedes the marks of decisions among the names of modules, none of which
 * begin like this.
 */
export const MARK_PREFIX = ">";
/** Most decisions of one term and version: of claimants who do not know of each other. */
const DECISIONS_MAX = 64;
/** Most claimants so far, so that a ring version stays an exact number. */
const TERM_MAX = 0xf_ffff;
const VERSION_MAX = 0xffff_ffff;
/** Phases of a resize by their numbers in the encoding. */
export const RESIZE_PHASES: readonly RingResizePhase[] = [
  "copying",
  "binding",
  "reading",
];

/** Reads the parts of a decoded ring; one instance per ring. */
export class RingReader {
  #names: readonly string[] = [];
  #size = 0;

  /**
   * The ring with the decoded `content`, and what each member has seen.
   *
   * @throws {WhorlError} `protocol_error`, naming the part that is wrong.
   */
  ring(content: unknown, seenValue: unknown): Ring {
    const [
      clusterName,
      clusterId,
      size,
      names,
      clock,
      members,
      ownership,
      progress,
      meta,
    ] = expectList(content, "the content of a ring", 9, 9);
    const [claimant, seed] = expectList(clusterId, "a cluster id", 2, 2);
    this.#size = this.#checkedSize(size);
    this.#names = this.#nameTable(names);
    const ringClock = this.#clock(clock, "the clock of a ring");
    const ring: Ring = {
      clusterName: expectText(clusterName, "a cluster name", 255, 1),
      clusterId: {
        claimant: expectName(claimant),
        seed: expectText(seed, "the seed of a cluster", 64, 1),
      },
      size: this.#size,
      clock: ringClock,
      members: this.#members(members),
      ownership: this.#ownership(ownership),
      progress: this.#progress(progress),
      seen: this.#seen(seenValue, ringClock),
      meta: this.#meta(meta),
    };
    const { owners, claimant: current, next, generations } = ring.ownership;
    for (
      const node of new Set([
        ...owners,
        current,
        ...next.map((transfer) => transfer.nextOwner),
        ...generations.resize?.owners ?? [],
      ])
    ) {
      if (!ring.members.has(node)) {
        throw wrong(`an owner or claimant that is no member: ${node}`);
      }
    }
    return ring;
  }

  #nameTable(value: unknown): readonly string[] {
    const names = expectList(value, "the names of a ring", 1, RING_NAMES_MAX)
      .map(expectName);
    for (let i = 1; i < names.length; i++) {
      if (compareTexts(names[i - 1]!, names[i]!) >= 0) {
        throw wrong("names that are not sorted");
      }
    }
    return names;
  }

  #name(value: unknown): string {
    return this.#names[
      expectInteger(value, "a number of a name", 0, this.#names.length - 1)
    ] as string;
  }

  #clock(value: unknown, what: string): VersionVector {
    const flat = expectList(value, what, 0, this.#names.length * 2);
    if (flat.length % 2 !== 0) throw wrong(`${what} with half a pair`);
    const version = new Map<string, number>();
    for (let i = 0; i < flat.length; i += 2) {
      version.set(this.#name(flat[i]), expectInteger(flat[i + 1], what, 1));
    }
    if (version.size * 2 !== flat.length) throw wrong(`${what} with a repeat`);
    return version;
  }

  #members(value: unknown): ReadonlyMap<string, RingMember> {
    const members = new Map<string, RingMember>();
    for (const entry of expectList(value, "the members", 1, RING_NAMES_MAX)) {
      const [name, clockValue, dots, meta] = expectList(
        entry,
        "a member",
        4,
        4,
      );
      const clock = this.#clock(clockValue, "the clock of a member");
      members.set(this.#name(name), {
        clock,
        dots: expectList(
          dots,
          "the statuses of a member",
          1,
          this.#names.length,
        )
          .map((dot) => this.#dot(dot, clock))
          .sort(byActor),
        meta: this.#meta(meta),
      });
    }
    return members;
  }

  #dot(value: unknown, clock: VersionVector): MemberStatusDot {
    const [actorNumber, counter, status, autoJoin] = expectList(
      value,
      "a status",
      4,
      4,
    );
    const actor = this.#name(actorNumber);
    return {
      actor,
      counter: expectInteger(
        counter,
        "the counter of a status",
        1,
        clock.get(actor) ?? 0,
      ),
      status: expectOneOf(status, "a status", statusesByStrength),
      autoJoin: expectBoolean(autoJoin, "autoJoin"),
    };
  }

  #ownership(value: unknown): RingOwnership {
    const [
      term,
      version,
      claimant,
      owners,
      next,
      staged,
      committedPlan,
      generations,
    ] = expectList(value, "an ownership", 7, 8);
    const ownerNames = this.#owners(owners, this.#size);
    return {
      term: expectTerm(term),
      version: expectVersion(version),
      claimant: this.#name(claimant),
      owners: ownerNames,
      next: this.#next(next, ownerNames),
      staged: expectList(staged, "the staged changes", 0, RING_NAMES_MAX)
        .map((change) => this.#stagedChange(change)),
      committedPlan: expectText(committedPlan, "a plan id", 64),
      generations: generations === undefined
        ? FIRST_GENERATION
        : this.#generations(generations),
    };
  }

  #generations(value: unknown): RingGenerations {
    const [currentValue, newestValue, sizesValue, stagedValue, resizeValue] =
      expectList(value, "the generations", 5, 5);
    const newest = expectInteger(newestValue, "a generation", 0, VERSION_MAX);
    const current = expectInteger(currentValue, "a generation", 0, newest);
    const sizes = expectList(sizesValue, "the sizes", 0, GENERATIONS_KEPT)
      .map((size) => size === 0 ? 0 : this.#checkedSize(size));
    const isKept = sizes.length === 0
      ? newest === 0
      : sizes.length <= newest + 1 &&
        sizes[sizes.length - 1 - (newest - current)] === this.#size;
    if (!isKept) throw wrong("generations that make no sense");
    const resize = resizeValue === null ? null : this.#resize(resizeValue);
    if (
      resize !== null &&
      // A resumed one need not be the newest.
      (resize.generation <= current || resize.generation > newest ||
        resize.owners.length !==
          sizes[sizes.length - 1 - (newest - resize.generation)])
    ) throw wrong("a resize that makes no sense");
    return {
      current,
      newest,
      sizes,
      staged: stagedValue === null || stagedValue === 0
        ? stagedValue
        : this.#checkedSize(stagedValue),
      resize,
    };
  }

  #resize(value: unknown): RingResize {
    const [generation, owners, term, version, ...later] = expectList(
      value,
      "a resize",
      4,
      7,
    );
    const size = owners instanceof Uint8Array ? owners.length / 2 : 0;
    return {
      generation: expectInteger(generation, "a generation", 1, VERSION_MAX),
      owners: this.#owners(owners, this.#checkedSize(size)),
      term: expectTerm(term),
      version: expectVersion(version),
      ...later.length === 0
        ? {
          phase: "copying",
          since: { term: expectTerm(term), version: expectVersion(version) },
        }
        : this.#resizePhase(later),
    };
  }

  #resizePhase(value: unknown): Pick<RingResize, "phase" | "since"> {
    const [number, term, version] = expectList(value, "a phase", 3, 3);
    const phase = RESIZE_PHASES[
      expectInteger(number, "a phase", 0, RESIZE_PHASES.length - 1)
    ];
    return {
      phase: phase as RingResizePhase,
      since: { term: expectTerm(term), version: expectVersion(version) },
    };
  }

  #checkedSize(value: unknown): number {
    const size = expectInteger(value, "a ring size");
    try {
      requireRingSize(size);
    } catch (cause) {
      throw new WhorlError(
        "protocol_error",
        `Cannot accept a ring size of ${size}`,
        { cause },
      );
    }
    return size;
  }

  #owners(value: unknown, size: number): string[] {
    const bytes = expectBytes(value, "the owners", size * 2);
    const owners: string[] = [];
    for (let i = 0; i < bytes.length; i += 2) {
      owners.push(this.#name(bytes[i]! * 256 + bytes[i + 1]!));
    }
    return owners;
  }

  #next(value: unknown, owners: readonly string[]): OwnershipTransfer[] {
    let last = -1;
    return expectList(value, "the transfers", 0, this.#size).map((entry) => {
      const [at, nextOwner, term, version] = expectList(
        entry,
        "a transfer",
        4,
        4,
      );
      const partition = expectInteger(
        at,
        "a partition",
        last + 1,
        this.#size - 1,
      );
      last = partition;
      return {
        partition,
        owner: owners[partition] as string,
        nextOwner: this.#name(nextOwner),
        term: expectTerm(term),
        version: expectVersion(version),
      };
    });
  }

  #stagedChange(value: unknown): StagedChange {
    const [action, node, replacement] = expectList(
      value,
      "a staged change",
      3,
      3,
    );
    return {
      action: expectOneOf(
        action,
        "a staged action",
        STAGED_ACTIONS,
      ),
      node: this.#name(node),
      replacement: replacement === null ? null : this.#name(replacement),
    };
  }

  #progress(value: unknown): ReadonlyMap<number, TransferProgress> {
    const progress = new Map<number, TransferProgress>();
    // Progress of partitions that no longer exist is kept, like everything
    // reported.
    for (const entry of expectList(value, "the progress", 0, RING_SIZE_MAX)) {
      const [partition, term, version, modules, complete] = expectList(
        entry,
        "the progress of a transfer",
        5,
        5,
      );
      progress.set(
        expectInteger(partition, "a partition", 0, RING_SIZE_MAX - 1),
        {
          term: expectTerm(term),
          version: expectVersion(version),
          ...readReported(modules),
          complete: expectBoolean(complete, "complete"),
        },
      );
    }
    return progress;
  }

  #seen(
    value: unknown,
    ringClock: VersionVector,
  ): ReadonlyMap<string, VersionVector> {
    const seen = new Map<string, VersionVector>();
    for (const entry of expectList(value, "the seen", 0, this.#names.length)) {
      if (typeof entry === "number") {
        seen.set(this.#name(entry), ringClock);
      } else {
        const [node, clock] = expectList(entry, "a seen", 2, 2);
        seen.set(this.#name(node), this.#clock(clock, "the clock of a seen"));
      }
    }
    return seen;
  }

  #meta(value: unknown): RingMeta {
    const meta = new Map();
    for (const entry of expectList(value, "metadata", 0, RING_META_MAX)) {
      const [name, content, wallMs, count, node] = expectList(
        entry,
        "a metadata entry",
        5,
        5,
      );
      meta.set(expectText(name, "a metadata name", 255, 1), {
        value: expectMetaValue(content),
        stamp: {
          wallMs: expectWallMs(wallMs),
          count: expectInteger(count, "a stamp"),
          node: this.#name(node),
        },
      });
    }
    return meta;
  }
}

/** The modules and decisions of a report. */
function readReported(
  value: unknown,
): Pick<TransferProgress, "decisions" | "completedModules"> {
  const decisions: string[] = [];
  const completedModules: string[] = [];
  for (
    const entry of expectList(
      value,
      "the modules",
      0,
      MODULES_MAX + DECISIONS_MAX,
    )
  ) {
    const text = expectText(entry, "a module", 64, 1);
    if (text.startsWith(MARK_PREFIX)) {
      decisions.push(text.slice(MARK_PREFIX.length));
    } else completedModules.push(text);
  }
  return {
    decisions: sortedTexts(decisions),
    completedModules: sortedTexts(completedModules),
  };
}

function sortedTexts(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}

function byActor(a: MemberStatusDot, b: MemberStatusDot): number {
  return compareTexts(a.actor, b.actor) || a.counter - b.counter;
}

function expectName(value: unknown): string {
  return expectText(value, "a name", 255, 1);
}

function expectTerm(value: unknown): number {
  return expectInteger(value, "a term", 1, TERM_MAX);
}

function expectVersion(value: unknown): number {
  return expectInteger(value, "a version", 1, VERSION_MAX);
}

/** A JavaScript date; a stamp beyond all dates would win forever. */
function expectWallMs(value: unknown): number {
  if (typeof value !== "number" || !(value >= 0 && value <= 8.64e15)) {
    throw wrong("a time that is no date");
  }
  return value;
}

function expectMetaValue(value: unknown): RingMetaValue {
  if (
    value === null || typeof value === "boolean" ||
    typeof value === "number" && Number.isFinite(value)
  ) return value;
  return expectText(value, "a metadata value", 4096);
}

function wrong(what: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot accept a ring with ${what}`,
  );
}
