/**
 * Makes a new group, which is led here, take over from the groups that
 * currently have its keys: one step at a time. No step is remembered except in
 * the group's log, so that another leader continues where this one stopped.
 *
 *     first copy     all keys of a source, in order, and the values that are not
 *                    here yet; keys that are here and not there are deleted
 *     following      the keys that have changed since
 *     the last part  the source is sealed, so that nothing more changes
 *
 * A source remembers only its latest changes. If more is written meanwhile, the
 * copy here stays behind, however often the source is gone through. So that is
 * done once more and not again before the source is sealed: then the rest is
 * finite, as in the live migration of a virtual machine (Clark et al., "Live
 * Migration of Virtual Machines", NSDI 2005, §3). At most it is what was
 * written during that last pass, and the list of all keys. What changes in one
 * of several sources while others are gone through is imported before the seal,
 * as far as the source remembers it.
 *
 * The source answers from a state as recent as everything acknowledged, and the
 * leader imports one part after the other in one term, so the imported data
 * never goes back.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { bytesToText } from "../base/byte_text.ts";
import { WhorlError } from "../base/errors.ts";
import {
  BATCH_CHANGES_MAX,
  type ImportHeader,
  readReply,
} from "../ra_kv/ra_kv_command_codec.ts";
import { lookUp, versionOf } from "../ra_kv/ra_kv_machine.ts";
import type { RaKvMember } from "../ra_kv/ra_kv_service.ts";
import { sourcesLeft } from "../ra_kv/succession.ts";
import {
  importCommand,
  type ImportedKey,
  shutCommand,
} from "../ra_kv/succession_codec.ts";
import { raftFailure } from "../raft/raft_failure.ts";
import { vnodeGroup } from "./ensemble_names.ts";
import {
  EXPORT_VALUES_BYTES,
  type ExportedKeys,
  type GroupExport,
  type KeyVersion,
  packKeys,
  readExportedKeys,
  readExportedValues,
  readKeyVersions,
} from "./group_export.ts";
import { partitionOfKey, sourcePartitions } from "./group_sources.ts";
import { confirmed, type MemberQuestions } from "./member_questions.ts";

/**
 * Timeout of a request for keys to a source, and to each of its members, in
 * milliseconds.
 */
const KEYS_LIMITS = { timeoutMs: 5_000, answerTimeoutMs: 2_000 };
/** The same for values, one of which may have 8 MiB. */
const VALUES_LIMITS = { timeoutMs: 20_000, answerTimeoutMs: 8_000 };
/**
 * Most changes of a source that may be unknown here although none of them
 * matters: their indexes are kept in the log.
 */
const QUIET_INDEXES_MAX = 1_024;

/**
 * Consecutive answers about changes before other work is done: enough for
 * everything that a source remembers, unless its keys are long.
 */
const FOLLOW_ANSWERS_MAX = 8;

/** Keys processed in one turn, each of which is hashed. */
const SLICE_RECORDS = 4_096;
/** The progress of an import that does not complete anything. */
const NO_PROGRESS = { upTo: 0, sealedAt: 0 };

/** Dependencies of takeovers. */
export interface GroupImportWorld {
  readonly runtime: Runtime;
  readonly members: MemberQuestions;
  /** Answers for the members of this node. */
  readonly exports: GroupExport;
  /**
   * Makes the leader of a group seal it.
   *
   * @throws {WhorlError} If it is unknown whether it is sealed.
   */
  readonly seal: (vnode: number) => Promise<void>;
  /** Whether to stop. */
  readonly closed: () => boolean;
}

/** What a group takes over, and from where. */
export interface Takeover {
  /** Its partition, in a ring of `size`. */
  readonly partition: number;
  readonly size: number;
  /** The ring it takes over from. */
  readonly from: {
    /** Number of the vnode of its first partition. */
    readonly firstVnode: number;
    /** Current owner by partition. */
    readonly owners: () => readonly string[];
    readonly size: number;
  };
  /** Whether the sources may be sealed, after which there is no way back. */
  readonly mayEnd: boolean;
}

/**
 * Takes the next step of the takeover by the group of `member`, which leads it:
 * afterwards its log has everything known of its sources now, and if they may
 * be sealed, the group is open.
 *
 * @returns Sources that may not be sealed yet and have forgotten changes made
 * while all of their keys were gone through: the next step will do so again.
 * @throws {WhorlError} If a source does not answer, or `member` no longer
 * leads.
 */
export async function takeOver(
  world: GroupImportWorld,
  member: RaKvMember,
  takeover: Takeover,
): Promise<readonly number[]> {
  const { partition, size, from, mayEnd } = takeover;
  const { term } = member;
  // Afterwards, what earlier leaders have imported is here.
  await confirmed(member);
  const importer = new Importer(world, member, term, takeover);
  if (member.state.succession.sources.size === 0) {
    const sources = sourcePartitions(partition, size, from.size);
    await importer.propose(shutCommand(sources));
  }
  const sources = sourcesLeft(member.state.succession);
  // Sources are sealed when as little as possible is left, and all at once,
  // since nobody serves their keys then.
  const behind: number[] = [];
  for (const source of sources) {
    if (await importer.follow(source, "copy")) behind.push(source);
  }
  if (!mayEnd) return behind;
  // What has changed in one while others were copied is nearly everything that
  // is left.
  if (sources.length > 1) {
    for (const source of sources) await importer.follow(source, "changes");
  }
  await Promise.all(
    sources.map((source) => world.seal(from.firstVnode + source)),
  );
  for (const source of sources) await importer.follow(source, "rest");
  return [];
}

/**
 * The part of a source to import: `copy` is what is new, or everything if it
 * has forgotten that; `changes` is what is new if it remembers that; `rest` is
 * everything left of a sealed one.
 */
type Part = "copy" | "changes" | "rest";

class Importer {
  constructor(
    readonly world: GroupImportWorld,
    readonly member: RaKvMember,
    readonly term: number,
    readonly takeover: Takeover,
  ) {}

  /**
   * Imports `part` of a source. If it is sealed, all of it is here afterwards;
   * otherwise some may be new again, perhaps more than it remembers.
   *
   * @returns Whether it has forgotten some of what is not here.
   */
  async follow(source: number, part: Part): Promise<boolean> {
    const before = this.member.state.succession.sources.get(source);
    if (before === undefined || before.sealedAt !== 0) return false;
    let { upTo } = before;
    let hasCopied = false;
    for (let answers = 1;; answers++) {
      if (upTo === 0) {
        upTo = await this.#copy(source);
        hasCopied = true;
      }
      const news = await this.#ask(source, upTo, NOTHING);
      if (news.isForgotten) {
        // Another pass would end like this one.
        if (hasCopied || part === "changes") return true;
        upTo = 0;
        continue;
      }
      const sealedAt = this.takeover.mayEnd ? news.sealedAt : 0;
      const keys = readKeyVersions(news.keys);
      const isQuiet = keys.length === 0 && sealedAt === 0 && !news.isCut &&
        news.at - upTo < QUIET_INDEXES_MAX;
      if (isQuiet) return false;
      await this.#bring(source, keys, { upTo: news.at, sealedAt });
      upTo = news.at;
      if (!news.isCut || part !== "rest" && answers >= FOLLOW_ANSWERS_MAX) {
        return false;
      }
    }
  }

  /**
   * Copies all of a source and nothing else: keys that were deleted there since
   * an earlier copy are deleted here. It follows changes made meanwhile, as
   * long as the source remembers them.
   *
   * @returns The index of the copy: later changes may be included or not.
   */
  async #copy(source: number): Promise<number> {
    const here = await this.#keysHere(source);
    let at = 0;
    let follows = true;
    let after: Uint8Array | undefined = NOTHING;
    while (after !== undefined) {
      const page: ExportedKeys = await this.#ask(source, 0, after);
      // Changes from here on are found by their index.
      if (at === 0) at = page.at;
      const keys = readKeyVersions(page.keys);
      for (const { key } of keys) here.delete(bytesToText(key));
      for (let start = 0; start < keys.length; start += BATCH_CHANGES_MAX) {
        const part = keys.slice(start, start + BATCH_CHANGES_MAX);
        await this.#bring(source, part, NO_PROGRESS);
        if (!follows) continue;
        const upTo = await this.#catchUp(source, at, here);
        follows = upTo !== undefined;
        at = upTo ?? at;
      }
      after = page.last;
    }
    const gone = [...here.values()].map((key) => ({ key, version: 0 }));
    await this.#bring(source, gone, { upTo: at, sealedAt: 0 });
    return at;
  }

  /**
   * Imports what has changed in a source since `at`, during a copy. Values are
   * requested after their keys, so that nothing here goes back, whether the
   * copy has passed a key or not.
   *
   * @param here Keys that the copy has not reached yet.
   * @returns The index up to which everything reported is here; undefined if
   * the source has forgotten some of it.
   */
  async #catchUp(
    source: number,
    at: number,
    here: Map<string, Uint8Array>,
  ): Promise<number | undefined> {
    let since = at;
    for (let answers = 0; answers < FOLLOW_ANSWERS_MAX; answers++) {
      const news = await this.#ask(source, since, NOTHING);
      if (news.isForgotten) return undefined;
      const keys = readKeyVersions(news.keys);
      for (const { key } of keys) here.delete(bytesToText(key));
      await this.#bring(source, keys, NO_PROGRESS);
      since = news.at;
      if (!news.isCut) break;
    }
    return since;
  }

  /**
   * The keys that are here and of `source`. Only this importer changes them
   * meanwhile.
   */
  async #keysHere(source: number): Promise<Map<string, Uint8Array>> {
    const { keys } = this.member.state;
    const { size } = this.takeover.from;
    const here = new Map<string, Uint8Array>();
    for (let record = 0; record < keys.recordEnd; record++) {
      if (record % SLICE_RECORDS === SLICE_RECORDS - 1) await this.#pause();
      if (!keys.has(record)) continue;
      const key = keys.keyOf(record);
      if (partitionOfKey(key, size) !== source) continue;
      here.set(bytesToText(key), key.slice());
    }
    return here;
  }

  /** Lets other work run. */
  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.world.runtime.setTimer(0, resolve);
    await promise;
  }

  /** Those of `keys` that differ here. */
  #missing(keys: readonly KeyVersion[]): KeyVersion[] {
    const { state } = this.member;
    return keys.filter(({ key, version }) => {
      const record = lookUp(state, key, 0, key.length);
      return version !== (record < 0 ? 0 : versionOf(state, record));
    });
  }

  /**
   * Makes the group equal to the source in `keys`, and then record `progress`.
   */
  async #bring(
    source: number,
    keys: readonly KeyVersion[],
    progress: Pick<ImportHeader, "upTo" | "sealedAt">,
  ): Promise<void> {
    const missing = this.#missing(keys);
    const gone = missing.filter(({ version }) => version === 0)
      .map(({ key }): ImportedKey => ({ key, found: undefined }));
    let wanted = missing.filter(({ version }) => version !== 0);
    let ready = gone;
    const sendFull = async (): Promise<void> => {
      while (isFull(ready)) {
        const part = firstPart(ready);
        await this.#import(source, part, NO_PROGRESS);
        ready = ready.slice(part.length);
      }
    };
    await sendFull();
    while (wanted.length > 0) {
      const values = await this.#values(source, wanted);
      if (values.length === 0) throw lostValues(source);
      wanted = wanted.slice(values.length);
      // What is gone by now is among the changes reported later.
      ready = [...ready, ...values];
      await sendFull();
    }
    const { upTo, sealedAt } = progress;
    if (ready.length > 0 || upTo !== 0 || sealedAt !== 0) {
      await this.#import(source, ready, progress);
    }
  }

  async #import(
    source: number,
    keys: readonly ImportedKey[],
    progress: Pick<ImportHeader, "upTo" | "sealedAt">,
  ): Promise<void> {
    const { term } = this;
    await this.propose(importCommand({ term, source, ...progress }, keys));
  }

  #ask(
    source: number,
    since: number,
    after: Uint8Array,
  ): Promise<ExportedKeys> {
    const { exports } = this.world;
    const { partition, size } = this.takeover;
    return this.#question(
      source,
      "ensemble_export",
      { partition, size, since, after },
      (args) => exports.keysHere(args),
      readExportedKeys,
      KEYS_LIMITS,
    );
  }

  #values(
    source: number,
    keys: readonly KeyVersion[],
  ): Promise<ImportedKey[]> {
    const { exports } = this.world;
    return this.#question(
      source,
      "ensemble_values",
      { keys: packKeys(keys) },
      async (args) => readExportedValues(await exports.valuesHere(args)),
      readExportedValues,
      VALUES_LIMITS,
    );
  }

  #question<Answer>(
    source: number,
    method: string,
    question: Readonly<Record<string, unknown>>,
    here: (args: unknown) => Promise<Answer>,
    read: (answer: unknown) => Answer,
    { timeoutMs, answerTimeoutMs }: typeof KEYS_LIMITS,
  ): Promise<Answer> {
    const { members, runtime } = this.world;
    const { firstVnode, owners } = this.takeover.from;
    const vnode = firstVnode + source;
    const args = { vnode, ...question };
    return members.ask({
      group: vnodeGroup(vnode),
      owners,
      partition: source,
      deadlineMs: runtime.now() + timeoutMs,
      answerTimeoutMs,
      purpose: `take over from partition ${source}`,
      here: () => here(args),
      method,
      args,
      read,
    });
  }

  /** Proposes a command, and resolves when it is applied. */
  async propose(command: Uint8Array): Promise<void> {
    const { member, term, world } = this;
    if (world.closed()) {
      throw new WhorlError("closed", "The node runs no Raft groups now");
    }
    // What was read as its leader is of no use to another one.
    if (member.role !== "leader" || member.term !== term) {
      throw raftFailure(member, "not_leader", member.leader);
    }
    await proposed(member, command);
  }
}

/**
 * Resolves when `command` is applied.
 *
 * @throws {WhorlError} If that is unknown, or the machine refuses it.
 */
export function proposed(
  member: RaKvMember,
  command: Uint8Array,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  member.propose(command, {
    done: ({ reply }) => {
      const outcome = readReply(new ByteReader(reply ?? NOTHING));
      if (outcome.type === "done") return resolve();
      reject(
        new WhorlError(
          "cancelled",
          `Cannot have ${member.group} take over: ${
            outcome.type === "refused" ? outcome.reason : outcome.type
          }`,
        ),
      );
    },
    failed: (reason, leader) => reject(raftFailure(member, reason, leader)),
  });
  return promise;
}

const NOTHING = new Uint8Array(0);

function bytesOf({ key, found }: ImportedKey): number {
  return 16 + key.length + (found?.value.length ?? 0);
}

/** Whether `keys` are enough for an import of their own. */
function isFull(keys: readonly ImportedKey[]): boolean {
  return keys.length >= BATCH_CHANGES_MAX ||
    keys.reduce((bytes, key) => bytes + bytesOf(key), 0) >= EXPORT_VALUES_BYTES;
}

/** The first of `keys`, as many as one import takes. */
function firstPart(keys: readonly ImportedKey[]): ImportedKey[] {
  let bytes = 0;
  const end = keys.findIndex((key, place) => {
    bytes += bytesOf(key);
    return place > 0 && bytes > EXPORT_VALUES_BYTES ||
      place === BATCH_CHANGES_MAX;
  });
  return keys.slice(0, end < 0 ? keys.length : end);
}

function lostValues(source: number): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot take over from partition ${source} as it says no values`,
  );
}
